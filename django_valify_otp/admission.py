"""Rows that are committed before Valify is called, over deadlocks and lost connections."""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID, uuid4

from django.db import IntegrityError, OperationalError, connections
from django.db.models import F, Model, QuerySet

from django_valify_otp.valify.transport import Deadline

Found = TypeVar("Found")
Row = TypeVar("Row", bound=Model)

# A deadlock or a lock timeout: nothing has been sent yet, so it is safe to begin again.
COMMIT_TRIES = 3


def commit(
    write: Callable[[UUID], Found],
    *,
    find: Callable[[UUID], Found | None],
    using: str,
    deadline: Deadline,
) -> Found:
    """What ``write`` found and committed under a new ID, tried again while there is time.

    ``find`` looks for that ID: a connection that breaks during a commit does not tell whether
    it was done. Raises the database's error.
    """
    tries = COMMIT_TRIES
    while True:
        uuid = uuid4()
        try:
            return write(uuid)
        except (IntegrityError, OperationalError):
            tries -= 1
            if not tries or deadline.remaining() <= 0:
                raise
        reconnect(using)
        if (committed := find(uuid)) is not None:
            return committed


def lock(rows: QuerySet[Row]) -> list[Row]:
    """These rows as they are once they are ours, until the transaction ends.

    They are waited for in their order, so that no two transactions wait for each other.
    """
    # SQLite locks by writing, and a transaction that reads first cannot wait for its turn.
    can_select = connections[rows.db].features.has_select_for_update
    written = rows.none() if can_select else rows
    written.update(id=F("id"))
    return [*rows.order_by("pk").select_for_update()]


def reconnect(using: str) -> None:
    """Open the connection anew if it was lost; what a TestCase wraps is left as it is."""
    connection = connections[using]
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
