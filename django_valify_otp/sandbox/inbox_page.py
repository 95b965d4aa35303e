"""The page that shows the messages, in English or Arabic."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from html import escape
from http import HTTPStatus
from pathlib import Path
from string import Template

from django_valify_otp.sandbox.answers import Refusal, SandboxAnswer, SandboxRequest, status_answer
from django_valify_otp.sandbox.inbox import Inbox, Message, messages_answer

# The page is fetched every second, also in the middle of a load test.
MESSAGES_SHOWN = 100
DIRECTIONS = {"en": "ltr", "ar": "rtl"}
TEXTS = {
    "en": {
        "title": "Inbox of the Valify sandbox",
        "heading": "Messages",
        "note": "This is the sandbox's inbox: no SMS was sent.",
        "down": "The sandbox cannot be reached. Newer messages are missing.",
        "none": "None yet. Send an OTP, and its code appears here.",
        "newest": "The newest {shown} of {count}",
        "all": "{count}, newest first",
    },
    "ar": {
        "title": "صندوق الرسائل لبيئة Valify التجريبية",
        "heading": "الرسائل",
        "note": "هذا صندوق البيئة التجريبية: لم تُرسَل أي رسالة نصية فعلية.",
        "down": "تعذّر الوصول إلى البيئة التجريبية. الرسائل الأحدث غير معروضة.",
        "none": "لا توجد رسائل بعد. اطلب رمزًا وسيظهر هنا.",
        "newest": "أحدث {shown} من {count}",
        "all": "{count}، الأحدث أولًا",
    },
}


def show_messages(inbox: Inbox, request: SandboxRequest) -> SandboxAnswer:
    """Return the messages that the query string asks for, as a page or as JSON."""
    query = request.read_query()
    messages = inbox.messages(query.get("phone_number"))
    shown_as = query.get("format", "html")
    if shown_as == "html":
        return _page_answer(messages, lang=_read_lang(request))
    if shown_as == "json":
        return messages_answer(messages)
    return status_answer(HTTPStatus.BAD_REQUEST, "format is neither html nor json")


def _read_lang(request: SandboxRequest) -> str:
    """Return the language of the query string, else the first that the reader prefers."""
    wanted = request.read_query().get("lang")
    if wanted is None:
        return next((lang for lang in request.preferred_langs() if lang in TEXTS), "en")
    if wanted not in TEXTS:
        raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, "lang is neither en nor ar"))
    return wanted


def _page_answer(messages: Sequence[Message], *, lang: str) -> SandboxAnswer:
    return SandboxAnswer(
        HTTPStatus.OK,
        _render_page(messages, lang=lang).encode(),
        content_type="text/html; charset=utf-8",
        headers=(
            ("Cache-Control", "no-store"),
            ("Content-Security-Policy", _content_security_policy()),
        ),
    )


@cache
def _content_security_policy() -> str:
    # No frame-ancestors: a local site may show the inbox beside its own page.
    style, script = _hash_source("inbox.css"), _hash_source("inbox.js")
    return (
        f"default-src 'none'; style-src {style}; script-src {script}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )


def _hash_source(name: str) -> str:
    digest = hashlib.sha256(_read_file(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _render_page(messages: Sequence[Message], *, lang: str) -> str:
    return Template(_read_file("inbox.html")).substitute(
        TEXTS[lang],
        lang=lang,
        direction=DIRECTIONS[lang],
        style=_read_file("inbox.css"),
        script=_read_file("inbox.js"),
        summary=_summarize(len(messages), lang=lang),
        messages="\n".join(map(_render_message, messages[:MESSAGES_SHOWN])),
    )


def _summarize(count: int, *, lang: str) -> str:
    if not count:
        return TEXTS[lang]["none"]
    name = "newest" if count > MESSAGES_SHOWN else "all"
    return TEXTS[lang][name].format(shown=MESSAGES_SHOWN, count=count)


def _render_message(message: Message) -> str:
    code = escape(message.code)
    sent_at = message.sent_at.astimezone()
    return Template(_read_file("inbox_message.html")).substitute(
        lang=escape(message.lang),
        direction=DIRECTIONS[message.lang],
        recipient=escape(message.recipient),
        sent_at=sent_at.isoformat(),
        shown_at=f"{sent_at:%Y-%m-%d %H:%M:%S}",
        text=escape(message.text).replace(code, f'<strong class="code">{code}</strong>'),
    )


@cache
def _read_file(name: str) -> str:
    return Path(__file__).with_name(name).read_text("utf-8").strip()
