import base64
import errno
import hashlib
import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from django_valify_otp.sandbox.__main__ import build_parser, main
from django_valify_otp.sandbox.api import Valify
from django_valify_otp.sandbox.codes import CODES_KEPT, Codes, Verdict
from django_valify_otp.sandbox.inbox import MESSAGES_KEPT, Inbox, Message
from django_valify_otp.sandbox.inbox_page import MESSAGES_SHOWN
from django_valify_otp.sandbox.outcomes import FORCED_OUTCOMES
from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from django_valify_otp.sandbox.pytest_plugin import SANDBOX_SETTINGS
from django_valify_otp.sandbox.server import LARGEST_BODY, SandboxServer
from tests.scripted_server import ScriptedServer, answer

pytest_plugins = ["pytester"]

TOKEN_PATH = "/api/o/token/"
SEND_PATH = "/api/v1/otp/send/"
VERIFY_PATH = "/api/v1/otp/verify/"
EMAIL_SEND_PATH = "/api/v1/otp/email/send/"
EMAIL_VERIFY_PATH = "/api/v1/otp/email/verify/"
CALL_PATHS = [SEND_PATH, VERIFY_PATH, EMAIL_SEND_PATH, EMAIL_VERIFY_PATH]
PHONE_NUMBER = "01012345678"
EMAIL = "mona@example.com"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CREDENTIALS = dict.fromkeys(["username", "password", "client_id", "client_secret"], "sandbox")
ROOT = Path(__file__).parent.parent


