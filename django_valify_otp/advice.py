"""What became of an attempt, in a sentence, and what there is to do about it."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from django_valify_otp.models import OtpSend

ADVICE: dict[str, Any] = {
    OtpSend.Status.QUEUED: _("It waits for a worker; no SMS has left yet."),
    OtpSend.Status.PENDING: _(
        "A call to Valify is under way. If it stays so for more than a minute, its process has"
        " died: the next valify_sweep makes it unknown."
    ),
    OtpSend.Status.SENT: _(
        "Valify says that it has sent the SMS. If none arrives, the person may ask for another."
    ),
    OtpSend.Code.SEND_LIMIT_REACHED: _(
        "A limit of this site refused it, so no SMS was sent. The person can try again later."
    ),
    OtpSend.Code.SEND_FORBIDDEN: _(
        "A send block refused it, so no SMS was sent. Lift the block if it should not apply."
    ),
    OtpSend.Code.SENDING_PAUSED: _(
        "A send block stops all sending, so no SMS was sent. Lift the block to go on."
    ),
    OtpSend.Code.REJECTED: _(
        "Valify refused to send it, for the reason in its error code and message. Ask Valify if"
        " they do not say enough."
    ),
    OtpSend.Code.VALIFY_MISCONFIGURED: _(
        "Valify did not accept this site's settings or credentials, so no SMS was sent. Correct"
        " VALIFY_OTP; valify_check tells when it is right."
    ),
    OtpSend.Code.VALIFY_BUSY: _(
        "Valify had too many requests, so no SMS was sent. It is safe to try again."
    ),
    OtpSend.Code.VALIFY_UNREACHABLE: _(
        "Valify could not be reached, so no SMS was sent. It is safe to try again. If there are"
        " many of these, look at the network and at Valify's status."
    ),
    OtpSend.Code.OUTCOME_UNKNOWN: _(
        "The call reached Valify and no usable answer came back: an SMS may have been sent. Ask the"
        " person whether one has arrived before another is sent."
    ),
}


def advice_on(otp_send: OtpSend) -> str:
    """One or two sentences for who reads the record."""
    return str(ADVICE[otp_send.code or otp_send.status])
