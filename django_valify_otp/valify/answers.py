"""How Valify's answers are read. Nothing here trusts their shape."""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from django_valify_otp.exceptions import (
    OtpRejected,
    OutcomeUnknown,
    ValifyBusy,
    ValifyMisconfigured,
    ValifyOtpError,
    ValifyUnreachable,
)
from django_valify_otp.valify.tokens import AccessToken, NoToken, is_usable
from django_valify_otp.valify.transport import NoReply, Reply

# Documented; also the most that is believed.
TOKEN_LIFETIME_SECONDS = 600
LARGEST_TRIALS = 32_767
LONGEST_TRANSACTION_ID = 255
MISCONFIGURED = {400, 401, 403, 404, 415}


class Outcome(StrEnum):
    """How an attempt ended, in the words of ``OtpSend.Status``."""

    SENT = "sent"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class SendAnswer:
    """What is known after an attempt to send. Its texts are not yet cut to any length.

    ``retry_after`` is in seconds; ``calls`` counts the requests to send that may have arrived.
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


def read_send(reply: Reply | NoReply) -> SendAnswer:
    """What the answer to a send means."""
    if isinstance(reply, NoReply):
        if reply.connected:
            return SendAnswer(
                outcome=Outcome.UNKNOWN, error=OutcomeUnknown, reason=reply.reason, calls=1
            )
        return SendAnswer(outcome=Outcome.FAILED, error=ValifyUnreachable, reason=reply.reason)
    body = _json_object(reply)
    transaction_id = read_transaction_id(body.get("transaction_id"))
    outcome, error, reason = _judge(reply.status, body, transaction_id)
    return SendAnswer(
        outcome=outcome,
        error=error,
        reason=reason,
        http_status=reply.status,
        transaction_id=transaction_id,
        trials_remaining=read_trials(body.get("trials_remaining")),
        error_code=as_text(body.get("error_code")),
        message=as_text(body.get("message")),
        retry_after=read_retry_after(reply.retry_after) if error is ValifyBusy else None,
        calls=1,
    )


def _judge(
    status: int, body: dict[str, Any], transaction_id: str
) -> tuple[Outcome, type[ValifyOtpError] | None, str]:
    if status == HTTPStatus.OK:
        return _judge_success(body, transaction_id)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Outcome.REJECTED, OtpRejected, ""
    if status in MISCONFIGURED or 300 <= status < 400:
        return Outcome.REJECTED, ValifyMisconfigured, f"HTTP {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Outcome.REJECTED, ValifyBusy, f"HTTP {status}"
    return Outcome.UNKNOWN, OutcomeUnknown, f"HTTP {status}"


def _judge_success(
    body: dict[str, Any], transaction_id: str
) -> tuple[Outcome, type[ValifyOtpError] | None, str]:
    result = body.get("result")
    success = result.get("success") if isinstance(result, dict) else None
    if success is True and transaction_id:
        return Outcome.SENT, None, ""
    if success is False:
        return Outcome.REJECTED, OtpRejected, "success is false"
    reason = "no transaction ID" if success is True else "no JSON that says success"
    return Outcome.UNKNOWN, OutcomeUnknown, reason


def without_token(token: NoToken) -> SendAnswer:
    """What it means for a send that there is no access token."""
    return SendAnswer(
        outcome=Outcome.FAILED, error=token.error, reason=token.reason, message=token.message
    )


def read_token(reply: Reply | NoReply, *, asked_at: float) -> AccessToken | NoToken:
    """The access token of an answer to the token call, which was made at ``asked_at``."""
    if isinstance(reply, NoReply):
        return NoToken(error=ValifyUnreachable, reason=f"token call: {reply.reason}")
    body = _json_object(reply)
    value = body.get("access_token")
    if reply.status == HTTPStatus.OK and is_usable(value):
        return AccessToken(value, asked_at + _lifetime(body.get("expires_in")))
    refused = 300 <= reply.status < 500 and reply.status != HTTPStatus.TOO_MANY_REQUESTS
    return NoToken(
        error=ValifyMisconfigured if refused else ValifyUnreachable,
        reason=f"token call: HTTP {reply.status}",
        message=as_text(body.get("error_description", body.get("error", body.get("message")))),
    )


def read_transaction_id(value: object) -> str:
    """The ID as text: 1 to 255 printable characters, or an integer; ``""`` for anything else.

    Blanks alone are no ID either: to some databases they are the same as no text.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or value.isspace():
        return ""
    return value if len(value) <= LONGEST_TRANSACTION_ID else ""


def read_trials(value: object) -> int | None:
    """``trials_remaining``, which is documented as an integer and printed in quotes."""
    trials = _whole_number(value)
    return trials if trials is not None and trials <= LARGEST_TRIALS else None


def read_retry_after(value: str | None) -> int | None:
    """The seconds of a ``Retry-After`` header, which may be a number or a date."""
    if value is None:
        return None
    seconds = _whole_number(value.strip())
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(value)
        # RFC 9110 has every HTTP date in UTC, said or not.
        passes = moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0, math.ceil(passes.total_seconds()))


def _whole_number(value: object) -> int | None:
    """A non-negative integer, also as a string of digits."""
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
    """Text as it is, anything else as JSON: what Valify means by it is not ours to guess."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""
