"""Count the tries of a send that are spent."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from django.db import connections

from django_valify_otp import database_clock
from django_valify_otp.database_clock import Reading
from django_valify_otp.models import OtpSend, OtpVerification


class Tries(NamedTuple):
    """The tries of a send, as they were at a time.

    ``spent`` of them count: a call of theirs has reached Valify, or may have. The call of those
    that are ``overdue`` must be over.
    """

    clock: Reading
    spent: int
    overdue: Sequence[OtpVerification]


def look(otp_send: OtpSend, *, deadline: float, using: str) -> Tries:
    """Read the clock and the tries of a send. Whoever calls this has locked the send."""
    connection = connections[using]
    statement = _statement(using, database_clock.sql_of(connection))
    with connection.cursor() as cursor:
        cursor.execute(statement, [otp_send.pk])
        # By their texts: the clock's has none.
        (_, clock_column), *spent = sorted(cursor.fetchall())
    clock = database_clock.read(clock_column, connection)
    # Not otp_send.verifications, which a router may read from a replica.
    pending = OtpVerification.objects.using(using).filter(otp_send=otp_send.pk)
    is_any_pending = any(status == OtpVerification.Status.PENDING for status, _ in spent)
    overdue = [*pending.overdue(clock.moment, deadline=deadline)] if is_any_pending else []
    return Tries(clock, len(spent), overdue)


@lru_cache
def _statement(using: str, clock: str) -> str:
    table = connections[using].ops.quote_name(OtpVerification._meta.db_table)
    return (
        f"SELECT '' AS status, {clock} AS clock UNION ALL SELECT status, NULL FROM {table}"  # noqa: S608
        " WHERE otp_send_id = %s AND NOT (status = 'failed' AND calls = 0)"
    )
