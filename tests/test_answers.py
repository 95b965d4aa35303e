"""Every way in which Valify can answer, over real sockets, and the row that records it."""

import gzip
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from django_valify_otp.exceptions import (
    OtpRejected,
    OutcomeUnknown,
    ValifyBusy,
    ValifyMisconfigured,
    ValifyOtpError,
    ValifyUnreachable,
)
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify.answers import as_text
from tests.configuration import Configure
from tests.factories import NUMBER
from tests.failures import fail
from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    Answer,
    Received,
    ScriptedServer,
    answer,
    hang_up,
    raw,
    repeat,
    reset,
    sent,
    silence,
    token,
)

pytestmark = pytest.mark.django_db

SUCCESS = {"result": {"success": True}, "transaction_id": "T1", "trials_remaining": "2"}
OK_HEAD = b"HTTP/1.1 200 OK\r\n"


def test_sent(valify: ScriptedServer) -> None:
    otp_send = send_otp("+20 10 1234 5678", lang="ar", purpose="signup", ip_address="41.32.10.7")
    stored = OtpSend.objects.get()
    assert stored == otp_send
    assert stored.status == otp_send.status == OtpSend.Status.SENT
    assert (stored.code, stored.transaction_id, stored.trials_remaining) == ("", "T1", 2)
    assert (stored.phone_number, stored.lang, stored.purpose) == (NUMBER, "ar", "signup")
    assert (stored.ip_address, stored.caller, stored.user) == ("41.32.10.7", "system", None)
    assert (stored.http_status, stored.calls) == (200, 1)
    assert stored.called_at
    assert stored.settled_at
    assert stored.created_at <= stored.called_at < stored.settled_at
    assert stored.duration == stored.settled_at - stored.called_at
    [call] = valify.at(SEND_PATH)
    assert call.json == {
        "phone_number": NUMBER,
        "bundle_key": "tests-bundle-key",
        "lang": "ar",
    }
    assert call.headers["content-type"] == "application/json"
    assert call.token == "token-1"
    [token_call] = valify.at(TOKEN_PATH)
    assert token_call.headers["content-type"] == "application/x-www-form-urlencoded"
    assert token_call.form == {
        "username": "tests-username",
        "password": "tests-password",
        "client_id": "tests-client-id",
        "client_secret": "tests-client-secret",
        "grant_type": "password",
    }
    assert "authorization" not in token_call.headers


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("T1", "T1"),
        ("with space/and+signs", "with space/and+signs"),
        ("معاملة", "معاملة"),
        (12345, "12345"),
        (0, "0"),
        ("x" * 255, "x" * 255),
    ],
)
def test_transaction_ids(valify: ScriptedServer, given: object, kept: str) -> None:
    valify.answer_send(sent(transaction_id=given))
    assert send_otp(NUMBER).transaction_id == kept
    assert OtpSend.objects.get().transaction_id == kept


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "  ",
        True,
        1.5,
        ["T1"],
        {"id": "T1"},
        "x" * 256,
        "x" * 5000,
        10**300,
        "nul\x00",
        "\ud800",
        "line\nbreak",
    ],
)
def test_no_transaction_id(valify: ScriptedServer, given: object) -> None:
    valify.answer_send(sent(transaction_id=given))
    stored = fail(OutcomeUnknown)
    assert (stored.status, stored.transaction_id) == (OtpSend.Status.UNKNOWN, "")
    assert stored.reason == "no transaction ID"


def test_a_transaction_id_of_more_digits_than_python_reads(valify: ScriptedServer) -> None:
    body = b'{"result": {"success": true}, "transaction_id": %s}' % (b"9" * 5000)
    valify.answer_send(answer(200, body))
    assert fail(OutcomeUnknown).transaction_id == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (2, 2),
        ("2", 2),
        (0, 0),
        ("0", 0),
        ("007", 7),
        (32_767, 32_767),
        (32_768, None),
        (10**30, None),
        ("9" * 5000, None),
        (-1, None),
        ("-1", None),
        ("", None),
        ("٢", None),
        ("²", None),
        (2.0, None),
        (True, None),
        (None, None),
        ([2], None),
        ({}, None),
        ("two", None),
    ],
)
def test_trials_remaining(valify: ScriptedServer, given: object, kept: int | None) -> None:
    valify.answer_send(sent(trials_remaining=given))
    otp_send = send_otp(NUMBER)
    assert (otp_send.status, otp_send.trials_remaining) == (OtpSend.Status.SENT, kept)
    assert OtpSend.objects.get().trials_remaining == kept


