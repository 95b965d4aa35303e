"""Attempts as CSV: a few rows in memory at a time, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async

from django_valify_otp.models import OtpSend, OtpSendQuerySet

BATCH_ROWS = 1000
# Without it, Excel takes the Arabic of UTF-8 for another encoding.
BYTE_ORDER_MARK = "\ufeff"
# Spreadsheets compute what begins with one of these; also in full width.
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
LINE_STARTS = ("\t", "\r", "\n")

COLUMNS: Mapping[str, Callable[[OtpSend], Any]] = {
    "id": lambda row: row.uuid,
    "created_at": lambda row: row.created_at,
    "called_at": lambda row: row.called_at,
    "settled_at": lambda row: row.settled_at,
    "duration_seconds": lambda row: row.duration and row.duration.total_seconds(),
    "status": lambda row: row.status,
    "code": lambda row: row.code,
    "phone_number": lambda row: row.masked_phone_number,
    "lang": lambda row: row.lang,
    "purpose": lambda row: row.purpose,
    "user": lambda row: row.user,
    "caller": lambda row: row.caller,
    "ip_address": lambda row: row.ip_address,
    "blocked_by": lambda row: row.blocked_by,
    "transaction_id": lambda row: row.transaction_id,
    "trials_remaining": lambda row: row.trials_remaining,
    "calls": lambda row: row.calls,
    "http_status": lambda row: row.http_status,
    "error_code": lambda row: row.error_code,
    "valify_message": lambda row: row.valify_message,
    "reason": lambda row: row.reason,
    "token_fingerprint": lambda row: row.token_fingerprint,
    "verified_at": lambda row: row.verified_at,
}


def csv_chunks(attempts: OtpSendQuerySet, *, whole_numbers: bool) -> Iterator[str]:
    """The attempts, newest first, under a line with the columns' names.

    Times are in ISO 8601, durations in seconds; numbers are masked unless ``whole_numbers``.
    """
    columns = {**COLUMNS}
    if whole_numbers:
        columns["phone_number"] = lambda row: row.phone_number
    yield BYTE_ORDER_MARK + _lines([list(columns)])
    for batch in attempts.select_related("user").in_batches(BATCH_ROWS):
        yield _lines([[_cell(value(row)) for value in columns.values()] for row in batch])


async def from_thread(chunks: Iterator[str]) -> AsyncIterator[str]:
    """The same for ASGI, which would read a plain iterator to its end before it sends anything."""
    following = sync_to_async(lambda: next(chunks, None))
    while (chunk := await following()) is not None:
        yield chunk


def _lines(rows: list[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    is_formula = text.lstrip().startswith(FORMULA_STARTS) or text.startswith(LINE_STARTS)
    return f"'{text}" if is_formula else text
