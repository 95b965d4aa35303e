"""What Valify wrote, made fit to be kept: no secrets, no number, nothing that databases refuse."""

import html
import json
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote, quote_plus, unquote

from django_valify_otp.otps import Otp
from django_valify_otp.phone_numbers import ascii_digits, mask

REDACTED = "***"
# Whatever stands between the digits: people and programs write numbers in many ways.
_DIGIT_RUN = re.compile(r"\+?\d(?:[\W_]{0,3}\d)*")
# Six digits, or groups of three, two or one that are six together.
_LIKE_AN_OTP = re.compile(
    r"(?<!\d)(?:\d{6}|\d{3}[\W_]{1,4}\d{3}|(?:\d{2}[\W_]{1,4}){2}\d{2}|(?:\d[\W_]{1,4}){5}\d)(?!\d)"
)
# NUL, which PostgreSQL refuses, and lone surrogates, which no encoding can write.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")


def redact(text: str, *, secrets: Iterable[str], phone_number: str) -> str:
    """The text, clean, with each secret hidden and the number masked, however they are spelt."""
    if not text:
        return ""
    text = redact_secrets(text, secrets)
    return _DIGIT_RUN.sub(lambda run: _masked(run[0], phone_number), text)


def redact_otp(text: str, otp: Otp) -> str:
    """The text, unless this OTP is in it, however it is spelt or spread."""
    digits = "".join(c for c in _plain(text) if c.isdecimal())
    return REDACTED if otp.digits in digits else text


def redact_any_otp(text: str) -> str:
    """The text without what could be an OTP; ``***`` if it is in a spelling of programs'."""
    text = _LIKE_AN_OTP.sub(REDACTED, text)
    return REDACTED if _LIKE_AN_OTP.search(_plain(text)) else text


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text, clean, with each secret hidden."""
    text = _REFUSED.sub("", text)
    spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = re.sub(re.escape(spelling), REDACTED, text, flags=re.IGNORECASE)
    return text


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }


def _masked(run: str, phone_number: str) -> str:
    digits = "".join(c for c in ascii_digits(run) if c.isascii() and c.isdigit())
    return mask(phone_number) if phone_number[1:] in digits else run


def _plain(text: str) -> str:
    """What the text says to a reader, with ASCII digits."""
    text = re.sub(r"<[^>]*>", "", html.unescape(unquote(text)))
    return ascii_digits(unicodedata.normalize("NFKC", text))
