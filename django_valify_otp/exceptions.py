"""Everything that this app raises of its own, each with the ``code`` that rows and answers show.

No exception has a token, an OTP, a whole phone number or Valify's raw answer in its text or
arguments: those end in logs and error trackers.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from django_valify_otp.models import OtpSend, OtpVerification


class ValifyOtpError(Exception):
    """An OTP was not sent or not verified, or it is not known whether it was.

    ``otp_send`` is the row that records the attempt, or ``None`` where none was written;
    ``verification`` is that of the try to verify it, ``None`` where Valify was not asked.
    ``retry_after`` is in seconds, ``None`` where nobody knows when it is worth trying again.
    ``http_status`` is that of the endpoints' answer.
    """

    code: ClassVar[str]
    http_status: ClassVar[HTTPStatus]
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


class InvalidPhoneNumber(ValifyOtpError, ValueError):
    """Not one Egyptian mobile number. No row was written."""

    code = "invalid"
    http_status = HTTPStatus.BAD_REQUEST
    message = "Give an Egyptian mobile number: 11 digits that begin with 01."


class SendLimitReached(ValifyOtpError):
    """A limit of this site allows no send now; ``retry_after`` is in seconds."""

    code = "send_limit_reached"
    http_status = HTTPStatus.TOO_MANY_REQUESTS
    message = "A send limit is reached; see the row's blocked_by."


class SendForbidden(ValifyOtpError):
    """Staff forbade sending to this number, from this address or for this user."""

    code = "send_forbidden"
    http_status = HTTPStatus.FORBIDDEN
    message = "A SendBlock forbids this send; see the row's blocked_by."


class SendingPaused(SendForbidden):
    """Staff stopped all sending."""

    code = "sending_paused"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "A SendBlock has stopped all sending."


class IdempotencyConflict(ValifyOtpError):
    """The key is held by another request, or by this one's first attempt, still under way.

    ``otp_send`` is the row that holds it.
    """

    code = "idempotency_conflict"
    http_status = HTTPStatus.CONFLICT
    message = "This idempotency key is in use for another send, or its first send is under way."


class SiteBusy(ValifyOtpError):
    """This site's database gave no row in time, so Valify was not called; ``retry_after`` is 1.

    A lock, a deadlock, an exhausted pool, or a server that is away.
    """

    code = "site_busy"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "The database is too busy to record the call, so none was made; try again."

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message, retry_after=1)


class OtpRejected(ValifyOtpError):
    """Valify refused this send for a business reason; ``error_code`` is Valify's, as text."""

    code = "rejected"
    http_status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "Valify refused to send this OTP; see the row's error_code and valify_message."

    @property
    def error_code(self) -> str:
        """Return Valify's code of the reason, ``""`` where it gave none."""
        return self.otp_send.error_code if self.otp_send else ""


class ValifyMisconfigured(ValifyOtpError):
    """Valify does not accept our settings or credentials: ours to mend."""

    code = "valify_misconfigured"
    http_status = HTTPStatus.BAD_GATEWAY
    message = "Valify did not accept the settings or the credentials of this site."


class ValifyBusy(ValifyOtpError):
    """Valify asks to slow down; ``retry_after`` is in seconds, ``None`` where it did not say."""

    code = "valify_busy"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "Valify has too many requests; try again later."


class ValifyUnreachable(ValifyOtpError):
    """No connection to Valify, or no access token from it. Certainly nothing came of it."""

    code = "valify_unreachable"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "Valify could not be reached and has seen nothing, so it is safe to try again."


class QueueExpired(ValifyOtpError):
    """No worker took the attempt within ``VALIFY_OTP["QUEUE_LIFETIME"]``. Nothing was sent."""

    code = "queue_expired"
    http_status = HTTPStatus.SERVICE_UNAVAILABLE
    message = "No worker sent this OTP in time, and none will; it is safe to try again."


class OutcomeUnknown(ValifyOtpError):
    """The call reached Valify and no usable answer came back: it may have done as asked."""

    code = "outcome_unknown"
    http_status = HTTPStatus.GATEWAY_TIMEOUT
    message = "Valify gave no usable answer; it may have done what it was asked for."


class CodeRejected(ValifyOtpError):
    """Valify says that the code is wrong or no longer good; ``error_code`` is Valify's.

    ``tries_left`` is how many more tries the send allowed when this one was admitted.
    """

    tries_left: int | None = None
    code = "code_rejected"
    http_status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "Valify refused this code; see the row's error_code and valify_message."

    @property
    def error_code(self) -> str:
        """Return Valify's code of the reason, ``""`` where it gave none."""
        return self.verification.error_code if self.verification else ""


class CodeExpired(ValifyOtpError):
    """The send is older than ``VALIFY_OTP["CODE_LIFETIME"]``. Valify was not asked."""

    code = "code_expired"
    http_status = HTTPStatus.UNPROCESSABLE_ENTITY
    message = "This code has expired; send another."


class TooManyTries(ValifyOtpError):
    """The send has had its ``VALIFY_OTP["VERIFY_TRIES"]``. Valify was not asked."""

    code = "too_many_tries"
    http_status = HTTPStatus.TOO_MANY_REQUESTS
    message = "This send allows no further try; send another code."


class NotVerifiable(ValifyOtpError):
    """The send is not ``sent``, or was verified before."""

    code = "not_verifiable"
    http_status = HTTPStatus.CONFLICT
    message = "Only a send with status sent can be verified, and only once."


class InvalidVerificationToken(ValifyOtpError, ValueError):
    """Not a token that can be redeemed: forged, for another purpose, expired or redeemed."""

    code = "invalid_verification_token"
    http_status = HTTPStatus.BAD_REQUEST
    message = "This verification token is not valid, or not any more."


def _with_subclasses(error: type[ValifyOtpError]) -> Iterator[type[ValifyOtpError]]:
    yield error
    for subclass in error.__subclasses__():
        yield from _with_subclasses(subclass)


BY_CODE: dict[str, type[ValifyOtpError]] = {
    error.code: error for error in _with_subclasses(ValifyOtpError) if error is not ValifyOtpError
}
