"""Attempts as CSV: a few rows in memory at a time, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model

from django_valify_otp.models import OtpSendQuerySet
from django_valify_otp.phone_numbers import mask

BATCH_ROWS = 1000
# Without it, Excel takes the Arabic of UTF-8 for another encoding.
BYTE_ORDER_MARK = "\ufeff"
# Spreadsheets compute what begins with one of these; also in full width.
FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
LINE_STARTS = ("\t", "\r", "\n")

# The column's name, and where the attempt has it.
COLUMNS = {
    "id": "uuid",
    "created_at": "created_at",
    "called_at": "called_at",
    "settled_at": "settled_at",
    "status": "status",
    "code": "code",
    "phone_number": "phone_number",
    "lang": "lang",
    "purpose": "purpose",
    "user": f"user__{get_user_model().USERNAME_FIELD}",
    "caller": "caller",
    "ip_address": "ip_address",
    "blocked_by": "blocked_by",
    "transaction_id": "transaction_id",
    "trials_remaining": "trials_remaining",
    "calls": "calls",
    "http_status": "http_status",
    "error_code": "error_code",
    "valify_message": "valify_message",
    "reason": "reason",
    "token_fingerprint": "token_fingerprint",
    "verified_at": "verified_at",
}


def csv_chunks(attempts: OtpSendQuerySet, *, whole_numbers: bool) -> Iterator[str]:
    """The attempts, newest first, under a line with the columns' names.

    Times are in ISO 8601, durations in seconds; numbers are masked unless ``whole_numbers``.
    """
    yield BYTE_ORDER_MARK + _lines([[*COLUMNS, "duration_seconds"]])
    # Tuples: making models of them takes longer than all the rest.
    rows: Any = attempts.values_list("pk", *COLUMNS.values(), named=True)
    number = [*COLUMNS].index("phone_number")
    for batch in rows.in_batches(BATCH_ROWS):
        lines = [[_cell(value) for value in (*row[1:], _seconds(row))] for row in batch]
        if not whole_numbers:
            for line in lines:
                line[number] = mask(line[number])
        yield _lines(lines)


async def from_thread(chunks: Iterator[str]) -> AsyncIterator[str]:
    """The same for ASGI, which would read a plain iterator to its end before it sends anything."""
    following = sync_to_async(lambda: next(chunks, None))
    while (chunk := await following()) is not None:
        yield chunk


def _lines(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _seconds(row: Any) -> float | None:
    has_ended = row.settled_at and row.called_at
    return (row.settled_at - row.called_at).total_seconds() if has_ended else None


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if _is_formula(value) else value
    return value.isoformat() if isinstance(value, datetime) else value


def _is_formula(text: str) -> bool:
    is_harmless = text[:1].isalnum() or not text
    return not is_harmless and (
        text.lstrip().startswith(FORMULA_STARTS) or text.startswith(LINE_STARTS)
    )