REFUSALS = [
    (400, {"message": "Bad Request"}, ValifyMisconfigured),
    (401, {"message": "Unauthorized"}, ValifyMisconfigured),
    (404, {"message": "Not Found"}, ValifyMisconfigured),
    (415, {"message": "Unsupported Media Type"}, ValifyMisconfigured),
    (404, b"<h1>Not Found</h1>", ValifyMisconfigured),
    (300, b"", ValifyMisconfigured),
    (304, b"", ValifyMisconfigured),
    (422, {"message": "Not today", "error_code": 17}, OtpRejected),
    (422, b"", OtpRejected),
    (200, {"result": {"success": False}, "transaction_id": "T1"}, OtpRejected),
    (429, {"message": "Slow down"}, ValifyBusy),
]


@pytest.mark.parametrize(("status", "body", "error"), REFUSALS)
def test_refusals(
    valify: ScriptedServer, status: int, body: object, error: type[ValifyOtpError]
) -> None:
    valify.answer_send(answer(status, body))
    stored = fail(error)
    assert (stored.status, stored.http_status) == (OtpSend.Status.REJECTED, status)
    assert len(valify.at(SEND_PATH)) == stored.calls == 1
    if isinstance(body, dict):
        assert stored.valify_message == body.get("message", "")


@pytest.mark.parametrize(
    "location",
    ["/elsewhere/", "http://[", "ftp://elsewhere", "//", "http://127.0.0.1:9/", "\xff"],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(valify: ScriptedServer, status: int, location: str) -> None:
    valify.answer_send(answer(status, b"", {"Location": location}))
    stored = fail(ValifyMisconfigured)
    assert (stored.status, stored.http_status) == (OtpSend.Status.REJECTED, status)
    assert {received.path for received in valify.received} == {TOKEN_PATH, SEND_PATH}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (17, "17"),
        ("E17", "E17"),
        (None, ""),
        (1.5, "1.5"),
        (True, "true"),
        ({"a": [1]}, '{"a": [1]}'),
        ("x" * 5000, "x" * 64),
        ("nul\x00\ud800here", "nulhere"),
    ],
)
def test_error_codes_are_kept_as_text(valify: ScriptedServer, given: object, kept: str) -> None:
    valify.answer_send(answer(422, {"message": "Not today", "error_code": given}))
    with pytest.raises(OtpRejected) as caught:
        send_otp(NUMBER)
    assert caught.value.error_code == kept
    assert OtpSend.objects.get().error_code == kept


def test_what_nests_too_deeply_is_no_text() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert as_text(nested) == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Not today", "Not today"),
        ("ليس اليوم", "ليس اليوم"),
        ("x" * 5000, "x" * 500),
        ("nul\x00 and \ud800 go", "nul and  go"),
        (["Not", "today"], '["Not", "today"]'),
        (None, ""),
    ],
)
def test_messages(valify: ScriptedServer, given: object, kept: str) -> None:
    valify.answer_send(answer(422, {"message": given}))
    assert fail(OtpRejected).valify_message == kept


@pytest.mark.parametrize(
    "spelling",
    [
        "01012345678",
        "+201012345678",
        "0020 10 1234 5678",
        "010-1234-5678",
        "+20 (010) 1234.5678",
        "٠١٠١٢٣٤٥٦٧٨",
        "%2B201012345678",
        "010/1234/5678",
        "010_1234_5678",
        "010, 1234, 5678",
        "010\u20601234\u200d5678",
    ],
)
def test_messages_echo_no_number(valify: ScriptedServer, spelling: str) -> None:
    valify.answer_send(
        answer(422, {"message": f"{spelling} on 2026-01-02", "error_code": spelling})
    )
    stored = fail(OtpRejected)
    assert stored.valify_message.endswith("010*****678 on 2026-01-02")
    assert "1234" not in stored.error_code


def test_messages_echo_no_secret(valify: ScriptedServer, configure: Configure) -> None:
    configure(PASSWORD='p"&ss word')
    valify.answer_token(token("token-of-this-call"))
    secrets = [
        "token-of-this-call",
        "TESTS-BUNDLE-KEY",
        "tests-username",
        "tests-client-id",
        "tests-client-secret",
        'p"&ss word',
        "p%22%26ss%20word",
        "p%22%26ss+word",
        "p&quot;&amp;ss word",
        'p\\"&ss word',
    ]
    message = "|".join(secrets)
    valify.answer_send(answer(422, {"message": message, "error_code": "tests-bundle-key"}))
    stored = fail(OtpRejected)
    assert stored.valify_message == "|".join(["***"] * len(secrets))
    assert stored.error_code == "***"


