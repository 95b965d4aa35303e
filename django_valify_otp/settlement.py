"""Write Valify's answers to the rows that wait for them, whatever the database does, and tell."""

import logging
import time
from dataclasses import replace
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError, router
from django.utils import timezone

from django_valify_otp.admission import reconnect
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.signals import otp_send_settled, otp_verified
from django_valify_otp.valify.answers import Answer, unknown

Row = OtpSend | OtpVerification

logger = logging.getLogger(__name__)

# Between the tries to write an answer: a database that restarts is away for some seconds.
WRITE_PAUSES_SECONDS = (0, 3, 1, 0.25)
# What mysqlclient raises as an OperationalError where a column's character set lacks a character.
MARIADB_INCORRECT_STRING = 1366
NO_RECORD = unknown("the process ended before it recorded an answer")
WELL_ENDED = {OtpSend.Status.SENT, OtpVerification.Status.VERIFIED}


def settle(row: Row, answer: Answer) -> bool:
    """Record the answer and tell the receivers, unless the row is settled: then ``False``.

    Raises the database's error if the answer cannot be recorded.
    """
    failure = None
    try:
        won = _write(row, answer)
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


def settle_as_lost(row: Row) -> bool:
    """Settle a row whose process has left no answer, unless it is settled: then ``False``."""
    return settle(row, NO_RECORD)


def announce(row: Row) -> None:
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


def presentable(error: Exception) -> Exception:
    """A database's error without its frames and texts, which may hold the whole row."""
    if isinstance(error, OperationalError | InterfaceError):
        return type(error)(*error.args)
    return type(error)("The database refused the row of an OTP.")


def _name(row: Row) -> str:
    return f"{'otp_send' if isinstance(row, OtpSend) else 'otp_verification'} id={row.uuid}"


def _facts(row: Row, answer: Answer) -> str:
    """What must not be lost, even if it cannot be written to the row."""
    if isinstance(row, OtpSend):
        return f"status={answer.outcome} transaction_id={answer.transaction_id}"
    return f"status={answer.outcome}"


def _write(row: Row, answer: Answer) -> bool:
    """Settle the row, over a lost connection and without the texts that the database refuses."""
    candidates = [
        unknown("the answer cannot be stored"),
        replace(answer, message="", error_code=""),
        answer,
    ]
    pauses = [*WRITE_PAUSES_SECONDS]
    settled_at = timezone.now()
    while True:
        columns = _columns(row, candidates[-1])
        try:
            won = row.settle(settled_at=settled_at, **columns)
        except (DataError, IntegrityError, OperationalError, InterfaceError) as error:
            if len(candidates if _is_refusal(error) else pauses) == 1:
                raise
            if _is_refusal(error):
                candidates.pop()
            else:
                time.sleep(pauses.pop())
                reconnect(router.db_for_write(type(row)))
        else:
            # A write that seemed to fail may have been done all the same.
            was_tried = len(pauses) < len(WRITE_PAUSES_SECONDS)
            is_ours = (row.settled_at, row.status) == (settled_at, columns["status"])
            return won or (was_tried and is_ours)


def _is_refusal(error: Error) -> bool:
    """Whether the database is well and does not take the text."""
    return isinstance(error, DataError | IntegrityError) or error.args[:1] == (
        MARIADB_INCORRECT_STRING,
    )


def _columns(row: Row, answer: Answer) -> dict[str, Any]:
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
