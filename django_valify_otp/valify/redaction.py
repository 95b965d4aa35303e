"""What Valify wrote, made fit to be kept: no secrets, no number, nothing that databases refuse."""

import html
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote, quote_plus

from django_valify_otp.phone_numbers import ascii_digits, mask

REDACTED = "***"
# Whatever stands between the digits: people and programs write numbers in many ways.
_DIGIT_RUN = re.compile(r"\+?\d(?:[\W_]{0,3}\d)*")
# NUL, which PostgreSQL refuses, and lone surrogates, which no encoding can write.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")


def redact(
    text: str, *, secrets: Iterable[str], phone_number: str, hides_code: Callable[[str], bool]
) -> str:
    """The text, clean, with secrets and codes hidden and the number masked, however spelt.

    ``hides_code`` says whether these digits must not be kept.
    """
    if not text:
        return ""
    text = redact_secrets(text, secrets)
    return _DIGIT_RUN.sub(lambda run: _masked(run[0], phone_number, hides_code), text)


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


def _masked(run: str, phone_number: str, hides_code: Callable[[str], bool]) -> str:
    digits = "".join(c for c in ascii_digits(run) if c.isascii() and c.isdigit())
    others = re.sub(rf"(?:0|20|0020)?{phone_number[1:]}", " ", digits).split()
    if any(hides_code(other) for other in others):
        return REDACTED
    return mask(phone_number) if phone_number[1:] in digits else run
