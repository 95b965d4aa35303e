"""Lock what sends could use up together, so that one after the other looks at its limits."""

from collections.abc import Collection

from django.db import Error, connections

from django_valify_otp.models import LimitLock


class LocksMissing(Error):
    """The table of locks is not full, as after ``migrate`` and after ``flush``."""


def statement(keys: Collection[int], using: str) -> str:
    """Return the SQL that locks these keys until the transaction ends, a row for each.

    They are waited for in their order, so that no two transactions wait for each other.
    """
    connection = connections[using]
    table = connection.ops.quote_name(LimitLock._meta.db_table)
    those = f"id IN ({', '.join(map(str, sorted(keys)))})"
    # SQLite locks by writing, and a transaction that reads first cannot wait for its turn.
    if not connection.features.has_select_for_update:
        return f"UPDATE {table} SET id = id WHERE {those}"  # noqa: S608
    return f"SELECT id FROM {table} WHERE {those} ORDER BY id FOR UPDATE"  # noqa: S608


def make(using: str) -> None:
    """Make the locks that are missing."""
    locks = [LimitLock(pk=number) for number in range(LimitLock.COUNT)]
    LimitLock.objects.using(using).bulk_create(locks, ignore_conflicts=True)
