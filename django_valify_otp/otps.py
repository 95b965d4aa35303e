"""OTPs as people type them."""

import re
from dataclasses import dataclass, field

from django_valify_otp.phone_numbers import DASHES, INVISIBLE, LONGEST_SPELLING, ascii_digits

OTP_LENGTH = 6


@dataclass(frozen=True)
class Otp:
    """Six digits, in no ``repr``: tracebacks show the variables of their frames."""

    digits: str = field(repr=False)


def read_otp(text: object) -> Otp:
    """The OTP in ASCII digits, without the spaces and dashes that people put into it.

    Raises ``ValueError`` for anything but six digits, of any script.
    """
    digits = _bare(text)
    if not re.fullmatch(rf"[0-9]{{{OTP_LENGTH}}}", digits):
        raise ValueError("otp must be six digits.")
    return Otp(digits)


def _bare(text: object) -> str:
    if not isinstance(text, str) or len(text) > LONGEST_SPELLING:
        return ""
    return "".join(c for c in ascii_digits(text) if not c.isspace() and c not in DASHES + INVISIBLE)