@dataclass
class Clock:
    now: float = 0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A customer of the sandbox at a port, with one connection that is kept."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.connection = HTTPConnection("127.0.0.1", port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> Answered:
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return Answered(response.status, dict(response.headers), response.read())

    def fetch_token(self, **changes: str) -> Answered:
        form = {"grant_type": "password", **CREDENTIALS, **changes}
        return self.ask("POST", TOKEN_PATH, urlencode(form), FORM)

    def token(self) -> str:
        value = self.fetch_token().json["access_token"]
        assert isinstance(value, str)
        return value

    def call(self, path: str, token: str | None = None, **parameters: object) -> Answered:
        """A call, with a token of its own if none is named; ``None`` takes a parameter out."""
        parameters = {"bundle_key": "sandbox", **parameters}
        body = json.dumps({k: v for k, v in parameters.items() if v is not None})
        bearer = f"Bearer {self.token() if token is None else token}"
        return self.ask("POST", path, body, {**JSON, "Authorization": bearer})

    def send(self, token: str | None = None, **changes: object) -> Answered:
        return self.call(SEND_PATH, token, **{"phone_number": PHONE_NUMBER, **changes})

    def send_email(self, token: str | None = None, **changes: object) -> Answered:
        return self.call(EMAIL_SEND_PATH, token, **{"email": EMAIL, **changes})

    def verify(self, message: dict[str, str], path: str = VERIFY_PATH, **changes: Any) -> Answered:
        """A verify of this message, with changes to it."""
        typed = {"otp": message["code"], "transaction_id": message["transaction_id"]}
        return self.call(path, **{**typed, **changes})

    def inbox(self, query: str = "?format=json") -> list[dict[str, str]]:
        messages = self.ask("GET", f"/inbox/{query}").json["messages"]
        assert isinstance(messages, list)
        return messages

    def raw(self, content: bytes, *, half_close: bool = False) -> bytes:
        """All that comes back for these bytes, until the sandbox closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(content)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65_536), b""))


Way = Callable[[Client], Answered]


class Sandbox(Client):
    """A sandbox in this process, and a client of it."""

    def __init__(self, server: SandboxServer, clock: Clock) -> None:
        super().__init__(server.server_port)
        self.server = server
        self.clock = clock


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    clock = Clock()
    threads = set(threading.enumerate())
    with SandboxServer(Valify(clock=clock), port=0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        with Sandbox(server, clock) as running:
            yield running
        started = set(threading.enumerate()) - threads
        server.shutdown()
    for thread in started:
        thread.join()


def test_token_is_as_documented(sandbox: Sandbox) -> None:
    answered = sandbox.fetch_token()
    assert answered.status == 200
    assert set(answered.json) == {
        "access_token",
        "expires_in",
        "token_type",
        "scope",
        "refresh_token",
    }
    assert answered.json["expires_in"] == 600
    assert answered.json["token_type"] == "Bearer"


def test_tokens_differ(sandbox: Sandbox) -> None:
    assert sandbox.token() != sandbox.token()


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"client_id": "someone"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
        ({"username": "someone"}, 400, "invalid_grant"),
        ({"password": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_token_is_refused(
    sandbox: Sandbox, changes: dict[str, str], status: int, error: str
) -> None:
    answered = sandbox.fetch_token(**changes)
    assert (answered.status, answered.json) == (status, {"error": error})


def test_token_call_takes_a_form_only(sandbox: Sandbox) -> None:
    body = json.dumps({"grant_type": "password", **CREDENTIALS})
    answered = sandbox.ask("POST", TOKEN_PATH, body, JSON)
    assert (answered.status, answered.json) == (400, {"error": "unsupported_grant_type"})


@pytest.mark.parametrize("send", [Client.send, Client.send_email])
def test_send_is_as_documented(sandbox: Sandbox, send: Way) -> None:
    answered = send(sandbox)
    assert answered.status == 200
    assert answered.headers["Content-Type"] == "application/json"
    transaction_id = answered.json["transaction_id"]
    assert str(uuid.UUID(transaction_id)) == transaction_id
    assert answered.json == {
        "result": {"success": True},
        "transaction_id": transaction_id,
        "trials_remaining": "2",
    }


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"phone_number": None}, 400, "Bad Request: phone_number is missing"),
        ({"phone_number": ""}, 400, "Bad Request: phone_number is missing"),
        ({"phone_number": 1012345678}, 400, "Bad Request: phone_number is missing"),
        ({"bundle_key": None}, 400, "Bad Request: bundle_key is missing"),
        ({"bundle_key": ["sandbox"]}, 400, "Bad Request: bundle_key is missing"),
        ({"token": "unknown"}, 403, "Forbidden: the access token could not be found"),
        ({"bundle_key": "wrong"}, 401, "Unauthorized: the bundle key is invalid"),
        ({"lang": "fr"}, 422, "lang is neither en nor ar."),
        ({"lang": ["en"]}, 422, "lang is neither en nor ar."),
        ({"phone_number": "0101234567"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "010123456789"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "02012345678"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "+201012345678"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "01012345678\n"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "0101234567٨"}, 422, "This is not an Egyptian mobile number."),
    ],
)
def test_send_is_refused(
    sandbox: Sandbox, changes: dict[str, Any], status: int, message: str
) -> None:
    answered = sandbox.send(**changes)
    assert (answered.status, answered.json["message"]) == (status, message)
    assert ("error_code" in answered.json) == (status == 422)
    assert sandbox.inbox() == []


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"email": None}, 400, "Bad Request: email is missing"),
        ({"email": None, "phone_number": PHONE_NUMBER}, 400, "Bad Request: email is missing"),
        ({"email": [EMAIL]}, 400, "Bad Request: email is missing"),
        ({"bundle_key": None}, 400, "Bad Request: bundle_key is missing"),
        ({"token": "unknown"}, 403, "Forbidden: the access token could not be found"),
        ({"bundle_key": "wrong"}, 401, "Unauthorized: the bundle key is invalid"),
        ({"lang": "fr"}, 422, "lang is neither en nor ar."),
        ({"email": PHONE_NUMBER}, 422, "This is not an e-mail address."),
        ({"email": "@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona@"}, 422, "This is not an e-mail address."),
        ({"email": "mona@localhost"}, 422, "This is not an e-mail address."),
        ({"email": "mona@home@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona ali@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona@example.com\n"}, 422, "This is not an e-mail address."),
        ({"email": "\ud800@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "m@" + "." * 50_000 + "@"}, 422, "This is not an e-mail address."),
    ],
)
def test_email_is_refused(
    sandbox: Sandbox, changes: dict[str, Any], status: int, message: str
) -> None:
    answered = sandbox.send_email(**changes)
    assert (answered.status, answered.json["message"]) == (status, message)
    assert ("error_code" in answered.json) == (status == 422)
    assert sandbox.inbox() == []


@pytest.mark.parametrize("path", CALL_PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff", b"[" * 50_000, b"1" * 5000]
)
def test_call_takes_a_json_object_only(sandbox: Sandbox, path: str, body: bytes) -> None:
    answered = sandbox.ask("POST", path, body, JSON)
    message = "Bad Request: the body is not a JSON object"
    assert (answered.status, answered.json) == (400, {"message": message})


@pytest.mark.parametrize("path", CALL_PATHS)
@pytest.mark.parametrize("headers", [{}, FORM, {"Content-Type": "nonsense"}])
def test_call_takes_the_content_type_of_json_only(
    sandbox: Sandbox, path: str, headers: dict[str, str]
) -> None:
    answered = sandbox.ask("POST", path, b"{}", headers)
    assert (answered.status, answered.json) == (415, {"message": "Unsupported Media Type"})


def test_content_type_may_have_a_charset(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answered = sandbox.ask("POST", SEND_PATH, b"{}", headers)
    assert answered.json == {"message": "Bad Request: phone_number is missing"}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic {token}", "{token}"])
def test_send_needs_a_bearer_token(sandbox: Sandbox, authorization: str | None) -> None:
    headers = dict(JSON)
    if authorization is not None:
        headers["Authorization"] = authorization.format(token=sandbox.token())
    body = json.dumps({"phone_number": PHONE_NUMBER, "bundle_key": "sandbox"})
    assert sandbox.ask("POST", SEND_PATH, body, headers).status == 403


def test_token_serves_three_calls(sandbox: Sandbox) -> None:
    token = sandbox.token()
    trials = [sandbox.send(token).json["trials_remaining"] for _ in range(3)]
    assert trials == ["2", "1", "0"]
    assert sandbox.send(token).status == 403


def test_token_expires(sandbox: Sandbox) -> None:
    token = sandbox.token()
    sandbox.clock.now = 599
    later = sandbox.token()
    assert sandbox.send(token).status == 200
    sandbox.clock.now = 600
    assert sandbox.send(token).status == 403
    assert sandbox.send(later).status == 200


@pytest.mark.parametrize(
    ("changes", "trials_remaining"),
    [
        ({"bundle_key": None}, "2"),
        ({"bundle_key": "wrong"}, "1"),
        ({"phone_number": "02012345678"}, "1"),
        ({"phone_number": "01000000500"}, "1"),
        ({"phone_number": "01000000403"}, "1"),
    ],
)
def test_refusal_costs_a_use_once_the_token_was_looked_at(
    sandbox: Sandbox, changes: dict[str, Any], trials_remaining: str
) -> None:
    token = sandbox.token()
    sandbox.send(token, **changes)
    assert sandbox.send(token).json["trials_remaining"] == trials_remaining


WAYS = pytest.mark.parametrize(
    ("send", "path"),
    [(Client.send, VERIFY_PATH), (Client.send_email, EMAIL_VERIFY_PATH)],
    ids=["sms", "email"],
)


@WAYS
def test_code_is_verified_once(sandbox: Sandbox, send: Way, path: str) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    answered = sandbox.verify(message, path)
    assert (answered.status, answered.json) == (200, {"verified": True})
    answered = sandbox.verify(message, path)
    refusal = {"message": "The code was used before.", "error_code": 1006}
    assert (answered.status, answered.json) == (422, refusal)


@WAYS
@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"otp": None}, 400, {"message": "Bad Request: otp is missing"}),
        ({"otp": 123456}, 400, {"message": "Bad Request: otp is missing"}),
        ({"transaction_id": None}, 400, {"message": "Bad Request: transaction_id is missing"}),
        ({"transaction_id": ""}, 400, {"message": "Bad Request: transaction_id is missing"}),
        ({"bundle_key": None}, 400, {"message": "Bad Request: bundle_key is missing"}),
        ({"bundle_key": "wrong"}, 401, {"message": "Unauthorized: the bundle key is invalid"}),
        (
            {"token": "unknown"},
            403,
            {"message": "Forbidden: the access token could not be found"},
        ),
        ({"lang": "fr"}, 422, {"message": "lang is neither en nor ar.", "error_code": 1002}),
        ({"otp": "wrong"}, 422, {"message": "The code is wrong.", "error_code": 1004}),
        (
            {"otp": "wrong", "lang": "ar"},
            422,
            {"message": "الرمز غير صحيح.", "error_code": 1004},
        ),
        (
            {"transaction_id": "unknown"},
            422,
            {"message": "There is no such transaction.", "error_code": 1007},
        ),
    ],
)
def test_verify_is_refused(
    sandbox: Sandbox,
    send: Way,
    path: str,
    changes: dict[str, Any],
    status: int,
    body: dict[str, Any],
) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    answered = sandbox.verify(message, path, **changes)
    assert (answered.status, answered.json) == (status, body)
    assert sandbox.verify(message, path).status == 200


@WAYS
def test_code_expires(sandbox: Sandbox, send: Way, path: str) -> None:
    send(sandbox)
    sandbox.clock.now = 1
    send(sandbox)
    newest, oldest = sandbox.inbox()
    sandbox.clock.now = 600
    assert sandbox.verify(newest, path).status == 200
    answered = sandbox.verify(oldest, path, lang="ar")
    refusal = {"message": "انتهت صلاحية الرمز.", "error_code": 1005}
    assert (answered.status, answered.json) == (422, refusal)


@pytest.mark.parametrize(
    ("send", "wrong_path", "right_path"),
    [
        (Client.send, EMAIL_VERIFY_PATH, VERIFY_PATH),
        (Client.send_email, VERIFY_PATH, EMAIL_VERIFY_PATH),
    ],
)
def test_code_is_verified_the_way_it_came(
    sandbox: Sandbox, send: Way, wrong_path: str, right_path: str
) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    assert sandbox.verify(message, wrong_path).json["error_code"] == 1007
    assert sandbox.verify(message, right_path).status == 200


def test_code_belongs_to_its_transaction(sandbox: Sandbox) -> None:
    sandbox.send()
    code = sandbox.inbox()[0]["code"]
    sent = sandbox.send(phone_number="01000000200").json["transaction_id"]
    answered = sandbox.verify({"code": code, "transaction_id": sent})
    assert (answered.status, answered.json["error_code"]) == (422, 1007)


def test_code_outlives_its_message(sandbox: Sandbox) -> None:
    sandbox.send()
    [message] = sandbox.inbox()
    sandbox.ask("DELETE", "/inbox/")
    assert sandbox.verify(message).status == 200


def test_verify_costs_a_use_of_the_token(sandbox: Sandbox) -> None:
    token = sandbox.token()
    sandbox.send(token)
    [message] = sandbox.inbox()
    assert sandbox.verify(message, token=token, otp="wrong").status == 422
    assert sandbox.verify(message, token=token).status == 200
    assert sandbox.verify(message, token=token).status == 403


def test_code_is_verified_once_by_many_at_once(sandbox: Sandbox) -> None:
    sandbox.send()
    [message] = sandbox.inbox()

    def verify(_: int) -> int:
        with Client(sandbox.port) as client:
            return client.verify(message).status

    with ThreadPoolExecutor(10) as threads:
        assert sorted(threads.map(verify, range(30))) == [200] + [422] * 29


def test_codes_forget_the_oldest() -> None:
    codes = Codes(lifetime=600, clock=Clock())
    oldest, second, *_ = [codes.issue() for _ in range(CODES_KEPT + 1)]
    found = [
        codes.spend(transaction_id=code.transaction_id, digits=code.digits)
        for code in (oldest, second)
    ]
    assert found == [Verdict.UNKNOWN, Verdict.RIGHT]


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


def ask_for_silence(client: Client) -> socket.socket:
    """A connection whose message is in the inbox and whose answer never comes."""
    token = client.token()
    body = json.dumps({"phone_number": "01000000598", "bundle_key": "sandbox"})
    head = (
        f"POST {SEND_PATH} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", client.port))
    sock.sendall((head + body).encode())
    next(filter(None, iter(client.inbox, None)))  # asked again until there is a message
    return sock


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


def test_inbox_shows_messages_newest_first(sandbox: Sandbox) -> None:
    first = sandbox.send().json["transaction_id"]
    second = sandbox.send(phone_number="01112345678", lang="ar").json["transaction_id"]
    newest, oldest = sandbox.inbox()
    assert set(newest) == {
        "phone_number",
        "email",
        "code",
        "lang",
        "text",
        "transaction_id",
        "sent_at",
    }
    assert (newest["transaction_id"], oldest["transaction_id"]) == (second, first)
    assert (newest["phone_number"], oldest["phone_number"]) == ("01112345678", PHONE_NUMBER)
    assert newest["sent_at"] >= oldest["sent_at"]


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        (None, "{code} is your verification code. It expires in 10 minutes."),
        ("en", "{code} is your verification code. It expires in 10 minutes."),
        ("ar", "رمز التحقق الخاص بك هو {code}. تنتهي صلاحيته خلال 10 دقائق."),
    ],
)
def test_message_is_in_the_language_of_the_send(
    sandbox: Sandbox, lang: str | None, text: str
) -> None:
    sandbox.send(lang=lang)
    [message] = sandbox.inbox()
    assert re.fullmatch("[0-9]{6}", message["code"])
    assert message["lang"] == (lang or "en")
    assert message["text"] == text.format(code=message["code"])


@pytest.mark.parametrize(
    ("query", "phone_numbers"),
    [
        ("?format=json", ["01112345678", PHONE_NUMBER]),
        ("?format=json&phone_number=01112345678", ["01112345678"]),
        ("?format=json&phone_number=01212345678", []),
    ],
)
def test_inbox_of_one_number(sandbox: Sandbox, query: str, phone_numbers: list[str]) -> None:
    sandbox.send()
    sandbox.send(phone_number="01112345678")
    assert [message["phone_number"] for message in sandbox.inbox(query)] == phone_numbers


def test_message_has_a_number_or_an_address(sandbox: Sandbox) -> None:
    sandbox.send_email()
    sandbox.send()
    recipients = [(message["phone_number"], message["email"]) for message in sandbox.inbox()]
    assert recipients == [(PHONE_NUMBER, ""), ("", EMAIL)]


def page(sandbox: Sandbox, query: str = "") -> str:
    answered = sandbox.ask("GET", f"/inbox/{query}")
    assert answered.status == 200
    assert answered.headers["Content-Type"] == "text/html; charset=utf-8"
    return answered.body.decode()


def recipients_on(shown: str) -> list[str]:
    return [html.unescape(found) for found in re.findall('<bdi dir="ltr">(.*?)</bdi>', shown)]


@pytest.mark.parametrize(
    ("query", "recipients"),
    [
        ("", [EMAIL, "01112345678", PHONE_NUMBER]),
        ("?format=html", [EMAIL, "01112345678", PHONE_NUMBER]),
        ("?phone_number=01112345678", ["01112345678"]),
        ("?phone_number=01212345678", []),
    ],
)
def test_page_shows_messages_newest_first(
    sandbox: Sandbox, query: str, recipients: list[str]
) -> None:
    sandbox.send()
    sandbox.send(phone_number="01112345678")
    sandbox.send_email()
    assert recipients_on(page(sandbox, query)) == recipients


@pytest.mark.parametrize(("lang", "direction"), [("en", "ltr"), ("ar", "rtl")])
def test_page_shows_a_message_in_its_language(sandbox: Sandbox, lang: str, direction: str) -> None:
    sandbox.send(lang=lang)
    [message] = sandbox.inbox()
    [item] = re.findall("<li.*</li>", page(sandbox))
    assert item.startswith(f'<li lang="{lang}" dir="{direction}">')
    assert f'<strong class="code">{message["code"]}</strong>' in item
    assert re.sub("<.*?>", "", item).endswith(message["text"])
    [sent_at] = re.findall('<time dir="ltr" datetime="(.*?)">', item)
    assert datetime.fromisoformat(sent_at) == datetime.fromisoformat(message["sent_at"])


def test_empty_page_says_what_to_do(sandbox: Sandbox) -> None:
    assert "None yet. Send an OTP, and its code appears here." in page(sandbox)
    sandbox.send()
    assert "1, newest first" in page(sandbox)


def test_page_shows_the_newest_of_many(sandbox: Sandbox) -> None:
    for number in range(MESSAGES_SHOWN + 1):
        code = Codes(lifetime=600, clock=sandbox.clock).issue()
        sandbox.server.valify.inbox.deliver(code, lang="en", email=f"{number}@example.com")
    shown = page(sandbox)
    assert f"The newest {MESSAGES_SHOWN} of {MESSAGES_SHOWN + 1}" in shown
    newest_first = [f"{number}@example.com" for number in range(MESSAGES_SHOWN, 0, -1)]
    assert recipients_on(shown) == newest_first


def test_page_escapes_what_came_from_a_request(sandbox: Sandbox) -> None:
    email = "<b>&amp;\"'</b>@example.com"
    assert sandbox.send_email(email=email).status == 200
    shown = page(sandbox, "?phone_number=%3Cb%3E&x=<b>") + page(sandbox)
    assert "<b>" not in shown
    assert recipients_on(shown) == [email]


def test_page_allows_its_own_style_and_script_only(sandbox: Sandbox) -> None:
    answered = sandbox.ask("GET", "/inbox/")
    policy = answered.headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": hash_of("style", answered.body),
        "script-src": hash_of("script", answered.body),
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert "X-Frame-Options" not in answered.headers
    assert answered.headers["Cache-Control"] == "no-store"


def hash_of(tag: str, body: bytes) -> str:
    [content] = re.findall(f"<{tag}>(.*?)</{tag}>".encode(), body, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


def test_page_refreshes_itself_without_scripts_too(sandbox: Sandbox) -> None:
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page(sandbox)


def test_unknown_format_is_refused(sandbox: Sandbox) -> None:
    answered = sandbox.ask("GET", "/inbox/?format=xml")
    message = "Bad Request: format is neither html nor json"
    assert (answered.status, answered.json) == (400, {"message": message})


def test_inbox_is_emptied(sandbox: Sandbox) -> None:
    sandbox.send()
    answered = sandbox.ask("DELETE", "/inbox/")
    assert (answered.status, answered.json) == (200, {"messages": []})
    assert sandbox.inbox() == []


def test_inbox_forgets_its_oldest_messages() -> None:
    inbox = Inbox()
    code = Codes(lifetime=600, clock=Clock()).issue()
    oldest = inbox.deliver(code, lang="en", phone_number=PHONE_NUMBER)
    for _ in range(MESSAGES_KEPT - 1):
        inbox.deliver(code, lang="ar", phone_number=PHONE_NUMBER)
    assert inbox.messages()[-1] == oldest
    inbox.deliver(code, lang="ar", phone_number=PHONE_NUMBER)
    assert len(inbox.messages()) == MESSAGES_KEPT
    assert inbox.messages()[-1] != oldest


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


def test_token_is_never_spent_more_often_than_it_serves(sandbox: Sandbox) -> None:
    token = sandbox.token()

    def send(_: int) -> int:
        with Client(sandbox.port) as client:
            return client.send(token).status

    with ThreadPoolExecutor(10) as threads:
        assert sorted(threads.map(send, range(30))) == [200] * 3 + [403] * 27


def client_of(base_url: str) -> Client:
    return Client(urlsplit(base_url).port)


def start(*command: str, **env: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("sent_signal", [signal.SIGINT, signal.SIGTERM])
def test_process_ends_cleanly_on_a_signal(sent_signal: signal.Signals) -> None:
    # A shell has it ignored in what it runs in the background, and so in the children of that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with start("django_valify_otp.sandbox", "--port", "0") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert re.fullmatch(r"Valify sandbox on http://127\.0\.0\.1:[0-9]+\n", line)
        assert ValifySandbox(line.split()[-1]).inbox() == []
        process.send_signal(sent_signal)
        assert process.communicate() == ("", "")
        assert process.returncode == 0


def test_process_ends_cleanly_in_the_middle_of_a_silence() -> None:
    with start("django_valify_otp.sandbox", "--port", "0") as process:
        assert process.stdout
        base_url = process.stdout.readline().split()[-1]
        with client_of(base_url) as client, ask_for_silence(client) as sock:
            process.terminate()
            assert process.communicate() == ("", "")
            assert process.returncode == 0
            assert sock.recv(1) == b""


def test_process_ends_with_its_standard_input() -> None:
    with start("django_valify_otp.sandbox", "--port", "0", "--exit-on-eof") as process:
        output, errors = process.communicate("anything")
    assert output.startswith("Valify sandbox on ")
    assert (errors, process.returncode) == ("", 0)


def test_process_has_the_tokens_of_its_options() -> None:
    options = ["--token-lifetime=60", "--token-uses=1"]
    with running_sandbox(*options) as running, client_of(running.base_url) as client:
        token = client.fetch_token().json
        assert token["expires_in"] == 60
        assert client.send(token["access_token"]).json["trials_remaining"] == "0"
        assert client.send(token["access_token"]).status == 403


def test_process_has_the_codes_of_its_options() -> None:
    with running_sandbox("--code-lifetime=1") as running, client_of(running.base_url) as client:
        client.send()
        [message] = client.inbox()
        time.sleep(1)
        assert client.verify(message).json["error_code"] == 1005


def test_process_that_does_not_start_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack, pytest.raises(RuntimeError, match="did not start"):
        stack.enter_context(running_sandbox("--token-uses=0"))
    assert "invalid count value: '0'" in capfd.readouterr().err


def test_answer_of_something_else_is_reported(server: ScriptedServer) -> None:
    server.answers["/inbox/?format=json"] = [answer(404)]
    with pytest.raises(RuntimeError, match="answered 404 to GET"):
        ValifySandbox(server.base_url).inbox()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], (8900, 600, 3, 600, False)),
        (["--port", "0", "--exit-on-eof"], (0, 600, 3, 600, True)),
        (["--token-lifetime", "1", "--token-uses", "100"], (8900, 1, 100, 600, False)),
        (["--code-lifetime", "1"], (8900, 600, 3, 1, False)),
    ],
)
def test_options(arguments: list[str], options: tuple[int, int, int, int, bool]) -> None:
    parsed = build_parser().parse_args(arguments)
    assert options == (
        parsed.port,
        parsed.token_lifetime,
        parsed.token_uses,
        parsed.code_lifetime,
        parsed.exit_on_eof,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port=-1"],
        ["--port", "http"],
        ["--token-lifetime", "0"],
        ["--token-uses", "0"],
        ["--code-lifetime", "0"],
        ["--token-uses", "many"],
    ],
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "invalid" in capsys.readouterr().err


def test_port_in_use_is_said_in_plain_words(sandbox: Sandbox) -> None:
    port = sandbox.server.server_port
    reason = os.strerror(errno.EADDRINUSE)
    said = f"Port {port} cannot be used: {reason}. Choose another with --port."
    with pytest.raises(SystemExit, match=re.escape(said)):
        main(["--port", str(port)])
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("valify_sandbox", port=port)


def test_command_needs_no_database() -> None:
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite:////nowhere/at/all"}
    with start("django", "valify_sandbox", "--port", "0", **env) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("Valify sandbox on http://127.0.0.1:")
        assert ValifySandbox(line.split()[-1]).inbox() == []
        process.terminate()
        assert process.communicate() == ("", "")
        assert process.returncode == 0


def test_fixture_points_the_settings_at_a_sandbox(
    settings: Settings, request: pytest.FixtureRequest
) -> None:
    settings.VALIFY_OTP = {"DEADLINE": 7, "BUNDLE_KEY": "tests", "GLOBAL_SEND_LIMITS": ["1/1d"]}
    running = request.getfixturevalue("valify_sandbox")
    assert {
        "DEADLINE": 7,
        **SANDBOX_SETTINGS,
        "BASE_URL": running.base_url,
    } == settings.VALIFY_OTP


def test_fixture_shows_what_was_sent(
    valify_sandbox: ValifySandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with client_of(valify_sandbox.base_url) as client:
        transaction_id = client.send().json["transaction_id"]
        client.send(phone_number="01112345678")
    assert [m.phone_number for m in valify_sandbox.inbox()] == ["01112345678", PHONE_NUMBER]
    [message] = valify_sandbox.inbox(PHONE_NUMBER)
    assert isinstance(message, Message)
    assert message.transaction_id == transaction_id
    assert message.sent_at.tzinfo is not None
    assert message.code in message.text
    assert (message.recipient, message.email) == (PHONE_NUMBER, "")


def test_fixture_starts_with_an_empty_inbox(
    valify_sandbox_server: ValifySandbox, request: pytest.FixtureRequest
) -> None:
    with client_of(valify_sandbox_server.base_url) as client:
        client.send()
    assert valify_sandbox_server.inbox()
    assert request.getfixturevalue("valify_sandbox").inbox() == []


def test_fixture_says_that_it_needs_pytest_django(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("def test(valify_sandbox): ...")
    result = pytester.runpytest_subprocess("-p", "django_valify_otp.sandbox.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*valify_sandbox needs pytest-django; install it.*"])


def test_plugin_costs_runs_without_it_next_to_nothing() -> None:
    code = (
        "import sys, django_valify_otp.sandbox.pytest_plugin;"
        "print(*{'django', 'http', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "\n"
