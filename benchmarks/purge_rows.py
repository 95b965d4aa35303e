"""Fill the tables with the attempts and tries of a year, on any database."""

import uuid
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from benchmarks.audit_rows import without_indexes
from django_valify_otp.models import OtpSend, OtpVerification

ROWS_AT_ONCE = 2000
YEAR = timedelta(days=364)
SENT = {"status": "sent", "http_status": 200}
BLOCKED = {"status": "blocked", "code": "send_limit_reached", "blocked_by": "LIMIT 5/1h"}
# Of a hundred attempts: the kinds below each number that are not below the one before.
OUTCOMES = (
    (6, BLOCKED),
    (11, {"status": "rejected", "code": "rejected", "http_status": 422, "error_code": "21"}),
    (14, {"status": "failed", "code": "valify_unreachable"}),
    (15, {"status": "unknown", "code": "outcome_unknown"}),
)
FIRST_VERIFIED = 40
NOTHING = {"code": "", "error_code": "", "valify_message": "", "reason": "", "http_status": None}


def load(count: int) -> int:
    """Fill the empty tables with ``count`` attempts and their tries; return the number of rows."""
    first = timezone.now() - timedelta(hours=1) - YEAR
    tries = 0
    with without_indexes(OtpSend), without_indexes(OtpVerification), transaction.atomic():
        for start in range(0, count, ROWS_AT_ONCE):
            numbers = range(start, min(start + ROWS_AT_ONCE, count))
            sends = [_send(n, first + n * (YEAR / count)) for n in numbers]
            verified = [_try(send) for send in sends if send["verified_at"]]
            _insert(OtpSend, sends)
            _insert(OtpVerification, verified)
            tries += len(verified)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    return count + tries


def _send(n: int, created_at: datetime) -> dict[str, Any]:
    """Return the columns of an attempt; each number has about three."""
    # The first of a hundred is verified, so that no batch is without a try.
    kind = 99 - n % 100
    outcome = next((found for end, found in OUTCOMES if kind < end), SENT)
    settled_at = created_at + timedelta(milliseconds=200 + n % 1700)
    is_sent = outcome is SENT
    return {
        **NOTHING,
        "blocked_by": "",
        **outcome,
        "id": n + 1,
        "uuid": uuid.uuid4(),
        **_caller(n),
        "limited_network": _caller(n)["ip_address"],
        "token_fingerprint": f"{n // 3:016x}",
        "calls": 0 if outcome is BLOCKED else 1,
        "created_at": created_at,
        "called_at": None if outcome is BLOCKED else created_at,
        "settled_at": settled_at,
        "phone_number": f"010{crc32(b'%d' % (n // 3)) % 10**8:08}",
        "lang": "ar",
        "purpose": "login" if n % 3 else "signup",
        "idempotency_hash": None,
        "transaction_id": str(uuid.uuid4()) if is_sent else "",
        "trials_remaining": n % 3 if is_sent else None,
        "verified_at": settled_at + timedelta(seconds=20) if kind >= FIRST_VERIFIED else None,
    }


def _caller(n: int) -> dict[str, Any]:
    """Return whose an attempt is: three of ten are of one of 200 users."""
    user = n % 200 + 1 if n % 10 < 3 else None
    return {
        "user_id": user,
        "caller": f"user:{user}" if user else "anonymous",
        "ip_address": f"41.{n % 64}.{n // 64 % 256}.{n // 16384 % 256}",
    }


def _try(send: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of the try that verified the attempt."""
    kept = ("user_id", "caller", "ip_address", "token_fingerprint")
    return {
        **NOTHING,
        **{name: send[name] for name in kept},
        **dict.fromkeys(("created_at", "called_at", "settled_at"), send["verified_at"]),
        "uuid": uuid.uuid4(),
        "otp_send_id": send["id"],
        "status": "verified",
        "calls": 1,
    }


def _insert(model: type[Model], rows: list[dict[str, Any]]) -> None:
    """Insert rows by their columns; for models, Django takes several times as long."""
    fields = {str(field.column): field for field in model._meta.concrete_fields}
    names = [name for name in fields if name in rows[0]]
    values = [
        [fields[name].get_db_prep_save(row[name], connection) for name in names] for row in rows
    ]
    marks = ", ".join(["%s"] * len(names))
    statement = f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(statement, values)
