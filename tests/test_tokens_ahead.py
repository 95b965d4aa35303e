"""Access tokens that are fetched before a call needs them."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify import tokens
from tests.configuration import Configure
from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    Answer,
    Received,
    ScriptedServer,
    answer,
    hang_up,
    sent,
    token,
)

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"
PROJECT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def worth_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Token calls are quick here, and yet worth a thread."""
    monkeypatch.setattr(tokens, "WORTH_A_THREAD_SECONDS", 0)


@pytest.fixture
def stream(valify: ScriptedServer) -> ScriptedServer:
    """A Valify that gives token after token, each for three calls."""
    valify.answer_token(*(token(f"token-{number}") for number in range(1, 40)))
    return valify


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the monotonic clock on."""
    clock, passed = time.monotonic, 0.0

    def move(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed)
    return move


class Gate:
    """An answer that waits until it is let go."""

    def __init__(self, then: Answer) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        self._then = then

    def __call__(self, sock: Any, received: Received) -> None:
        self.reached.set()
        assert self.opened.wait(60)
        self._then(sock, received)


@pytest.fixture
def gate(stream: ScriptedServer) -> Iterator[Gate]:
    """The third token of the stream, which is the first that is fetched ahead."""
    gate = Gate(token("token-3"))
    stream.answers[TOKEN_PATH][2] = gate
    yield gate
    gate.opened.set()


def finish_fetching() -> None:
    """Wait for the token that is being fetched ahead."""
    for thread in threading.enumerate():
        if thread.name == tokens.THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()


def send(count: int) -> None:
    for _ in range(count):
        send_otp(NUMBER)
        finish_fetching()


def tokens_used(valify: ScriptedServer) -> list[int]:
    return [int(call.token.removeprefix("token-")) for call in valify.at(SEND_PATH)]


def test_nobody_waits_for_a_token_in_a_steady_stream(stream: ScriptedServer) -> None:
    send(6)
    assert len(stream.at(TOKEN_PATH)) == 3
    for number in range(3, 6):
        send(2)
        assert len(stream.at(TOKEN_PATH)) == number, "fetched before the last use"
        send(1)
        assert len(stream.at(TOKEN_PATH)) == number + 1
    assert tokens_used(stream) == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]


def test_a_token_of_one_use(stream: ScriptedServer, configure: Configure) -> None:
    configure(TOKEN_USES=1)
    send(1)
    assert len(stream.at(TOKEN_PATH)) == 1
    send(4)
    assert tokens_used(stream) == [1, 2, 3, 4, 5]
    assert len(stream.at(TOKEN_PATH)) == 6


def test_none_for_a_process_that_used_up_one_token(stream: ScriptedServer) -> None:
    """A worker that forks for each job, as RQ's does, sends once."""
    send(3)
    assert len(stream.at(TOKEN_PATH)) == 1


def test_none_where_it_takes_less_than_a_thread(
    stream: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "WORTH_A_THREAD_SECONDS", 60)
    send(9)
    assert len(stream.at(TOKEN_PATH)) == 3
    monkeypatch.setattr(tokens, "WORTH_A_THREAD_SECONDS", 0.0001)
    send(3)
    assert len(stream.at(TOKEN_PATH)) == 5


def test_none_where_tokens_are_used_up_slowly(
    stream: ScriptedServer, later: Callable[[float], None]
) -> None:
    for _ in range(12):
        send(1)
        later(110)
    assert len(stream.at(TOKEN_PATH)) == 4
    assert tokens_used(stream) == sorted([1, 2, 3, 4] * 3)


def test_a_short_life_is_half_over_sooner(
    valify: ScriptedServer, later: Callable[[float], None]
) -> None:
    valify.answer_token(token(expires_in=60))
    for _ in range(2):
        send(3)
        later(40)
    assert len(valify.at(TOKEN_PATH)) == 2


