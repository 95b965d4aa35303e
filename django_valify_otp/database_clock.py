"""Read the clock by which rows are dated: the database's, where it is a server of its own.

So all hosts have one clock, however wrong their own are.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

# As of the moment when they are read, unlike NOW(), which may be from before a wait for a lock.
SERVER_CLOCKS = {"postgresql": "clock_timestamp()", "mysql": "UTC_TIMESTAMP(6)"}


class Reading(NamedTuple):
    """What the clock said, and the monotonic clock of this process, in seconds, at that time."""

    moment: datetime
    monotonic: float

    def now(self) -> datetime:
        """Return what the clock says now, without asking it again."""
        return self.moment + timedelta(seconds=time.monotonic() - self.monotonic)


def sql_of(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL of the database's clock, ``NULL`` where this host's is used."""
    return SERVER_CLOCKS.get(connection.vendor, "NULL")


def read(column: datetime | None, connection: BaseDatabaseWrapper) -> Reading:
    """Return a reading from the column that ``sql_of()`` gave."""
    return Reading(_as_django(column, connection), time.monotonic())


def reading(using: str) -> Reading:
    """Read the clock. Raises the database's error."""
    connection = connections[using]
    if connection.vendor not in SERVER_CLOCKS:
        return read(None, connection)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sql_of(connection)}")
        return read(cursor.fetchone()[0], connection)


def now(using: str) -> datetime:
    """Return what the clock says. Raises the database's error."""
    return reading(using).moment


def _as_django(column: datetime | None, connection: BaseDatabaseWrapper) -> datetime:
    if column is None:
        return timezone.now()
    if connection.vendor != "mysql":
        return column
    moment = column.replace(tzinfo=UTC)
    return moment if settings.USE_TZ else timezone.make_naive(moment)
