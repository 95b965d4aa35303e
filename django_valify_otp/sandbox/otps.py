"""OTPs. Each lives for a limited time and can be verified once."""

import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from django_valify_otp.sandbox.answers import SandboxAnswer, business_refusal, json_answer

# As many as the inbox keeps messages. Expired and used OTPs stay, so that verify can say which.
OTPS_KEPT = 10_000


@dataclass
class IssuedOtp:
    """Six digits, and the ID of the transaction that sent them."""

    transaction_id: str
    digits: str
    expires_at: float
    is_spent: bool = False


class OtpCheck(Enum):
    """What the check of some digits found."""

    RIGHT = auto()
    WRONG = auto()
    EXPIRED = auto()
    SPENT = auto()
    UNKNOWN = auto()


# Error code, and message by language. The error codes are the sandbox's own.
VERIFY_REFUSALS = {
    OtpCheck.WRONG: (1004, {"en": "The code is wrong.", "ar": "الرمز غير صحيح."}),
    OtpCheck.EXPIRED: (1005, {"en": "The code has expired.", "ar": "انتهت صلاحية الرمز."}),
    OtpCheck.SPENT: (1006, {"en": "The code was used before.", "ar": "سبق استخدام الرمز."}),
    OtpCheck.UNKNOWN: (
        1007,
        {"en": "There is no such transaction.", "ar": "لا توجد معاملة بهذا الرقم."},
    ),
}


class IssuedOtps:
    """The OTPs that were sent over one channel, safe for threads."""

    def __init__(self, *, lifetime: int, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._otps: dict[str, IssuedOtp] = {}

    def issue(self) -> IssuedOtp:
        """Return a new OTP. Earlier OTPs stay valid."""
        otp = IssuedOtp(
            transaction_id=str(uuid.uuid4()),
            digits=f"{secrets.randbelow(1_000_000):06}",
            expires_at=self._clock() + self._lifetime,
        )
        with self._lock:
            self._otps[otp.transaction_id] = otp
            if len(self._otps) > OTPS_KEPT:
                del self._otps[next(iter(self._otps))]
        return otp

    def spend(self, *, transaction_id: str, digits: str) -> OtpCheck:
        """Check the digits against the OTP of this transaction, and use it up if they are right."""
        with self._lock:
            otp = self._otps.get(transaction_id)
            if otp is None:
                return OtpCheck.UNKNOWN
            if otp.expires_at <= self._clock():
                return OtpCheck.EXPIRED
            if otp.is_spent:
                return OtpCheck.SPENT
            if otp.digits != digits:
                return OtpCheck.WRONG
            otp.is_spent = True
            return OtpCheck.RIGHT


def verify_answer(check: OtpCheck, *, lang: str) -> SandboxAnswer:
    """Return a 200 for the right digits, or a 422 that says what is wrong with others."""
    if check is OtpCheck.RIGHT:
        return json_answer({"verified": True})
    error_code, descriptions = VERIFY_REFUSALS[check]
    return business_refusal(error_code, descriptions[lang])
