"""The numbers that force an outcome."""

import re
import socket
from http.client import RemoteDisconnected
from typing import Any

import pytest

from django_valify_otp.sandbox.sending import FORCED_OUTCOMES
from tests.sandbox.customer import Sandbox, ask_for_silence


@pytest.mark.parametrize(
    ("phone_number", "status", "body", "messages"),
    [
        (
            "01000000200",
            200,
            {"result": {"success": False}, "transaction_id": "<id>", "trials_remaining": "2"},
            0,
        ),
        ("01000000201", 200, {"result": {"success": True}, "trials_remaining": "2"}, 1),
        ("01000000302", 302, {"message": "Found"}, 0),
        ("01000000400", 400, {"message": "Bad Request: forced by the number"}, 0),
        ("01000000401", 401, {"message": "Unauthorized: forced by the number"}, 0),
        ("01000000403", 403, {"message": "Forbidden: forced by the number"}, 0),
        ("01000000404", 404, {"message": "Not Found"}, 0),
        ("01000000415", 415, {"message": "Unsupported Media Type"}, 0),
        (
            "01000000422",
            422,
            {"message": "This number cannot receive an OTP.", "error_code": 1000},
            0,
        ),
        ("01000000429", 429, {"message": "Too Many Requests"}, 0),
        ("01000000500", 500, {"message": "Internal Server Error"}, 0),
    ],
)
def test_number_forces_an_outcome(
    sandbox: Sandbox, phone_number: str, status: int, body: dict[str, Any], messages: int
) -> None:
    answered = sandbox.send(phone_number=phone_number)
    shown = {k: "<id>" if k == "transaction_id" else v for k, v in answered.json.items()}
    assert (answered.status, shown) == (status, body)
    assert len(sandbox.inbox()) == messages


def test_number_forces_a_page_in_html(sandbox: Sandbox) -> None:
    answered = sandbox.send(phone_number="01000000503")
    assert answered.status == 503
    assert answered.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answered.body.startswith(b"<html>")
    assert sandbox.inbox() == []


def test_forced_redirect_and_throttle_have_their_headers(sandbox: Sandbox) -> None:
    assert sandbox.send(phone_number="01000000302").headers["Location"] == "/login/"
    assert sandbox.send(phone_number="01000000429").headers["Retry-After"] == "30"


def test_forced_outcome_needs_a_good_call(sandbox: Sandbox) -> None:
    assert sandbox.send("unknown", phone_number="01000000500").status == 403
    assert sandbox.send(phone_number="01000000500", bundle_key="wrong").status == 401


def test_every_forcing_number_is_an_egyptian_mobile() -> None:
    assert all(re.fullmatch("01[0-9]{9}", phone_number) for phone_number in FORCED_OUTCOMES)


def test_dropped_connection_has_sent_its_message(sandbox: Sandbox) -> None:
    with pytest.raises(RemoteDisconnected):
        sandbox.send(phone_number="01000000599")
    assert [message["phone_number"] for message in sandbox.inbox()] == ["01000000599"]


def test_silence_lasts_until_the_client_leaves(sandbox: Sandbox) -> None:
    with ask_for_silence(sandbox) as sock:
        sock.sendall(b"Is anybody there?")
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.setblocking(True)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def test_silence_ends_with_the_server(sandbox: Sandbox) -> None:
    with ask_for_silence(sandbox) as sock:
        sandbox.server.server_close()
        assert sock.recv(1) == b""
