"""What each code means, in words for the caller who reads the answer and in words for staff."""

import math
from http import HTTPStatus
from typing import Any, NamedTuple

from django.utils.translation import npgettext, pgettext_lazy

from django_valify_otp import exceptions
from django_valify_otp.models import CallRecord, OtpSend, OtpVerification

# Of seconds, minutes and hours: more are told in the next unit.
LARGEST_COUNT = 99


class Texts(NamedTuple):
    """What to say of a send, and what of a verification where that needs other words."""

    send: Any
    verification: Any = None


TEXTS: dict[str, Texts] = {
    exceptions.SendLimitReached.code: Texts(
        pgettext_lazy("OTP", "It was too early for another code. Please try again later.")
    ),
    exceptions.SendForbidden.code: Texts(
        pgettext_lazy("OTP", "We cannot send codes to this number or at your request.")
    ),
    exceptions.SendingPaused.code: Texts(
        pgettext_lazy("OTP", "We are not sending codes at the moment. Please try again later.")
    ),
    exceptions.IdempotencyConflict.code: Texts(
        pgettext_lazy(
            "OTP",
            "This Idempotency-Key was used for another request, or its first request is still in"
            " progress.",
        )
    ),
    exceptions.SiteBusy.code: Texts(
        pgettext_lazy("OTP", "This site is very busy. Please try again in a moment.")
    ),
    exceptions.OtpRejected.code: Texts(
        pgettext_lazy("OTP", "The code could not be sent to this number.")
    ),
    exceptions.ValifyMisconfigured.code: Texts(
        pgettext_lazy("OTP", "The code could not be sent. The problem is on our side."),
        pgettext_lazy("OTP", "The code could not be checked. The problem is on our side."),
    ),
    exceptions.ValifyBusy.code: Texts(
        pgettext_lazy(
            "OTP", "Too many codes are being sent right now. Please try again in a moment."
        ),
        pgettext_lazy(
            "OTP", "Too many codes are being checked right now. Please try again in a moment."
        ),
    ),
    exceptions.ValifyUnreachable.code: Texts(
        pgettext_lazy("OTP", "The code could not be sent. Please try again."),
        pgettext_lazy("OTP", "The code could not be checked. Please try again."),
    ),
    exceptions.QueueExpired.code: Texts(
        pgettext_lazy("OTP", "The code could not be sent in time. Please ask for another.")
    ),
    exceptions.OutcomeUnknown.code: Texts(
        pgettext_lazy(
            "OTP",
            "We do not know whether the code was sent. Please wait a minute, then ask for another.",
        ),
        pgettext_lazy(
            "OTP", "We could not find out whether the code was correct. Please ask for a new one."
        ),
    ),
    exceptions.CodeRejected.code: Texts(
        pgettext_lazy("OTP", "This code is incorrect or has expired.")
    ),
    exceptions.CodeExpired.code: Texts(
        pgettext_lazy("OTP", "This code has expired. Please ask for a new one.")
    ),
    exceptions.TooManyTries.code: Texts(
        pgettext_lazy("OTP", "Too many incorrect codes. Please ask for a new one.")
    ),
    exceptions.NotVerifiable.code: Texts(
        pgettext_lazy("OTP", "This number is already verified, or no code was sent to it.")
    ),
}
# For staff, by an attempt's code, or by its status where it has no code.
EXPLANATIONS: dict[str, Any] = {
    OtpSend.Status.QUEUED: pgettext_lazy(
        "OTP", "This attempt waits for a worker. No SMS has been sent yet."
    ),
    OtpSend.Status.PENDING: pgettext_lazy(
        "OTP",
        "A call to Valify is under way. If that lasts longer than a minute, the process that made"
        " the call has stopped: the next run of valify_sweep marks the attempt as unknown.",
    ),
    OtpSend.Status.SENT: pgettext_lazy(
        "OTP",
        "Valify says that it has sent the SMS. If none arrives, the person may ask for another.",
    ),
    OtpSend.Code.SEND_LIMIT_REACHED: pgettext_lazy(
        "OTP",
        "A limit of this site refused it, so no SMS was sent. The person can try again later.",
    ),
    OtpSend.Code.SEND_FORBIDDEN: pgettext_lazy(
        "OTP", "A send block refused it, so no SMS was sent. Lift the block if it should not apply."
    ),
    OtpSend.Code.SENDING_PAUSED: pgettext_lazy(
        "OTP", "A send block stops all sending, so no SMS was sent. Lift the block to go on."
    ),
    OtpSend.Code.REJECTED: pgettext_lazy(
        "OTP",
        "Valify refused to send the SMS. The reason is in its error code and message; if they are"
        " not clear, ask Valify.",
    ),
    OtpSend.Code.VALIFY_MISCONFIGURED: pgettext_lazy(
        "OTP",
        "Valify did not accept this site's settings or credentials, so no SMS was sent. Correct"
        " VALIFY_OTP. valify_check tests all of it but the bundle key.",
    ),
    OtpSend.Code.VALIFY_BUSY: pgettext_lazy(
        "OTP", "Valify had too many requests, so no SMS was sent. It is safe to try again."
    ),
    OtpSend.Code.VALIFY_UNREACHABLE: pgettext_lazy(
        "OTP",
        "Valify could not be reached, so no SMS was sent. It is safe to try again. If there are"
        " many of these, look at the network and at Valify's status.",
    ),
    OtpSend.Code.QUEUE_EXPIRED: pgettext_lazy(
        "OTP",
        "No worker took it from the queue in time, so no SMS was sent. It is safe to try again. If"
        " there are many of these, look whether the workers and valify_sweep run.",
    ),
    OtpSend.Code.OUTCOME_UNKNOWN: pgettext_lazy(
        "OTP",
        "The call reached Valify and no usable answer came back. An SMS may have been sent, but its"
        " code cannot be verified: the person has to ask for another.",
    ),
}


