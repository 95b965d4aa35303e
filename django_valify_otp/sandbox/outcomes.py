"""What becomes of a call whose parameters are good."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from django_valify_otp.sandbox.answers import (
    Answer,
    NoAnswer,
    Reply,
    business_refusal,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.channels import Channel
from django_valify_otp.sandbox.codes import Verdict
from django_valify_otp.sandbox.inbox import Inbox


@dataclass(frozen=True, kw_only=True)
class Send:
    """One wish to send an OTP, and where its message goes."""

    channel: Channel
    recipient: str
    lang: str
    trials_remaining: int
    inbox: Inbox


Outcome = Callable[[Send], Reply]


def send_message(send: Send) -> Reply:
    """Success, with a message in the inbox."""
    return _result(send, success=True, transaction_id=_deliver(send))


def deny_success(send: Send) -> Reply:
    """A 200 that says no. No SMS is sent."""
    return _result(send, success=False, transaction_id=str(uuid.uuid4()))


def omit_transaction_id(send: Send) -> Reply:
    """Success, with an SMS in the inbox but no transaction ID in the answer."""
    _deliver(send)
    return _result(send, success=True)


def send_sms_then(ending: NoAnswer) -> Outcome:
    """An SMS in the inbox, and no answer."""

    def outcome(send: Send) -> Reply:
        _deliver(send)
        return ending

    return outcome


def always(answer: Answer) -> Outcome:
    """This answer, and no SMS."""
    return lambda _send: answer


FORCED_OUTCOMES: dict[str, Outcome] = {
    "01000000200": deny_success,
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
        Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            b"<html><body><h1>503 Service Unavailable</h1></body></html>\n",
            content_type="text/html; charset=utf-8",
        )
    ),
    "01000000598": send_sms_then(NoAnswer.SILENCE),
    "01000000599": send_sms_then(NoAnswer.HANG_UP),
}


# error_code, and message by language. As in business_refusal, the codes are the sandbox's own.
VERIFY_REFUSALS = {
    Verdict.WRONG: (1004, {"en": "The code is wrong.", "ar": "الرمز غير صحيح."}),
    Verdict.EXPIRED: (1005, {"en": "The code has expired.", "ar": "انتهت صلاحية الرمز."}),
    Verdict.SPENT: (1006, {"en": "The code was used before.", "ar": "سبق استخدام الرمز."}),
    Verdict.UNKNOWN: (
        1007,
        {"en": "There is no such transaction.", "ar": "لا توجد معاملة بهذا الرقم."},
    ),
}


def verify_answer(verdict: Verdict, *, lang: str) -> Answer:
    """A 200 for the right code, a 422 that says what is wrong with any other."""
    if verdict is Verdict.RIGHT:
        return json_answer({"verified": True})
    error_code, descriptions = VERIFY_REFUSALS[verdict]
    return business_refusal(error_code, descriptions[lang])


def _deliver(send: Send) -> str:
    code = send.channel.codes.issue()
    recipient = {send.channel.parameter: send.recipient}
    send.inbox.deliver(code, lang=send.lang, **recipient)
    return code.transaction_id


def _result(send: Send, *, success: bool, **more: str) -> Answer:
    return json_answer(
        {
            "result": {"success": success},
            **more,
            # Valify's documentation prints this number in quotes.
            "trials_remaining": str(send.trials_remaining),
        }
    )
