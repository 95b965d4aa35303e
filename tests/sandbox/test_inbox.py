"""The messages, as programs read them, and who may."""

import re

import pytest

from django_valify_otp.sandbox.inbox import MESSAGES_KEPT, Inbox
from django_valify_otp.sandbox.otps import IssuedOtps
from tests.clock import Clock
from tests.sandbox.customer import EMAIL, PHONE_NUMBER, Sandbox


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


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "attacker.example:8900",
        "127.0.0.1.attacker.example",
        "localhost.attacker.example:8900",
        "attacker.example.",
        "localhost:8900, attacker.example",
        "[attacker.example]",
        "localhost\r\nHost: attacker.example",
    ],
)
def test_inbox_is_not_shown_under_the_name_of_a_web_page(
    sandbox: Sandbox, method: str, host: str
) -> None:
    """A page whose name resolves to 127.0.0.1 may read what that name answers."""
    sandbox.send()
    head = f"{method} /inbox/?format=json HTTP/1.1\r\nConnection: close\r\nHost: {host}\r\n\r\n"
    answered = sandbox.raw(head.encode())
    assert answered.startswith(b"HTTP/1.1 403 ")
    [message] = sandbox.inbox()
    assert message["code"].encode() not in answered


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8900",
        "localhost",
        "LOCALHOST:8900",
        "valify.localhost:8900",
        "[::1]:8900",
        "192.168.1.5:8900",
        "[fe80::1]",
        "sandbox:8900",
        "",
    ],
)
def test_inbox_is_shown_under_the_names_of_this_machine(sandbox: Sandbox, host: str) -> None:
    assert sandbox.ask("GET", "/inbox/", headers={"Host": host}).status == 200


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
    code = IssuedOtps(lifetime=600, clock=Clock().monotonic).issue()
    oldest = inbox.deliver(code, lang="en", phone_number=PHONE_NUMBER)
    for _ in range(MESSAGES_KEPT - 1):
        inbox.deliver(code, lang="ar", phone_number=PHONE_NUMBER)
    assert inbox.messages()[-1] == oldest
    inbox.deliver(code, lang="ar", phone_number=PHONE_NUMBER)
    assert len(inbox.messages()) == MESSAGES_KEPT
    assert inbox.messages()[-1] != oldest
