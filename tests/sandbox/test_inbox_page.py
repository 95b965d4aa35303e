"""The messages, as people see them."""

import base64
import hashlib
import html
import re
from datetime import datetime

import pytest

from django_valify_otp.sandbox.inbox_page import MESSAGES_SHOWN, TEXTS
from django_valify_otp.sandbox.otps import IssuedOtps
from tests.sandbox.customer import EMAIL, PHONE_NUMBER, Sandbox


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


@pytest.mark.parametrize(
    ("query", "accepted", "lang"),
    [
        ("", "", "en"),
        ("?lang=ar", "en", "ar"),
        ("?lang=en", "ar", "en"),
        ("", "ar-EG,ar;q=0.9,en;q=0.8", "ar"),
        ("", "fr, en;q=0.5, AR;q=0.7", "ar"),
        ("", "en-US", "en"),
        ("", "fr", "en"),
        ("", "*;q=x", "en"),
    ],
)
def test_page_is_in_the_language_of_its_reader(
    sandbox: Sandbox, query: str, accepted: str, lang: str
) -> None:
    headers = {"Accept-Language": accepted} if accepted else {}
    shown = sandbox.ask("GET", f"/inbox/{query}", headers=headers).body.decode()
    assert f'<html lang="{lang}" dir="{"rtl" if lang == "ar" else "ltr"}">' in shown
    assert "$" not in shown
    for name in ("title", "heading", "note", "down", "none"):
        assert html.escape(TEXTS[lang][name], quote=False) in shown


def test_page_in_a_language_that_it_has_not(sandbox: Sandbox) -> None:
    refused = sandbox.ask("GET", "/inbox/?lang=fr")
    assert refused.status == 400
    assert refused.json["message"].endswith("lang is neither en nor ar")


def test_page_says_that_no_sms_was_sent(sandbox: Sandbox) -> None:
    assert "This is the sandbox's inbox: no SMS was sent." in page(sandbox)
    assert TEXTS["en"].keys() == TEXTS["ar"].keys()


def test_page_shows_the_newest_of_many(sandbox: Sandbox) -> None:
    for number in range(MESSAGES_SHOWN + 1):
        code = IssuedOtps(lifetime=600, clock=sandbox.clock.monotonic).issue()
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
