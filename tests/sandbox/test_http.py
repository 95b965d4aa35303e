"""Requests and connections, good and bad, and many at once."""

from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected

import pytest

from django_valify_otp.sandbox.server import LARGEST_BODY
from tests.sandbox.customer import (
    EMAIL_SEND_PATH,
    EMAIL_VERIFY_PATH,
    FORM,
    JSON,
    SEND_PATH,
    TOKEN_PATH,
    VERIFY_PATH,
    Client,
    Sandbox,
)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/", 404, None),
        ("POST", "/api/v1/otp/send", 404, None),
        ("POST", "/api/v2/otp/send/", 404, None),
        ("GET", SEND_PATH, 405, "POST"),
        ("PUT", SEND_PATH, 405, "POST"),
        ("GET", TOKEN_PATH, 405, "POST"),
        ("GET", VERIFY_PATH, 405, "POST"),
        ("GET", EMAIL_SEND_PATH, 405, "POST"),
        ("GET", EMAIL_VERIFY_PATH, 405, "POST"),
        ("POST", "/inbox/", 405, "GET, DELETE"),
        ("PATCH", "/inbox/", 405, "GET, DELETE"),
        ("OPTIONS", "/inbox/", 405, "GET, DELETE"),
    ],
)
def test_wrong_path_or_method(
    sandbox: Sandbox, method: str, path: str, status: int, allow: str | None
) -> None:
    answered = sandbox.ask(method, path)
    message = {404: "Not Found", 405: "Method Not Allowed"}[status]
    assert (answered.status, answered.json) == (status, {"message": message})
    assert answered.headers.get("Allow") == allow


def test_answer_to_head_has_no_body(sandbox: Sandbox) -> None:
    answered = sandbox.ask("HEAD", "/inbox/")
    assert (answered.status, answered.body) == (405, b"")
    assert answered.headers["Content-Length"] == "33"


def test_connection_is_kept_whatever_was_answered(sandbox: Sandbox) -> None:
    sandbox.ask("GET", "/")
    port = sandbox.connection.sock.getsockname()[1]
    sandbox.ask("POST", "/unknown/", b"a body that nobody asked for")
    sandbox.ask("HEAD", "/inbox/")
    sandbox.ask("POST", SEND_PATH, b"{", JSON)
    sandbox.send(phone_number="01000000500")
    assert sandbox.send().headers["Connection"] == "keep-alive"
    assert sandbox.connection.sock.getsockname()[1] == port


def test_connection_is_closed_if_so_asked(sandbox: Sandbox) -> None:
    answered = sandbox.ask("GET", "/inbox/", headers={"Connection": "close"})
    assert answered.headers["Connection"] == "close"
    assert sandbox.raw(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404 ")


def test_requests_may_follow_each_other_unasked(sandbox: Sandbox) -> None:
    request = b"GET /inbox/ HTTP/1.1\r\n\r\n"
    last = b"GET /inbox/ HTTP/1.1\r\nConnection: close\r\n\r\n"
    assert sandbox.raw(request * 2 + last).count(b"HTTP/1.1 200 OK\r\n") == 3


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("Content-Length: many", 400),
        ("Content-Length: -1", 400),
        ("Content-Length: +1", 400),
        ("Content-Length: 1.0", 400),
        ("Content-Length:", 400),
        ("Content-Length: \u00b2", 400),
        ("Content-Length: " + "9" * 5000, 400),
        ("Content-Length: 2\r\nContent-Length: 3", 400),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_body_of_unclear_length_is_refused(sandbox: Sandbox, headers: str, status: int) -> None:
    request = f"POST {SEND_PATH} HTTP/1.1\r\n{headers}\r\n\r\n"
    answered = sandbox.raw(request.encode("latin-1"))
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answered


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/one\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        # The longest line that is read, plus one.
        (b"G" * 65_537, 414),
    ],
)
def test_what_is_not_http_is_refused(sandbox: Sandbox, content: bytes, status: int) -> None:
    answered = sandbox.raw(content)
    assert answered.startswith(f"HTTP/1.1 {status} ".encode())


def test_large_body_is_refused(sandbox: Sandbox) -> None:
    assert sandbox.ask("POST", SEND_PATH, b"1" * LARGEST_BODY, FORM).status == 415
    answered = sandbox.ask("POST", SEND_PATH, b"1" * (LARGEST_BODY + 1), JSON)
    assert answered.status == 413
    assert answered.headers["Connection"] == "close"


def test_vanished_client_is_not_reported(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    request = f"POST {SEND_PATH} HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"
    assert sandbox.raw(request.encode(), half_close=True) == b""
    assert sandbox.raw(b"", half_close=True) == b""
    assert capfd.readouterr() == ("", "")


def test_fault_of_the_sandbox_is_reported(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    del sandbox.server.valify.inbox
    with pytest.raises(RemoteDisconnected):
        sandbox.ask("GET", "/inbox/")
    assert "AttributeError" in capfd.readouterr().err


def test_nothing_is_logged(sandbox: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    sandbox.send()
    sandbox.ask("GET", "/unknown/")
    assert capfd.readouterr() == ("", "")


def test_300_sends_from_10_threads(sandbox: Sandbox) -> None:
    def send_30(_: int) -> list[str]:
        sent = []
        with Client(sandbox.port) as client:
            for _ in range(10):
                token = client.token()
                sent += [client.send(token).json for _ in range(3)]
        assert [answer["trials_remaining"] for answer in sent] == ["2", "1", "0"] * 10
        return [answer["transaction_id"] for answer in sent]

    with ThreadPoolExecutor(10) as threads:
        sent = [transaction_id for ids in threads.map(send_30, range(10)) for transaction_id in ids]
    assert sorted(sent) == sorted(message["transaction_id"] for message in sandbox.inbox())
    assert len(set(sent)) == 300