def test_a_secret_at_the_cut_is_hidden_before_it_is_cut(valify: ScriptedServer) -> None:
    valify.answer_send(answer(422, {"message": "x" * 495 + "tests-bundle-key"}))
    assert fail(OtpRejected).valify_message == "x" * 495 + "***"


@pytest.mark.parametrize("status", [200, 422])
def test_an_access_token_is_no_transaction_id(valify: ScriptedServer, status: int) -> None:
    valify.answer_token(token("token-with-a-decent-length"))
    valify.answer_send(
        answer(status, {**SUCCESS, "transaction_id": "<token-with-a-decent-length>"})
    )
    stored = fail(OutcomeUnknown if status == 200 else OtpRejected)
    assert stored.transaction_id == ""


UNKNOWN: dict[str, Answer] = {
    "201": answer(201, SUCCESS),
    "204": answer(204),
    "402": answer(402, {"message": "Pay"}),
    "408": answer(408),
    "500": answer(500, {"message": "Internal Server Error"}),
    "502": answer(502, b"<html>Bad Gateway</html>"),
    "503": answer(503, b"<html>Service Unavailable</html>"),
    "504": answer(504, b"<html>Gateway Timeout</html>"),
    "empty": answer(200, b""),
    "html": answer(200, b"<html>Welcome</html>"),
    "cut JSON": answer(200, b'{"result": {"success": true}, "transaction_id": "T'),
    "not UTF-8": answer(200, b'{"result": "\xff"}'),
    "a list": answer(200, [SUCCESS]),
    "null": answer(200, None),
    "a deep nest": answer(200, b"[" * 60_000),
    "success as text": answer(200, {**SUCCESS, "result": {"success": "true"}}),
    "success as number": answer(200, {**SUCCESS, "result": {"success": 1}}),
    "no success": answer(200, {**SUCCESS, "result": {}}),
    "result a list": answer(200, {**SUCCESS, "result": [True]}),
    "no result": answer(200, {"transaction_id": "T1"}),
    "200 MB": raw(OK_HEAD + b"Content-Length: 200000000\r\n\r\n{", then=repeat(b" " * 65_536)),
    "endless body": raw(OK_HEAD + b"\r\n", then=repeat(b" " * 65_536)),
    "endless chunks": raw(
        OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", then=repeat(b"1\r\n \r\n" * 100)
    ),
    "endless chunk extension": raw(
        OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", then=repeat(b"x" * 1000)
    ),
    "endless headers": raw(OK_HEAD, then=repeat(b"X-Header: x\r\n" * 100)),
    "endless header": raw(OK_HEAD + b"X-Header: ", then=repeat(b"x" * 1000)),
    "endless status line": raw(b"HTTP/1.1 200 ", then=repeat(b"x" * 1000)),
    "endless 100 Continue": repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "dripping status line": raw(b"HTTP/1.1 200 ", then=repeat(b"x", pause=0.05)),
    "dripping headers": raw(OK_HEAD + b"X-Header: ", then=repeat(b"x", pause=0.05)),
    "dripping body": raw(OK_HEAD + b"\r\n", then=repeat(b" ", pause=0.05)),
    "dripping body of a refusal": raw(
        b"HTTP/1.1 422 Unprocessable Entity\r\n\r\n", then=repeat(b" ", pause=0.05)
    ),
    "bad chunk size": raw(OK_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "too short": raw(OK_HEAD + b'Content-Length: 500\r\n\r\n{"result": {"success": true}'),
    "no status line": raw(b"hello\r\n\r\n"),
    "bad status": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "early end in headers": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "silence": silence,
    "silence after headers": raw(OK_HEAD + b"Content-Length: 5\r\n\r\n", then=silence),
    "closed": hang_up,
    "reset": reset,
    "reset in the body": raw(OK_HEAD + b"Content-Length: 500\r\n\r\n{", then=reset),
    "gzip bomb": answer(
        200,
        gzip.compress(b" " * 50_000_000),
        {"Content-Encoding": "gzip"},
    ),
    "broken gzip": answer(200, b"\x1f\x8bno", {"Content-Encoding": "gzip"}),
    "unknown encoding": answer(200, b"\x00", {"Content-Encoding": "br"}),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_no_sense_is_unknown(valify: ScriptedServer, configure: Configure, name: str) -> None:
    configure(READ_TIMEOUT=0.6, DEADLINE=1.2)
    valify.answer_send(UNKNOWN[name])
    stored = fail(OutcomeUnknown)
    assert stored.status == OtpSend.Status.UNKNOWN
    assert stored.reason
    assert len(valify.at(SEND_PATH)) == stored.calls == 1


def test_the_next_send_is_not_answered_with_the_rest_of_the_last_answer(
    valify: ScriptedServer,
) -> None:
    valify.answer_send(
        raw(
            OK_HEAD + b"Content-Length: 2\r\n\r\n{}" + OK_HEAD + b"Content-Length: 0\r\n\r\n",
            then=lambda *_: None,
        ),
        sent(),
    )
    assert fail(OutcomeUnknown).status == OtpSend.Status.UNKNOWN
    assert send_otp(NUMBER).status == OtpSend.Status.SENT


@pytest.mark.parametrize("interim", [b"103 Early Hints", b"102 Processing", b"100 Continue"])
def test_interim_answers_are_not_the_answer(valify: ScriptedServer, interim: bytes) -> None:
    hint = b"HTTP/1.1 " + interim + b"\r\nLink: </x>\r\n\r\n"
    valify.answer_send(raw(hint, then=sent(transaction_id="T1")), sent(transaction_id="T2"))
    assert [send_otp(NUMBER).transaction_id for _ in range(2)] == ["T1", "T2"]


@pytest.mark.parametrize("status", [b"101 Switching Protocols", b"204 No Content", b"304 Same"])
def test_a_late_body_is_not_the_next_answer(valify: ScriptedServer, status: bytes) -> None:
    def answer_late(sock: socket.socket, received: Received) -> None:
        time.sleep(0.05)
        sent(transaction_id="T1")(sock, received)

    head = b"HTTP/1.1 " + status + b"\r\n\r\n"
    valify.answer_send(raw(head, then=answer_late), sent(transaction_id="T2"))
    with pytest.raises(ValifyOtpError):
        send_otp(NUMBER)
    assert send_otp(NUMBER).transaction_id == "T2"


def test_gzip_that_was_not_asked_for_is_read(valify: ScriptedServer) -> None:
    body = gzip.compress(b'{"result": {"success": true}, "transaction_id": "T1"}')
    valify.answer_send(answer(200, body, {"Content-Encoding": "gzip"}))
    assert send_otp(NUMBER).transaction_id == "T1"


def test_cookies_are_not_kept(valify: ScriptedServer) -> None:
    valify.answer_send(answer(200, SUCCESS, {"Set-Cookie": "session=1; Path=/"}))
    send_otp(NUMBER)
    send_otp(NUMBER)
    assert not [call for call in valify.received if "cookie" in call.headers]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0),
        ("Mon, 01 Jan 2001 00:00:00", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 5000, None),
        ("Mon, 99 Jan 2001 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after(valify: ScriptedServer, header: str | None, seconds: int | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    valify.answer_send(answer(429, {"message": "Slow down"}, headers))
    with pytest.raises(ValifyBusy) as caught:
        send_otp(NUMBER)
    assert caught.value.retry_after == seconds


def test_retry_after_a_date_to_come(valify: ScriptedServer) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    valify.answer_send(answer(429, b"", {"Retry-After": format_datetime(at, usegmt=True)}))
    with pytest.raises(ValifyBusy) as caught:
        send_otp(NUMBER)
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600


def test_retry_after_is_a_busy_answer_s_only(valify: ScriptedServer) -> None:
    valify.answer_send(answer(503, b"", {"Retry-After": "120"}))
    assert fail(OutcomeUnknown).http_status == 503


def supply() -> str:
    return "supplied-token"


# So that the first connection is that of the send.
SUPPLIED = {"ACCESS_TOKEN_CALLABLE": "tests.test_answers.supply"}


def test_refused_connection(configure: Configure) -> None:
    configure(**SUPPLIED)
    stored = fail(ValifyUnreachable)
    assert (stored.status, stored.calls) == (OtpSend.Status.FAILED, 0)
    assert stored.reason == "ConnectionRefusedError"


def test_unknown_host(configure: Configure) -> None:
    configure(**SUPPLIED, BASE_URL="https://valify.invalid")
    stored = fail(ValifyUnreachable)
    assert (stored.status, stored.reason) == (OtpSend.Status.FAILED, "gaierror")


def test_host_without_addresses(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: [])
    configure(**SUPPLIED)
    assert fail(ValifyUnreachable).reason == "OSError"


def test_every_address_of_a_host_is_tried(
    server: ScriptedServer, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.base_url.rpartition(":")[2])
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))
        for host in ("127.0.0.2", "127.0.0.1")
    ]
    real = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        return addresses if host == "localhost" else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    configure(**SUPPLIED, BASE_URL=f"http://localhost:{port}")
    assert send_otp(NUMBER).status == OtpSend.Status.SENT


