"""Make Valify's texts safe to keep: without secrets, numbers and what a database refuses.

The deadline cannot interrupt this, and Valify chooses the texts. So each pattern and loop must take
time in proportion to the length of the text, whatever is in it.
"""

import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from urllib.parse import quote, quote_plus, unquote

from django_valify_otp.otps import Otp
from django_valify_otp.phone_numbers import ascii_digits, mask

REDACTED = "***"
# With up to three signs between two digits, as people and programs write numbers in many ways.
_DIGIT_RUN = re.compile(r"\+?\d(?:[\W_]{0,3}\d)*")
# Six digits, at once or in groups of three, two or one.
_LIKE_AN_OTP = re.compile(
    r"(?<!\d)(?:\d{6}|\d{3}[\W_]{1,4}\d{3}|(?:\d{2}[\W_]{1,4}){2}\d{2}|(?:\d[\W_]{1,4}){5}\d)(?!\d)"
)
_NO_DIGITS = re.compile(r"\D+")
# NUL, which PostgreSQL refuses, and lone surrogates, which no encoding can write.
_REFUSED = re.compile(r"[\x00\ud800-\udfff]")
_TAG = re.compile(r"<[^>]*>")
# html.unescape() would raise for a reference to a number of some thousand digits.
_ZEROS_OF_A_REFERENCE = re.compile(r"(&#[xX]?)0+(?=[0-9a-fA-F])")
_REFERENCE_TO_NOTHING = re.compile(r"&#[0-9]{8,};?")


def redact(text: str, *, secrets: Iterable[str], phone_number: str) -> str:
    """Hide each secret and mask the number, in every spelling. Drop what a database refuses."""
    if not text:
        return ""
    text = redact_secrets(text, secrets)
    return _DIGIT_RUN.sub(lambda run: _masked(run[0], phone_number), text)


def redact_otp(text: str, otp: Otp) -> str:
    """Return the text, or ``***`` if this OTP is in it, in any spelling, in one piece or not."""
    digits = _NO_DIGITS.sub("", _plain(text))
    return REDACTED if otp.digits in digits else text


def redact_any_otp(text: str) -> str:
    """Hide all that could be an OTP; the whole text if an encoding hides it from the pattern."""
    if not text:
        return ""
    text = _LIKE_AN_OTP.sub(REDACTED, text)
    return REDACTED if _LIKE_AN_OTP.search(_plain(text)) else text


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """Hide each secret, in upper and lower case. Drop what a database refuses."""
    text = _REFUSED.sub("", text)
    folded = _folded(text)
    spellings = {spelling for secret in secrets if secret for spelling in _spellings(secret)}
    for spelling in sorted(map(_folded, spellings), key=len, reverse=True):
        # Not by a pattern, whose time can grow with the length of the secret times the text.
        between = folded.split(spelling)
        text = REDACTED.join(_split_alike(text, between, gap=len(spelling)))
        folded = REDACTED.join(between)
    return text


def _folded(text: str) -> str:
    """Return the text without upper case, each character at the place where it was."""
    return text.lower() if text.isascii() else _each(_folded_character, text)


def _folded_character(character: str) -> str:
    folded = (character.casefold(), character.lower(), character)
    return next(text for text in folded if len(text) == 1)


def _split_alike(text: str, parts: list[str], *, gap: int) -> Iterator[str]:
    """Split the text into parts of the same lengths, with ``gap`` characters left out between."""
    start = 0
    for part in parts:
        yield text[start : start + len(part)]
        start += len(part) + gap


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
    digits = _NO_DIGITS.sub("", ascii_digits(run))
    return mask(phone_number) if phone_number[1:] in digits else run


def _plain(text: str) -> str:
    """Return the text as a reader sees it, without tags and encodings, with ASCII digits."""
    text = _without_tags(_unescaped(unquote(text)))
    # Character by character: to sort a long run of combining marks takes more than linear time.
    return ascii_digits(_each(partial(unicodedata.normalize, "NFKC"), text))


def _each(change: Callable[[str], str], text: str) -> str:
    """Change each character. Each different one is looked up once, however often it is there."""
    return text.translate({ord(character): change(character) for character in set(text)})


def _unescaped(text: str) -> str:
    text = _ZEROS_OF_A_REFERENCE.sub(r"\1", text)
    return html.unescape(_REFERENCE_TO_NOTHING.sub("\ufffd", text))


def _without_tags(text: str) -> str:
    # After the last ">", the pattern would search from each "<" to the end of the text.
    end = text.rfind(">") + 1
    return _TAG.sub("", text[:end]) + text[end:]