def test_no_second_token_is_fetched_in_vain(
    stream: ScriptedServer, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six sends at a time, and then nothing for long."""
    monkeypatch.setattr(tokens, "ROW_AFTER_WASTE", 4)
    send(6)
    for number in range(1, 4):
        later(1200)
        send(6)
        assert len(stream.at(TOKEN_PATH)) == 3 + 2 * number
    assert 3 not in tokens_used(stream)
    send(6)
    assert len(stream.at(TOKEN_PATH)) == 3 + 2 * 3 + 2 + 1, "a steady stream has begun"


def test_a_send_does_not_wait_for_it(stream: ScriptedServer, gate: Gate) -> None:
    """Where a server runs no threads between its requests, this may take for ever."""
    send(5)
    send_otp(NUMBER)
    assert gate.reached.wait(10)
    for _ in range(6):
        send_otp(NUMBER)
    assert tokens_used(stream) == [1, 1, 1, 2, 2, 2, 4, 4, 4, 5, 5, 5]
    assert len(stream.at(TOKEN_PATH)) == 5, "only one is fetched ahead at a time"
    gate.opened.set()
    finish_fetching()
    send(4)
    assert tokens_used(stream)[12:] == [3, 3, 3, 6]


@pytest.mark.parametrize("failure", [answer(401), answer(200), hang_up])
def test_a_failure_harms_nothing(stream: ScriptedServer, failure: Answer) -> None:
    """No row says so, and the next one is fetched ahead again."""
    repeats = 1 if failure is hang_up else 0
    stream.answers[TOKEN_PATH][2 : 3 + repeats] = [failure] * (1 + repeats)
    send(9)
    assert not OtpSend.objects.exclude(status=OtpSend.Status.SENT).exists()
    assert len(stream.at(TOKEN_PATH)) == 5 + repeats
    send(1)
    assert len(stream.at(TOKEN_PATH)) == 5 + repeats


def test_a_token_that_revokes_those_before_it(
    stream: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs one call more, once: then no token is fetched while another is in use."""
    monkeypatch.setattr(tokens, "ROW_AFTER_WASTE", 4)

    def refuse(sock: Any, received: Received) -> None:
        finish_fetching()
        answer(403)(sock, received)

    stream.answer_send(*[sent()] * 5, refuse, sent())
    send(14)
    assert not OtpSend.objects.exclude(status=OtpSend.Status.SENT).exists()
    assert tokens_used(stream) == [1, 1, 1, 2, 2, 2, 4, 4, 4, 5, 5, 5, 6, 6, 6]
    assert len(stream.at(TOKEN_PATH)) == 6


def test_a_process_that_can_start_no_thread(stream: ScriptedServer) -> None:
    send(5)
    usual = threading.stack_size(2**47)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threading.Thread(target=list).start()
        send(4)
    finally:
        threading.stack_size(usual)
    assert len(stream.at(TOKEN_PATH)) == 3
    send(3)
    assert tokens_used(stream) == sorted([1, 2, 3, 4] * 3)
    assert len(stream.at(TOKEN_PATH)) == 5


SITE = """
import atexit, sys
from django_valify_otp.deadline import Deadline
from django_valify_otp.valify import tokens
from django_valify_otp.valify.client import Account, CallLog, client_for

tokens.WORTH_A_THREAD_SECONDS = 0
names = ("bundle_key", "username", "password", "client_id", "client_secret")
account = Account(
    base_url=sys.argv[1], token_uses=3, connect_timeout=5, read_timeout=20,
    **dict.fromkeys(names, "tests"),
)

def send():
    answer = client_for(account).send_otp(
        phone_number="01012345678", lang="en", deadline=Deadline(25), log=CallLog()
    )
    assert answer.outcome == "sent", answer
"""


def run_site(valify: ScriptedServer, end: str) -> None:
    code = f"{SITE}\nfor _ in range(5): send()\n{end}"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, valify.base_url]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, timeout=15, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.usefixtures("gate")
def test_the_end_of_a_process_does_not_wait_for_it(stream: ScriptedServer) -> None:
    run_site(stream, "send()")
    assert len(stream.at(SEND_PATH)) == 6
    assert len(stream.at(TOKEN_PATH)) <= 3


def test_none_at_the_end_of_a_process(stream: ScriptedServer) -> None:
    run_site(stream, "atexit.register(send)")
    assert len(stream.at(SEND_PATH)) == 6
    assert len(stream.at(TOKEN_PATH)) == 2
