"""Record Valify's answers on the rows that wait for them, whatever the database does."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import Error, router

from django_valify_otp import database_clock
from django_valify_otp.conf import get_settings
from django_valify_otp.locking import is_transient, repeat
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.signals import otp_send_settled, otp_verified
from django_valify_otp.tracebacks import presentable
from django_valify_otp.valify.answers import Answer, expired, unknown

Record = OtpSend | OtpVerification

logger = logging.getLogger(__name__)

# Before each try to write an answer: a database that restarts is away for some seconds.
WRITE_PAUSES_SECONDS = (0, 0, 0.1, 0.25, 0.5, 1, 1, 1.5)
NO_RECORD = unknown("the process ended before it recorded an answer")
WELL_ENDED = {OtpSend.Status.SENT, OtpVerification.Status.VERIFIED}


def settle(row: Record, answer: Answer, *, at: datetime) -> bool:
    """Record the answer and tell the receivers, unless the row is settled: then ``False``.

    Raises the database's error if the answer cannot be recorded.
    """
    failure = None
    try:
        won = _record(row, answer, at)
    except (Error, ObjectDoesNotExist) as error:
        if answer is NO_RECORD and isinstance(error, ObjectDoesNotExist):
            return False
        failure = presentable(error)
    if failure:
        logger.critical("%s not settled: %s", _name(row), _facts(row, answer))
        raise failure
    if not won:
        logger.warning(
            "%s is settled: status=%s; late answer: %s", _name(row), row.status, _facts(row, answer)
        )
        return False
    if row.status == "unknown" and row.status != answer.outcome:
        logger.error("%s cannot store: %s", _name(row), _facts(row, answer))
    announce(row)
    return True


def settle_as_blocked(otp_send: OtpSend, *, code: str, blocked_by: str, at: datetime) -> None:
    """Record that a block stopped an attempt that had been admitted, and tell the receivers."""
    columns = {"status": OtpSend.Status.BLOCKED, "code": code, "blocked_by": blocked_by}
    if _write(otp_send, {**columns, "called_at": None, "settled_at": at}):
        announce(otp_send)


def settle_as_lost(row: Record, *, at: datetime) -> bool:
    """Settle a row whose process has left no answer, unless it is settled: then ``False``."""
    return settle(row, NO_RECORD, at=at)


def sweep() -> int:
    """Settle the rows that dead processes left ``pending``, and those too long in the queue.

    Return how many they were. Safe at any time, by many at once.
    """
    settings = get_settings()
    using = router.db_for_write(OtpSend)
    now = database_clock.now(using)
    lost = sum(
        settle_as_lost(row, at=now)
        for model in (OtpSend, OtpVerification)
        for row in model.objects.using(using).overdue(now, deadline=settings.deadline)
    )
    old = OtpSend.objects.using(using).queue_expired(now, queue_lifetime=settings.queue_lifetime)
    return lost + sum(settle(row, expired(), at=now) for row in old)


def settle_if_overdue(row: Record) -> None:
    """Settle a row whose call must be over, as a sweep would. If that fails, a sweep will."""
    if row.status not in row.OPEN:
        return
    with suppress(Error):
        now = database_clock.now(router.db_for_write(type(row)))
        settings = get_settings()
        if row.is_overdue(now, deadline=settings.deadline):
            settle_as_lost(row, at=now)
        elif isinstance(row, OtpSend) and row.is_queue_expired(
            now, queue_lifetime=settings.queue_lifetime
        ):
            settle(row, expired(), at=now)


def announce(row: Record) -> None:
    """Log how a row was settled, and send the signals."""
    logger.log(
        logging.INFO if row.status in WELL_ENDED else logging.WARNING,
        "%s status=%s code=%s reason=%s",
        _name(row),
        row.status,
        row.code,
        row.reason,
    )
    if isinstance(row, OtpSend):
        otp_send_settled.send_robust(sender=OtpSend, otp_send=row)
    elif row.status == OtpVerification.Status.VERIFIED:
        otp_verified.send_robust(sender=OtpVerification, otp_send=row.otp_send, verification=row)


def _name(row: Record) -> str:
    return f"{'otp_send' if isinstance(row, OtpSend) else 'otp_verification'} id={row.uuid}"


def _facts(row: Record, answer: Answer) -> str:
    """Return what must not be lost, even if it cannot be written to the row."""
    if isinstance(row, OtpSend):
        return f"status={answer.outcome} transaction_id={answer.transaction_id}"
    return f"status={answer.outcome}"


def _record(row: Record, answer: Answer, settled_at: datetime) -> bool:
    """Settle the row, if need be without the texts that the database refuses."""
    without_texts = replace(answer, message="", error_code="")
    for candidate in (answer, without_texts):
        try:
            return _write(row, {**_columns(row, candidate), "settled_at": settled_at})
        except Error as error:
            if is_transient(error):
                raise
    lost = unknown("the answer cannot be stored")
    return _write(row, {**_columns(row, lost), "settled_at": settled_at})


def _write(row: Record, columns: dict[str, Any]) -> bool:
    """Settle the row over locks and lost connections."""

    numbers = count()

    def write() -> bool:
        is_repeated = next(numbers) > 0
        won = row.settle(**columns)
        # A write that seemed to fail may have been done all the same.
        is_ours = (row.settled_at, row.status) == (columns["settled_at"], columns["status"])
        return won or (is_repeated and is_ours)

    return repeat(write, pauses=WRITE_PAUSES_SECONDS, using=router.db_for_write(type(row)))


def _columns(row: Record, answer: Answer) -> dict[str, Any]:
    columns = {
        "status": row.Status(answer.outcome),
        "code": answer.error.code if answer.error else "",
        "reason": answer.reason,
        "http_status": answer.http_status,
        "error_code": answer.error_code,
        "valify_message": answer.message,
        "token_fingerprint": answer.token_fingerprint,
        "calls": answer.calls,
    }
    if isinstance(row, OtpSend):
        columns |= {
            "transaction_id": answer.transaction_id,
            "trials_remaining": answer.trials_remaining,
        }
    return columns
