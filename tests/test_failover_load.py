"""What the benchmark of a failover is made of: its clients, and the way to the standby."""

import socket
import threading
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from benchmarks import failover_load
from benchmarks.failover_load import FAILURE, request, told_by
from benchmarks.link import Link, running_link
from benchmarks.ports import free_port
from django_valify_otp.exceptions import SiteBusy
from tests.factories import NUMBER

SLOW_MILLISECONDS = 60_000


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated without a pause."""
    monkeypatch.setattr(failover_load, "REPEAT_SECONDS", 0)


def test_an_error_that_is_not_of_the_app_is_named() -> None:
    def fail(phone_number: str, **options: object) -> None:
        raise ZeroDivisionError

    assert told_by(fail, NUMBER) == f"{FAILURE}ZeroDivisionError"


def test_a_code_is_named() -> None:
    def refuse(phone_number: str, **options: object) -> None:
        raise SiteBusy

    assert told_by(refuse, NUMBER) == "site_busy"


@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        (["sent"], 1),
        (["site_busy", "500 OperationalError", "idempotency_conflict", "queued"], 4),
        (["outcome_unknown"], 1),
        (["idempotency_conflict"], 10),
    ],
)
def test_a_request_is_repeated_until_it_is_answered(
    monkeypatch: pytest.MonkeyPatch, answers: list[str], asked: int
) -> None:
    script = chain(answers, repeat(answers[-1]))
    monkeypatch.setattr(failover_load, "told_by", lambda *_: next(script))
    told = request(NUMBER, lambda: False)
    assert len(told.answers) == asked
    assert told.answers[: len(answers)] == tuple(answers)
    assert told.began_at <= told.ended_at


def test_no_request_is_repeated_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover_load, "told_by", lambda *_: "site_busy")
    assert request(NUMBER, lambda: True).answers == ("site_busy",)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that returns what one client sends."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            while data := client.recv(100):
                client.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def connect(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=30)


def test_a_link_carries_both_ways(echo: int) -> None:
    with running_link(1) as link:
        link.target = echo
        with connect(link) as client:
            client.sendall(b"there and back")
            assert client.recv(100) == b"there and back"


def test_what_is_on_its_way_is_lost_when_a_link_is_cut(echo: int) -> None:
    with running_link(1) as link:
        link.target = echo
        with connect(link) as client:
            client.sendall(b"there")
            assert client.recv(100) == b"there"
            link.set_milliseconds(SLOW_MILLISECONDS)
            client.sendall(b"never there")
            link.cut()
            assert client.recv(100) == b""


def test_a_link_to_nobody_ends_the_connection() -> None:
    with running_link(1) as link:
        link.target = free_port()
        with connect(link) as client:
            assert client.recv(100) == b""
