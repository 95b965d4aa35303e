"""Everything that this app raises of its own, each with the ``code`` that rows and answers show.

No exception has a token, an OTP, a whole phone number or Valify's raw answer in its text or
arguments: those end in logs and error trackers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_valify_otp.models import OtpSend, OtpVerification


class ValifyOtpError(Exception):
    """An OTP was not sent or not verified, or it is not known whether it was.

    ``otp_send`` is the row that records the attempt, or ``None`` where none was written;
    ``verification`` is that of the try to verify it, ``None`` where Valify was not asked.
    ``retry_after`` is in seconds, ``None`` where nobody knows when it is worth trying again.
    """

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(
        self,
        message: str | None = None,
        *,
        otp_send: OtpSend | None = None,
        verification: OtpVerification | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message or self.message)
        self.otp_send = otp_send
        self.verification = verification
        self.retry_after = retry_after


class InvalidPhoneNumber(ValifyOtpError, ValueError):  # noqa: N818
    """Not one Egyptian mobile number. No row was written."""

    code = "invalid"
    message = "Give an Egyptian mobile number: 11 digits that begin with 01."


class SendLimitReached(ValifyOtpError):  # noqa: N818
    """A limit of this site allows no send now; ``retry_after`` is in seconds."""

    code = "send_limit_reached"
    message = "A send limit is reached; see the row's blocked_by."


class SendForbidden(ValifyOtpError):  # noqa: N818
    """Staff forbade sending to this number, from this address or for this user."""

    code = "send_forbidden"
    message = "A SendBlock forbids this send; see the row's blocked_by."


class SendingPaused(SendForbidden):
    """Staff stopped all sending."""

    code = "sending_paused"
    message = "A SendBlock has stopped all sending."


class IdempotencyConflict(ValifyOtpError):  # noqa: N818
    """The key is held by another request, or by this one's first attempt, still under way.

    ``otp_send`` is the row that holds it.
    """

    code = "idempotency_conflict"
    message = "This idempotency key is in use for another send, or its first send is under way."


class OtpRejected(ValifyOtpError):  # noqa: N818
    """Valify refused this send for a business reason; ``error_code`` is Valify's, as text."""

    code = "rejected"
    message = "Valify refused to send this OTP; see the row's error_code and valify_message."

    @property
    def error_code(self) -> str:
        """Valify's code of the reason, ``""`` where it gave none."""
        return self.otp_send.error_code if self.otp_send else ""


class ValifyMisconfigured(ValifyOtpError):  # noqa: N818
    """Valify does not accept our settings or credentials: ours to mend."""

    code = "valify_misconfigured"
    message = "Valify refused the call itself; check VALIFY_OTP with `manage.py valify_check`."


class ValifyBusy(ValifyOtpError):  # noqa: N818
    """Valify asks to slow down; ``retry_after`` is in seconds, ``None`` where it did not say."""

    code = "valify_busy"
    message = "Valify has too many requests; try again later."


class ValifyUnreachable(ValifyOtpError):  # noqa: N818
    """No connection to Valify, or no access token from it. Certainly nothing came of it."""

    code = "valify_unreachable"
    message = "Valify could not be reached and has seen nothing, so it is safe to try again."


class OutcomeUnknown(ValifyOtpError):  # noqa: N818
    """The call reached Valify and no usable answer came back: it may have done as asked."""

    code = "outcome_unknown"
    message = "Valify gave no usable answer; it may have done what it was asked for."


class CodeRejected(ValifyOtpError):  # noqa: N818
    """Valify says that the code is wrong or no longer good; ``error_code`` is Valify's."""

    code = "code_rejected"
    message = "Valify refused this code; see the row's error_code and valify_message."

    @property
    def error_code(self) -> str:
        """Valify's code of the reason, ``""`` where it gave none."""
        return self.verification.error_code if self.verification else ""


class CodeExpired(ValifyOtpError):  # noqa: N818
    """The send is older than ``VALIFY_OTP["CODE_LIFETIME"]``. Valify was not asked."""

    code = "code_expired"
    message = "This code has expired; send another."


class TooManyTries(ValifyOtpError):  # noqa: N818
    """The send has had its ``VALIFY_OTP["VERIFY_TRIES"]``. Valify was not asked."""

    code = "too_many_tries"
    message = "This send allows no further try; send another code."


class NotVerifiable(ValifyOtpError):  # noqa: N818
    """The send is not ``sent``, or was verified before."""

    code = "not_verifiable"
    message = "Only a send with status sent can be verified, and only once."


class InvalidVerificationToken(ValifyOtpError, ValueError):  # noqa: N818
    """Not a token that can be redeemed: forged, for another purpose, expired or redeemed."""

    code = "invalid_verification_token"
    message = "This verification token is not valid, or not any more."


# For a row that was settled earlier, or by somebody else.
BY_CODE: dict[str, type[ValifyOtpError]] = {
    error.code: error
    for error in (
        SendLimitReached,
        SendForbidden,
        SendingPaused,
        OtpRejected,
        ValifyMisconfigured,
        ValifyBusy,
        ValifyUnreachable,
        OutcomeUnknown,
        CodeRejected,
        NotVerifiable,
    )
}
