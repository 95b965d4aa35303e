"""Read Egyptian mobile numbers in any spelling as ``01xxxxxxxxx``, and mask them for display."""

import re
import unicodedata
from functools import cache
from typing import Any

import phonenumbers

from django_valify_otp.exceptions import InvalidPhoneNumber

# In digits, without leading zero, country code and separators.
SHORTEST_SPELLING = 10
# Long enough for every spelling with separators and bidirectional marks.
LONGEST_SPELLING = 64
# In digits: all Egyptian mobile numbers begin with 01.
SHORTEST_PREFIX = 2
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"
DOTS = ".\u00b7\uff0e"
PARENTHESES = "()\uff08\uff09"
# Invisible characters that come with a copy from a right-to-left page or a contact card.
INVISIBLE = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
SEPARATORS = DASHES + DOTS + PARENTHESES + INVISIBLE
BARE_NUMBER = re.compile(r"\+?[0-9]+")
# All that phonenumbers.parse() reads as ten digits of Egypt's, at a tenth of its price.
SPELLING = re.compile(r"(?:\+?(?:00)?200?|2000|0)?(1[0-9]{9})")
# Ten digits or more, as people write them and as programs do.
SPACED_DIGITS = re.compile(rf"[+\uff0b]?\d(?:[\s{re.escape(SEPARATORS)}]*\d){{9,}}")
BARE_DIGITS = re.compile(r"\d{10,}")


class PhoneNumber(str):
    """A number that was judged already, as ``01xxxxxxxxx``."""

    __slots__ = ()


def ascii_digits(text: str) -> str:
    """Return the text with the decimal digits of every script as ASCII digits."""
    return text.translate(
        {
            ord(character): str(digit)
            for character in set(text)
            if (digit := unicodedata.decimal(character, None)) is not None
        }
    )


def normalize(text: object) -> PhoneNumber:
    """Return the number as Valify takes it, ``01xxxxxxxxx``.

    Raise ``InvalidPhoneNumber`` for anything that is not one Egyptian mobile number.
    """
    if isinstance(text, PhoneNumber):
        return text
    spelled = SPELLING.fullmatch(_bare(text))
    if spelled is None or not _mobile_numbers().fullmatch(spelled[1]):
        raise InvalidPhoneNumber
    return PhoneNumber(f"0{spelled[1]}")


@cache
def _mobile_numbers() -> re.Pattern[str]:
    """Return what phonenumbers knows of Egyptian mobile numbers, without their leading zero."""
    egypt: Any = phonenumbers.PhoneMetadata.metadata_for_region("EG")
    return re.compile(egypt.mobile.national_number_pattern)


def normalize_prefix(text: object) -> str:
    """Return the first digits of Egyptian mobile numbers in national format, such as ``0101``.

    Raise ``InvalidPhoneNumber`` if no Egyptian mobile number begins with them.
    """
    prefix = re.sub(r"\A(?:(?:\+20|0020|20)0?|(?=1))", "0", _bare(text))
    if not re.fullmatch(r"01[0-9]{0,9}", prefix):
        raise InvalidPhoneNumber
    return prefix


def _bare(text: object) -> str:
    """Return an optional plus and ASCII digits. Raise ``InvalidPhoneNumber`` for anything else."""
    if not isinstance(text, str) or len(text) > LONGEST_SPELLING:
        raise InvalidPhoneNumber
    if BARE_NUMBER.fullmatch(text):
        return text
    number = ascii_digits(text).replace("\uff0b", "+")
    number = "".join(c for c in number if not c.isspace() and c not in SEPARATORS)
    # phonenumbers would read letters as on a keypad, and the OTP would go to a stranger.
    if not BARE_NUMBER.fullmatch(number):
        raise InvalidPhoneNumber
    return number


def mask(phone_number: str) -> str:
    """Mask ``01012345678`` as ``010*****678``: its owner recognizes it, and nobody can call it."""
    return f"{phone_number[:3]}{'*' * len(phone_number[3:-3])}{phone_number[-3:]}"


def mask_numbers(text: str) -> str:
    """Mask each phone number in a user's name or key, such as ``user:01012345678``."""
    if len(text) < SHORTEST_SPELLING:
        return text
    for digits in (SPACED_DIGITS, BARE_DIGITS):
        text = digits.sub(_mask_if_number, text)
    return text


def _mask_if_number(found: re.Match[str]) -> str:
    try:
        return mask(normalize(found[0]))
    except InvalidPhoneNumber:
        return found[0]
