"""Read Valify's replies, which may have any shape, into answers."""

import json
import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from django_valify_otp.exceptions import (
    CodeRejected,
    OtpRejected,
    OutcomeUnknown,
    QueueExpired,
    ValifyBusy,
    ValifyMisconfigured,
    ValifyOtpError,
    ValifyUnreachable,
)
from django_valify_otp.valify.tokens import AccessToken, NoToken, is_usable
from django_valify_otp.valify.transport import NoReply, Reply

# As documented. A longer lifetime in a reply is not believed.
TOKEN_LIFETIME_SECONDS = 600
LARGEST_TRIALS = 32_767
LONGEST_TRANSACTION_ID = 255
# Enough for an HTTP date in any of its formats.
LONGEST_RETRY_AFTER = 64
MISCONFIGURED = {400, 401, 403, 404, 415}


class Outcome(StrEnum):
    """How a send or verify ended, as in ``OtpSend.Status`` and ``OtpVerification.Status``."""

    SENT = "sent"
    VERIFIED = "verified"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known after Valify was called. No text is cut to the length of its column.

    ``retry_after`` is in seconds; ``calls`` counts the calls that may have reached Valify.
    """

    outcome: Outcome
    error: type[ValifyOtpError] | None = None
    reason: str = ""
    http_status: int | None = None
    transaction_id: str = ""
    trials_remaining: int | None = None
    error_code: str = ""
    message: str = ""
    retry_after: int | None = None
    token_fingerprint: str = ""
    calls: int = 0


def read_send(reply: Reply | NoReply) -> Answer:
    """Return what the reply to a send means."""
    if isinstance(reply, NoReply):
        return _without_reply(reply)
    body = _json_object(reply)
    answer = _undecided(reply, body)
    if reply.status != HTTPStatus.OK:
        return _judge_status(answer, reply, refusal=OtpRejected)
    result = body.get("result")
    success = result.get("success") if isinstance(result, dict) else None
    if success is False:
        return _rejected(answer, OtpRejected, "success is false")
    if success is not True:
        return replace(answer, reason="no JSON that says success")
    if not answer.transaction_id:
        return without_transaction_id(answer)
    return replace(answer, outcome=Outcome.SENT, error=None, reason="")


def read_verify(reply: Reply | NoReply) -> Answer:
    """Return what the reply to a verification means."""
    if isinstance(reply, NoReply):
        return _without_reply(reply)
    body = _json_object(reply)
    answer = _undecided(reply, body)
    if reply.status != HTTPStatus.OK:
        return _judge_status(answer, reply, refusal=CodeRejected)
    if "verified" not in body:
        return replace(answer, reason="no JSON that says verified")
    if body["verified"] is not True:
        return _rejected(answer, CodeRejected, "verified is not true")
    return replace(answer, outcome=Outcome.VERIFIED, error=None, reason="")


def without_transaction_id(answer: Answer) -> Answer:
    """Return the answer for a success without a transaction ID, so that nobody can verify it."""
    return replace(
        answer, outcome=Outcome.UNKNOWN, error=OutcomeUnknown, reason="no transaction ID"
    )


def _without_reply(reply: NoReply) -> Answer:
    if reply.connected:
        return unknown(reply.reason)
    return Answer(outcome=Outcome.FAILED, error=ValifyUnreachable, reason=reply.reason)


def _undecided(reply: Reply, body: dict[str, Any]) -> Answer:
    """Return all that the reply says, with the outcome still unknown."""
    return Answer(
        outcome=Outcome.UNKNOWN,
        error=OutcomeUnknown,
        reason=f"HTTP {reply.status}",
        http_status=reply.status,
        transaction_id=read_transaction_id(body.get("transaction_id")),
        trials_remaining=read_trials(body.get("trials_remaining")),
        error_code=as_text(body.get("error_code")),
        message=as_text(body.get("message")),
    )


def _judge_status(answer: Answer, reply: Reply, *, refusal: type[ValifyOtpError]) -> Answer:
    """Return what a status other than 200 means; ``refusal`` is the error of a 422."""
    if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return _rejected(answer, refusal, "")
    if reply.status in MISCONFIGURED or 300 <= reply.status < 400:
        return _rejected(answer, ValifyMisconfigured, answer.reason)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        busy = _rejected(answer, ValifyBusy, answer.reason)
        return replace(busy, retry_after=read_retry_after(reply.retry_after))
    return answer


def _rejected(answer: Answer, error: type[ValifyOtpError], reason: str) -> Answer:
    return replace(answer, outcome=Outcome.REJECTED, error=error, reason=reason)


def unknown(reason: str) -> Answer:
    """Return the answer for a call that may have reached Valify, and that got no reply."""
    return Answer(outcome=Outcome.UNKNOWN, error=OutcomeUnknown, reason=reason, calls=1)


def interrupted(reason: str, *, calls: int) -> Answer:
    """Return the answer for an interruption after so many calls that may have reached Valify."""
    if calls:
        return replace(unknown(reason), calls=calls)
    return Answer(outcome=Outcome.FAILED, error=ValifyUnreachable, reason=reason)


def expired() -> Answer:
    """Return the answer for an attempt for which no call was made in time."""
    return Answer(outcome=Outcome.FAILED, error=QueueExpired, reason="too long in the queue")


def without_token(token: NoToken) -> Answer:
    """Return the answer where there is no access token."""
    return Answer(
        outcome=Outcome.FAILED, error=token.error, reason=token.reason, message=token.message
    )


def read_token(reply: Reply | NoReply, *, asked_at: float) -> AccessToken | NoToken:
    """Return the access token in the reply to a token call that began at ``asked_at``."""
    if isinstance(reply, NoReply):
        return NoToken(error=ValifyUnreachable, reason=f"token call: {reply.reason}")
    body = _json_object(reply)
    value = body.get("access_token")
    if reply.status == HTTPStatus.OK and is_usable(value):
        return AccessToken(value, asked_at + _lifetime(body.get("expires_in")))
    said = [as_text(body.get(name)) for name in ("error", "error_description")]
    refused = 300 <= reply.status < 500 and reply.status != HTTPStatus.TOO_MANY_REQUESTS
    return NoToken(
        error=ValifyMisconfigured if refused else ValifyUnreachable,
        reason=f"token call: HTTP {reply.status}",
        message=": ".join(filter(None, said)) or as_text(body.get("message")),
    )


def read_transaction_id(value: object) -> str:
    """Return the ID as text: 1 to 255 printable characters, or an integer; else ``""``.

    An ID of spaces alone is none: to some databases it equals the empty text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or value.isspace():
        return ""
    return value if len(value) <= LONGEST_TRANSACTION_ID else ""


def read_trials(value: object) -> int | None:
    """Return ``trials_remaining``: documented as an integer, and printed in quotes."""
    trials = _whole_number(value)
    return trials if trials is not None and trials <= LARGEST_TRIALS else None


def read_retry_after(value: str | None) -> int | None:
    """Return the seconds of a ``Retry-After`` header, which may be a number or a date."""
    if value is None or len(value) > LONGEST_RETRY_AFTER:
        return None
    seconds = _whole_number(value.strip())
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
        # By RFC 9110, every HTTP date is in UTC, also one that does not say so.
        passes = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0, math.ceil(passes.total_seconds()))


def _whole_number(value: object) -> int | None:
    """Return a non-negative integer, which may be written as a string of digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    return value


def _lifetime(value: object) -> int:
    seconds = _whole_number(value)
    return TOKEN_LIFETIME_SECONDS if seconds is None else min(seconds, TOKEN_LIFETIME_SECONDS)


def _json_object(reply: Reply) -> dict[str, Any]:
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def as_text(value: object) -> str:
    """Return text unchanged, and anything else as JSON, so that staff see what Valify wrote."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""