def describe(row: CallRecord) -> str | None:
    """Return why it did not go well, ``None`` if it did.

    Valify's own text is for the caller only where Valify refused for a business reason, a 422.
    """
    if row.http_status == HTTPStatus.UNPROCESSABLE_ENTITY and row.valify_message:
        return row.valify_message
    if not row.code:
        return None
    texts = TEXTS[row.code]
    if isinstance(row, OtpVerification) and texts.verification:
        return str(texts.verification)
    return str(texts.send)


def describe_error(error: exceptions.ValifyOtpError) -> str:
    """Return the same for an error, which need not have a row of its own."""
    if isinstance(error, exceptions.SendLimitReached) and error.retry_after:
        return describe_wait(error.retry_after)
    row = own_row(error)
    return (row and describe(row)) or str(TEXTS[error.code].send)


def describe_wait(seconds: int) -> str:
    """Return how long to wait before the next send, in the largest unit that is not too coarse."""
    if seconds <= LARGEST_COUNT:
        text = npgettext(
            "OTP",
            "Please wait %(count)d second before you ask for another code.",
            "Please wait %(count)d seconds before you ask for another code.",
            seconds,
        )
        return text % {"count": seconds}
    minutes = math.ceil(seconds / 60)
    if minutes <= LARGEST_COUNT:
        text = npgettext(
            "OTP",
            "Please wait %(count)d minute before you ask for another code.",
            "Please wait %(count)d minutes before you ask for another code.",
            minutes,
        )
        return text % {"count": minutes}
    hours = math.ceil(seconds / 3600)
    if hours <= LARGEST_COUNT:
        text = npgettext(
            "OTP",
            "Please wait %(count)d hour before you ask for another code.",
            "Please wait %(count)d hours before you ask for another code.",
            hours,
        )
        return text % {"count": hours}
    days = math.ceil(seconds / 86_400)
    text = npgettext(
        "OTP",
        "Please wait %(count)d day before you ask for another code.",
        "Please wait %(count)d days before you ask for another code.",
        days,
    )
    return text % {"count": days}


def own_row(error: exceptions.ValifyOtpError) -> CallRecord | None:
    """Return the row that ended in this error, ``None`` if an earlier one or none is its reason."""
    row = error.verification or error.otp_send
    return row if row and row.code == error.code else None


def explain(otp_send: OtpSend) -> str:
    """Return one or two sentences for staff."""
    return str(EXPLANATIONS[otp_send.code or otp_send.status])
