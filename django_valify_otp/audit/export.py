"""Write attempts as CSV: few rows in memory at a time, and safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model

from django_valify_otp.models import OtpSendQuerySet
from django_valify_otp.phone_numbers import mask, mask_numbers

BATCH_ROWS = 1000
# Without it, Excel takes the Arabic of UTF-8 for another encoding.
BYTE_ORDER_MARK = "\ufeff"
# Spreadsheets begin a cell at these: Excel in Arabic at semicolons, whatever the quotes say.
CELL_ENDS = ",;|\t\r\n\u060c\u061b"
# They compute a cell that begins with =, +, - or @, also in full width and after what is invisible.
FORMULA_SIGN = re.compile("[=+\\-@\uff1d\uff0b\uff0d\uff20]")
FORMULA_START = re.compile(rf"(?:\A|(?<=[{CELL_ENDS}]))(?=[^\w{CELL_ENDS}]*{FORMULA_SIGN.pattern})")

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
MASKS: dict[str, Callable[[str], str]] = {
    "phone_number": mask,
    "user": mask_numbers,
    "caller": mask_numbers,
}


def csv_chunks(attempts: OtpSendQuerySet, *, whole_numbers: bool) -> Iterator[str]:
    """Return the attempts, newest first, under a line with the names of the columns.

    Times are in ISO 8601, durations in seconds. Numbers are masked unless ``whole_numbers``,
    also where they are a user's name or key.
    """
    yield BYTE_ORDER_MARK + _lines([[*COLUMNS, "duration_seconds"]])
    # Tuples: making models of them takes longer than all the rest.
    rows: Any = attempts.values_list("pk", *COLUMNS.values(), named=True)
    masks = [None if whole_numbers else MASKS.get(column) for column in COLUMNS]
    for batch in rows.in_batches(BATCH_ROWS):
        yield _lines([[*map(_cell, row[1:], masks), _seconds(row)] for row in batch])


async def from_thread(chunks: Iterator[str]) -> AsyncIterator[str]:
    """Read the chunks in a thread for ASGI, which would hold a plain iterator back to its end."""
    following = sync_to_async(_next_chunk)
    while (chunk := await following(chunks)) is not None:
        yield chunk


def _next_chunk(chunks: Iterator[str]) -> str | None:
    return next(chunks, None)


def _lines(rows: list[list[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _seconds(row: Any) -> float | None:
    if row.settled_at is None or row.called_at is None:
        return None
    return float((row.settled_at - row.called_at).total_seconds())


def _cell(value: Any, mask_text: Callable[[str], str] | None) -> Any:
    if value and mask_text:
        value = mask_text(str(value))
    if isinstance(value, str):
        return _harmless(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _harmless(text: str) -> str:
    """Return the text with an apostrophe before whatever a spreadsheet would compute."""
    # Most texts have no such sign, and are told apart faster by the shorter expression.
    if not FORMULA_SIGN.search(text):
        return text
    return FORMULA_START.sub("'", text)
