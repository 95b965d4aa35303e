"""How Valify's answers are read. Nothing here trusts their shape."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from django_valify_otp.exceptions import (
    CodeRejected,
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
    """How it ended, in the words of ``OtpSend.Status`` and ``OtpVerification.Status``."""

    SENT = "sent"
    VERIFIED = "verified"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known after Valify was asked. Its texts are not yet cut to any length.

    ``retry_after`` is in seconds; ``calls`` counts the requests that may have arrived.
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


# What an answer means: the outcome, the error that says so, and what was seen.
_Verdict = tuple[Outcome, type[ValifyOtpError] | None, str]


def read_send(reply: Reply | NoReply) -> Answer:
    """What the answer to a send means."""
    return _read(reply, judge_success=_judge_send, refusal=OtpRejected)


def read_verify(reply: Reply | NoReply) -> Answer:
    """What the answer to a verification means."""
    return _read(reply, judge_success=_judge_verify, refusal=CodeRejected)


def _read(
    reply: Reply | NoReply,
    *,
    judge_success: Callable[[dict[str, Any]], _Verdict],
    refusal: type[ValifyOtpError],
) -> Answer:
    if isinstance(reply, NoReply):
        if reply.connected:
            return unknown(reply.reason)
        return Answer(outcome=Outcome.FAILED, error=ValifyUnreachable, reason=reply.reason)
    body = _json_object(reply)
    if reply.status == HTTPStatus.OK:
        outcome, error, reason = judge_success(body)
    else:
        outcome, error, reason = _judge_failure(reply.status, refusal)
    return Answer(
        outcome=outcome,
        error=error,
        reason=reason,
        http_status=reply.status,
        transaction_id=read_transaction_id(body.get("transaction_id")),
        trials_remaining=read_trials(body.get("trials_remaining")),
        error_code=as_text(body.get("error_code")),
        message=as_text(body.get("message")),
        retry_after=read_retry_after(reply.retry_after) if error is ValifyBusy else None,
        calls=1,
    )


def _judge_send(body: dict[str, Any]) -> _Verdict:
    result = body.get("result")
    success = result.get("success") if isinstance(result, dict) else None
    if success is False:
        return Outcome.REJECTED, OtpRejected, "success is false"
    if success is not True:
        return Outcome.UNKNOWN, OutcomeUnknown, "no JSON that says success"
    if not read_transaction_id(body.get("transaction_id")):
        return Outcome.UNKNOWN, OutcomeUnknown, "no transaction ID"
    return Outcome.SENT, None, ""


def _judge_verify(body: dict[str, Any]) -> _Verdict:
    if "verified" not in body:
        return Outcome.UNKNOWN, OutcomeUnknown, "no JSON that says verified"
    if body["verified"] is not True:
        return Outcome.REJECTED, CodeRejected, "verified is not true"
    return Outcome.VERIFIED, None, ""


def _judge_failure(status: int, refusal: type[ValifyOtpError]) -> _Verdict:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return Outcome.REJECTED, refusal, ""
    if status in MISCONFIGURED or 300 <= status < 400:
        return Outcome.REJECTED, ValifyMisconfigured, f"HTTP {status}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Outcome.REJECTED, ValifyBusy, f"HTTP {status}"
    return Outcome.UNKNOWN, OutcomeUnknown, f"HTTP {status}"


def unknown(reason: str) -> Answer:
    """What is known where a call may have arrived and no answer came."""
    return Answer(outcome=Outcome.UNKNOWN, error=OutcomeUnknown, reason=reason, calls=1)


def without_token(token: NoToken) -> Answer:
    """What it means that there is no access token."""
    return Answer(
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
