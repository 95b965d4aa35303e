"""Egyptian mobile numbers: from any spelling to ``01xxxxxxxxx``, and masked for display."""

import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumberType

from django_valify_otp.exceptions import InvalidPhoneNumber

# Long enough for every spelling with separators and bidirectional marks.
LONGEST_SPELLING = 64
# 01, which all of Egypt's mobiles have.
SHORTEST_PREFIX = 2
DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\uff0d"
DOTS = ".\u00b7\uff0e"
PARENTHESES = "()\uff08\uff09"
# Left in the text by copying from right-to-left pages and contact cards; none is visible.
INVISIBLE = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
SEPARATORS = DASHES + DOTS + PARENTHESES + INVISIBLE


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script written in ASCII."""
    return "".join(
        str(digit) if (digit := unicodedata.decimal(character, None)) is not None else character
        for character in text
    )


def normalise(text: object) -> str:
    """The number as Valify takes it, ``01xxxxxxxxx``.

    Raises ``InvalidPhoneNumber`` for anything that is not one Egyptian mobile number.
    """
    national = _national_number(_bare(text))
    if national is None:
        raise InvalidPhoneNumber
    return f"0{national}"


def normalise_prefix(text: object) -> str:
    """The first digits of Egyptian mobiles as their numbers have them, such as ``0101``.

    Raises ``InvalidPhoneNumber`` for anything that no Egyptian mobile begins with.
    """
    prefix = re.sub(r"\A(?:(?:\+20|0020|20)0?|(?=1))", "0", _bare(text))
    if not re.fullmatch(r"01[0-9]{0,9}", prefix):
        raise InvalidPhoneNumber
    return prefix


def _bare(text: object) -> str:
    """ASCII digits after an optional plus."""
    if not isinstance(text, str) or len(text) > LONGEST_SPELLING:
        raise InvalidPhoneNumber
    number = ascii_digits(text).replace("\uff0b", "+")
    number = "".join(c for c in number if not c.isspace() and c not in SEPARATORS)
    # phonenumbers would read letters as a keypad does, and so reach a stranger.
    if not re.fullmatch(r"\+?[0-9]+", number):
        raise InvalidPhoneNumber
    return number


def _national_number(number: str) -> int | None:
    try:
        parsed = phonenumbers.parse(number, "EG")
    except phonenumbers.NumberParseException:
        return None
    if parsed.country_code != 20 or not phonenumbers.is_valid_number(parsed):
        return None
    if phonenumbers.number_type(parsed) != PhoneNumberType.MOBILE:
        return None
    return parsed.national_number


def mask(phone_number: str) -> str:
    """``01012345678`` as ``010*****678``: enough to recognise one's own, not to call it."""
    return f"{phone_number[:3]}{'*' * len(phone_number[3:-3])}{phone_number[-3:]}"