def test_connect_timeout(configure: Configure) -> None:
    """A full backlog: the kernel answers nobody."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(address)
        configure(
            **SUPPLIED, BASE_URL=f"http://127.0.0.1:{address[1]}", CONNECT_TIMEOUT=0.2, DEADLINE=0.4
        )
        stored = fail(ValifyUnreachable)
        for sock in waiting:
            sock.close()
    assert (stored.status, stored.calls) == (OtpSend.Status.FAILED, 0)
    assert stored.reason == "TimeoutError"


def test_a_send_is_repeated_where_nobody_listened(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The port opens between the first connection and the second."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    servers: list[threading.Thread] = []

    def serve(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock, listener, sock.makefile("rb") as file:
            while file.readline().strip():
                pass
            sent()(sock, Received("", {}, b""))
            file.read()

    def listen_instead_of_waiting(_seconds: float) -> None:
        listener = socket.create_server(("127.0.0.1", port))
        servers.append(threading.Thread(target=serve, args=[listener]))
        servers[0].start()

    monkeypatch.setattr(time, "sleep", listen_instead_of_waiting)
    configure(**SUPPLIED, BASE_URL=f"http://127.0.0.1:{port}")
    otp_send = send_otp(NUMBER)
    assert (otp_send.status, otp_send.calls) == (OtpSend.Status.SENT, 1)
    monkeypatch.undo()
    # Another account has another client, which closes the connections of the first.
    configure(**SUPPLIED, BASE_URL="http://127.0.0.1:9")
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    [server] = servers
    server.join()


def test_no_token_is_no_call(valify: ScriptedServer) -> None:
    valify.answer_token(answer(401, {"error": "invalid_client"}))
    stored = fail(ValifyMisconfigured)
    assert (stored.status, stored.calls) == (OtpSend.Status.FAILED, 0)
    assert (stored.reason, stored.valify_message) == ("token call: HTTP 401", "invalid_client")
    assert stored.http_status is None
    assert not valify.at(SEND_PATH)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 415, 422, 499])
def test_a_refused_token_call_is_ours_to_mend(valify: ScriptedServer, status: int) -> None:
    phrase = f"HTTP/1.1 {status} Refused\r\nContent-Length: 0\r\n\r\n".encode()
    valify.answer_token(raw(phrase))
    assert fail(ValifyMisconfigured).status == OtpSend.Status.FAILED
    assert len(valify.at(TOKEN_PATH)) == 1


NO_TOKEN: dict[str, Answer] = {
    "429": answer(429),
    "500": answer(500),
    "503": answer(503, b"<html>"),
    "204": answer(204),
    "empty": answer(200),
    "html": answer(200, b"<html>"),
    "a list": answer(200, ["token"]),
    "no token": answer(200, {"expires_in": 600}),
    "null": token(None),
    "number": token(5),
    "empty text": token(""),
    "line break": token("a\r\nX-Header: b"),
    "not ASCII": token("رمز"),
    "too long": token("x" * 8193),
    "closed": hang_up,
    "silence": silence,
    "endless": raw(OK_HEAD + b"\r\n", then=repeat(b" " * 65_536)),
    "dripping": raw(OK_HEAD, then=repeat(b"x", pause=0.05)),
    "gzip bomb": answer(200, gzip.compress(b" " * 9_000_000), {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("name", NO_TOKEN)
def test_no_token_from_trouble(valify: ScriptedServer, configure: Configure, name: str) -> None:
    configure(READ_TIMEOUT=0.3, DEADLINE=0.7)
    valify.answer_token(NO_TOKEN[name])
    stored = fail(ValifyUnreachable)
    assert (stored.status, stored.calls) == (OtpSend.Status.FAILED, 0)
    assert stored.reason.startswith("token call: ")
    assert not valify.at(SEND_PATH)


@pytest.mark.parametrize("first", [hang_up, answer(500), answer(429)])
def test_a_token_call_is_repeated_once(valify: ScriptedServer, first: Answer) -> None:
    valify.answer_token(first, token())
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert len(valify.at(TOKEN_PATH)) == 2


def test_token_call_messages_echo_no_secret(valify: ScriptedServer) -> None:
    message = "tests-password is wrong for tests-username"
    valify.answer_token(answer(400, {"error": "invalid_grant", "error_description": message}))
    assert fail(ValifyMisconfigured).valify_message == "invalid_grant: *** is wrong for ***"
