"""OTPs as people type them."""

import re
from dataclasses import dataclass, field

from django_valify_otp.phone_numbers import DASHES, INVISIBLE, LONGEST_SPELLING, ascii_digits


@dataclass(frozen=True)
class Otp:
    """Six digits, in no ``repr``: tracebacks show the variables of their frames."""

    digits: str = field(repr=False)


def read_otp(text: object) -> Otp | None:
    """The OTP in ASCII digits, without the spaces and dashes that people put into it.

    ``None`` for anything but six digits, of any script: an error raised here would show the text.
    """
    if not isinstance(text, str) or len(text) > LONGEST_SPELLING:
        return None
    digits = "".join(
        c for c in ascii_digits(text) if not c.isspace() and c not in DASHES + INVISIBLE
    )
    return Otp(digits) if re.fullmatch(r"[0-9]{6}", digits) else None
