"""The two ways to reach people, SMS and e-mail."""

import re
from dataclasses import dataclass

from django_valify_otp.sandbox.answers import Answer, Refusal, business_refusal
from django_valify_otp.sandbox.codes import Codes


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One way: the parameter that names a recipient, who can be one, and the codes that it sent."""

    parameter: str
    pattern: str
    refusal: Answer
    codes: Codes

    def require_recipient(self, recipient: str) -> None:
        """Raises ``Refusal`` if nobody can be reached under this name."""
        if not re.fullmatch(self.pattern, recipient):
            raise Refusal(self.refusal)


def sms_channel(codes: Codes) -> Channel:
    """SMS to Egyptian mobiles."""
    return Channel(
        parameter="phone_number",
        pattern="01[0-9]{9}",
        refusal=business_refusal(1001, "This is not an Egyptian mobile number."),
        codes=codes,
    )


def email_channel(codes: Codes) -> Channel:
    """E-mail to whatever looks like an address."""
    return Channel(
        parameter="email",
        pattern="[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}[.][A-Za-z0-9-]{2,63}",
        refusal=business_refusal(1003, "This is not an e-mail address."),
        codes=codes,
    )
