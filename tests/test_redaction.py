"""Texts of Valify's that are made to cost time, or to slip through."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from django_valify_otp.exceptions import OutcomeUnknown
from django_valify_otp.otps import Otp
from django_valify_otp.valify.answers import read_retry_after, read_send, read_token, read_verify
from django_valify_otp.valify.bounded_http import BODY_LIMIT
from django_valify_otp.valify.redaction import (
    redact,
    redact_any_otp,
    redact_otp,
    redact_secrets,
)
from django_valify_otp.valify.transport import Reply
from tests.factories import NUMBER
from tests.failures import fail
from tests.scripted_server import ScriptedServer, answer

LONG_TOKEN = "a" * 8191 + "b"
SECRETS = ("tests-bundle-key", LONG_TOKEN, "1" * 99 + "2", "<" * 99 + "x", "\u0130" * 99 + "x")
# Far more than one of these takes, and less than what one took that was not linear.
CPU_SECONDS = 0.5

# Repeated to 64 KiB, each is the worst for some pattern or loop.
WORST = {
    "tags that never end": "<",
    "tags that begin": "<a",
    "empty tags": "<>",
    "combining marks": "\u0301\u0327",
    "marks in one character": "\u0f73",
    "a digit and its marks": "1\u0301\u0327\u0323",
    "characters that are whole sentences": "\ufdfa",
    "digits": "1",
    "digits of another script": "\u0661",
    "digits with spaces": "1 ",
    "digits with long gaps": "1    ",
    "digits with underscores": "1_",
    "almost OTPs": "12 34 5 ",
    "pairs of threes": "123 ",
    "plus signs": "+",
    "signed digits": "+1",
    "percent signs": "%",
    "half escapes": "%3",
    "escaped digits": "%31",
    "escapes of no UTF-8": "%c3\u00e9",
    "ampersands": "&",
    "half references": "&#",
    "references": "&#1",
    "entities without end": "&amp",
    "names of no entity": "&" + "a" * 32,
    "nested JSON": '{"a":',
    "brackets": "[",
    "quotes": '\\"',
    "spaces": " ",
    "NUL": "\x00",
    "lone surrogates": "\ud800",
    "most of a token": "a",
    "most of a token, in capitals": "A",
    "most of a secret": "\u0130",
    "a secret, again and again": "tests-bundle-key",
    "a secret in percent signs": "%3C",
}
WORST_WHOLE = {
    "a reference of many digits": "&#" + "1" * BODY_LIMIT,
    "a reference of many zeros": "&#" + "0" * BODY_LIMIT + "49;",
    "a reference of many hexadecimal digits": "&#x" + "f" * BODY_LIMIT,
    "one tag": "<" + "a" * BODY_LIMIT + ">",
    "a digit before the marks": "1" + "\u0301\u0327" * (BODY_LIMIT // 4),
    "characters that are there once": "".join(map(chr, range(0x100, 0x5600))),
    "many tokens but for a letter": ("a" * 8191 + "c") * 8,
}
TEXTS = {
    **{
        name: part * (BODY_LIMIT // len(part.encode(errors="replace")))
        for name, part in WORST.items()
    },
    **WORST_WHOLE,
}


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


@pytest.mark.parametrize("name", TEXTS)
def test_the_worst_text_takes_no_time(name: str) -> None:
    text = TEXTS[name]
    assert cpu_seconds(lambda: redact(text, secrets=SECRETS, phone_number=NUMBER)) < CPU_SECONDS
    assert cpu_seconds(lambda: redact_otp(text, Otp("482913"))) < CPU_SECONDS
    assert cpu_seconds(lambda: redact_any_otp(text)) < CPU_SECONDS


WORST_BODIES = {
    "brackets": b"[" * BODY_LIMIT,
    "objects": b'{"error_code":' * 4000 + b"1" + b"}" * 4000,
    "a nest that is read": b'{"message":' + b"[" * 900 + b"]" * 900 + b"}",
    "an integer": b'{"error_code": ' + b"9" * BODY_LIMIT + b"}",
    "integers": b'{"message": [' + (b"9" * 4299 + b",") * 15 + b"1]}",
    "a fraction": b'{"trials_remaining": 0.' + b"9" * BODY_LIMIT + b"}",
    "an exponent": b'{"transaction_id": 1e' + b"9" * BODY_LIMIT + b"}",
    "floats that grow": b'{"message": [' + b"1e15," * 13_000 + b"1]}",
    "escapes": b'{"message": "' + b"\\u0031" * 10_900 + b'"}',
    "backslashes": b'{"message": "' + b"\\" * BODY_LIMIT,
    "one key": b"{" + b'"a":1,' * 10_000 + b'"message":2}',
    "a token": b'{"access_token": "' + b"a" * 65_000 + b'"}',
    "a lifetime": b'{"access_token": "a", "expires_in": "' + b"9" * 65_000 + b'"}',
}


@pytest.mark.parametrize("name", WORST_BODIES)
def test_the_worst_body_takes_no_time(name: str) -> None:
    for status in (200, 422):
        reply = Reply(status, WORST_BODIES[name])
        assert cpu_seconds(partial(read_send, reply)) < CPU_SECONDS
        assert cpu_seconds(partial(read_verify, reply)) < CPU_SECONDS
        assert cpu_seconds(partial(read_token, reply, asked_at=0)) < CPU_SECONDS


@pytest.mark.parametrize(
    "part", ["9", " ", ",", ":", "-", "-a", "1 ", "Mon, ", "Mon, 01 Jan 2001 00:00:00 +", "."]
)
def test_the_worst_retry_after_takes_no_time(part: str) -> None:
    header = part * (BODY_LIMIT // len(part))
    assert cpu_seconds(lambda: read_retry_after(header)) < CPU_SECONDS
    assert read_retry_after(header) is None


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["tags that never end", "a reference of many digits"])
def test_the_worst_answer_is_recorded(valify: ScriptedServer, name: str) -> None:
    valify.answer_send(answer(200, {"result": {}, "message": TEXTS[name][:60_000]}))
    start = time.thread_time()
    assert fail(OutcomeUnknown).valify_message
    assert time.thread_time() - start < 4 * CPU_SECONDS


@pytest.mark.parametrize(
    "spelling",
    [
        "482913",
        "4 8 2 9 1 3",
        "4\u03018\u03012\u03019\u03011\u03013",
        "48<b>29</b>13",
        '482<b title="<">913',
        "&#52;&#56;2913",
        "&#0000052;&#x38;2913",
        "&#x0000034;82913",
        "%34%382913",
        "\uff14\uff18\uff12\uff19\uff11\uff13",
        "\u2463\u2467\u2461\u2468\u2460\u2462",
        "<482913",
        f"&#{'9' * 5000};482913",
    ],
)
def test_an_otp_is_hidden_in_every_spelling(spelling: str) -> None:
    text = f"Your code is {spelling} today"
    assert "***" in redact_any_otp(text)
    assert "82913" not in redact_any_otp(text)
    assert redact_otp(text, Otp("482913")) == "***"


@pytest.mark.parametrize("text", ["5 < 6", "a > b", "AT&T", "50%", "caf\u00e9", "&#9;", "12345"])
def test_what_is_no_otp_stays(text: str) -> None:
    assert redact_any_otp(text) == redact_otp(text, Otp("482913")) == text


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("one HUSH two hush", "one *** two ***"),
        ("HU\u017fH", "***"),
        ("\u0130 hush \u0130", "\u0130 *** \u0130"),
        ("\ufb06 hush \u00df Hush", "\ufb06 *** \u00df ***"),
        ("h\x00ush", "***"),
        ("hus", "hus"),
        ("stra\u00dfe STRA\u1e9eE", "*** ***"),
        ("a%26b A%26B a&amp;b", "*** *** ***"),
    ],
)
def test_secrets_are_hidden_in_any_case(text: str, hidden: str) -> None:
    assert redact_secrets(text, ["hush", "stra\u00dfe", "a&b", ""]) == hidden
