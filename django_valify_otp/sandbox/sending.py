"""Send OTPs by SMS and by e-mail, or do what the number forces."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from django_valify_otp.sandbox.answers import (
    MaybeAnswer,
    NoAnswer,
    Refusal,
    SandboxAnswer,
    business_refusal,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.inbox import Inbox
from django_valify_otp.sandbox.otps import IssuedOtps


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A way to reach people: SMS or e-mail.

    ``parameter`` names the recipient in a call; ``pattern`` matches every recipient that can be
    reached, and ``refusal`` is the answer for any other.
    """

    parameter: str
    pattern: str
    refusal: SandboxAnswer
    otps: IssuedOtps
    inbox: Inbox

    def require_recipient(self, recipient: str) -> None:
        """Raise ``Refusal`` if the recipient cannot be reached."""
        if not re.fullmatch(self.pattern, recipient):
            raise Refusal(self.refusal)

    def deliver(self, recipient: str, *, lang: str) -> str:
        """Put a message with a new OTP into the inbox, and return its transaction ID."""
        otp = self.otps.issue()
        self.inbox.deliver(otp, lang=lang, **{self.parameter: recipient})
        return otp.transaction_id


def sms_channel(otps: IssuedOtps, inbox: Inbox) -> Channel:
    """Return the channel to Egyptian mobile numbers."""
    return Channel(
        parameter="phone_number",
        pattern="01[0-9]{9}",
        refusal=business_refusal(1001, "This is not an Egyptian mobile number."),
        otps=otps,
        inbox=inbox,
    )


def email_channel(otps: IssuedOtps, inbox: Inbox) -> Channel:
    """Return the channel to everything that looks like an e-mail address."""
    return Channel(
        parameter="email",
        pattern="[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}[.][A-Za-z0-9-]{2,63}",
        refusal=business_refusal(1003, "This is not an e-mail address."),
        otps=otps,
        inbox=inbox,
    )


@dataclass(frozen=True, kw_only=True)
class SendCall:
    """A call that asks to send one OTP, and whose parameters are good."""

    channel: Channel
    recipient: str
    lang: str
    trials_remaining: int

    def deliver(self) -> str:
        """Put the message into the inbox, and return its transaction ID."""
        return self.channel.deliver(self.recipient, lang=self.lang)

    def result(self, *, success: bool, **more: str) -> SandboxAnswer:
        """Return a 200 that says whether the OTP was sent."""
        return json_answer(
            {
                "result": {"success": success},
                **more,
                # Valify's documentation prints this number in quotes.
                "trials_remaining": str(self.trials_remaining),
            }
        )


SendOutcome = Callable[[SendCall], MaybeAnswer]


def send_message(call: SendCall) -> MaybeAnswer:
    """Deliver the message and report success."""
    return call.result(success=True, transaction_id=call.deliver())


def report_failure(call: SendCall) -> MaybeAnswer:
    """Answer 200 with ``"success": false``, and deliver nothing."""
    return call.result(success=False, transaction_id=str(uuid.uuid4()))


def omit_transaction_id(call: SendCall) -> MaybeAnswer:
    """Deliver the message and report success without a transaction ID."""
    call.deliver()
    return call.result(success=True)


def deliver_then(ending: NoAnswer) -> SendOutcome:
    """Return the outcome that delivers the message and does not answer."""

    def outcome(call: SendCall) -> MaybeAnswer:
        call.deliver()
        return ending

    return outcome


def always(answer: SandboxAnswer) -> SendOutcome:
    """Return the outcome that gives this answer and delivers nothing."""
    return lambda _call: answer


FORCED_OUTCOMES: dict[str, SendOutcome] = {
    "01000000200": report_failure,
    "01000000201": omit_transaction_id,
    "01000000302": always(status_answer(HTTPStatus.FOUND, headers=(("Location", "/login/"),))),
    "01000000400": always(status_answer(HTTPStatus.BAD_REQUEST, "forced by the number")),
    "01000000401": always(status_answer(HTTPStatus.UNAUTHORIZED, "forced by the number")),
    "01000000403": always(status_answer(HTTPStatus.FORBIDDEN, "forced by the number")),
    "01000000404": always(status_answer(HTTPStatus.NOT_FOUND)),
    "01000000415": always(status_answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)),
    "01000000422": always(business_refusal(1000, "This number cannot receive an OTP.")),
    "01000000429": always(
        status_answer(HTTPStatus.TOO_MANY_REQUESTS, headers=(("Retry-After", "30"),))
    ),
    "01000000500": always(status_answer(HTTPStatus.INTERNAL_SERVER_ERROR)),
    "01000000503": always(
        SandboxAnswer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            b"<html><body><h1>503 Service Unavailable</h1></body></html>\n",
            content_type="text/html; charset=utf-8",
        )
    ),
    "01000000598": deliver_then(NoAnswer.SILENCE),
    "01000000599": deliver_then(NoAnswer.HANG_UP),
}


def answer_send(call: SendCall) -> MaybeAnswer:
    """Do what the recipient's number forces, or else send the message."""
    outcome = FORCED_OUTCOMES.get(call.recipient, send_message)
    return outcome(call)
