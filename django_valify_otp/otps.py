"""Read OTPs as people type them."""

import re
from dataclasses import dataclass, field

from django_valify_otp.phone_numbers import DASHES, INVISIBLE, LONGEST_SPELLING, ascii_digits


@dataclass(frozen=True)
class Otp:
    """Six digits, kept out of ``repr``, as error reports show the variables of each frame."""

    digits: str = field(repr=False)


def read_otp(text: object) -> Otp | None:
    """Return the OTP in ASCII digits, without the spaces and dashes that people type.

    Return ``None`` for anything but six digits of any script. An exception would hold the text, and
    so would an error report.
    """
    if isinstance(text, Otp):
        return text
    if not isinstance(text, str) or len(text) > LONGEST_SPELLING:
        return None
    digits = "".join(
        c for c in ascii_digits(text) if not c.isspace() and c not in DASHES + INVISIBLE
    )
    return Otp(digits) if re.fullmatch(r"[0-9]{6}", digits) else None
