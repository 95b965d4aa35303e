"""Find the isolation level of the database that attempts are written to.

A send waits for a lock and then counts attempts. The count is exact if it includes what was
committed during the wait, and nothing that may still be rolled back. And the lock must reach
everybody who writes.
"""

from contextlib import suppress
from typing import NamedTuple

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

# As a path, because it cannot be imported without psycopg or psycopg2. Its numbers differ by both.
POSTGRESQL_LEVELS = "django.db.backends.postgresql.psycopg_any.IsolationLevel"
GALERA = "SHOW VARIABLES LIKE 'wsrep_on'"


class Levels(NamedTuple):
    """The query for a transaction's level, and the levels at which counts are exact."""

    query: str
    exact: tuple[str, ...]


LEVELS = {
    "postgresql": Levels("SHOW transaction_isolation", ("read committed",)),
    "mysql": Levels(
        # One name is MySQL's, the other that of older MariaDBs.
        "SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')",
        # The first read without a lock takes the snapshot, so it is taken after the wait.
        ("read committed", "repeatable read", "serializable"),
    ),
    "sqlite": Levels("SELECT 'serializable'", ("serializable",)),
}


def is_exact(level: str, *, vendor: str) -> bool:
    """Return whether limits and tries hold exactly at this level."""
    return vendor not in LEVELS or level in LEVELS[vendor].exact


def level_of_options(connection: BaseDatabaseWrapper) -> str | None:
    """Return the level that ``OPTIONS`` set, or ``None`` if they set none, without a connection."""
    level = connection.settings_dict["OPTIONS"].get("isolation_level")
    # On SQLite, the option of that name says how transactions begin.
    if not level or connection.vendor not in {"postgresql", "mysql"}:
        return None
    if isinstance(level, str):
        return level.lower()
    # Django refuses a number that is no level when it connects.
    with suppress(ValueError):
        return _normalize(import_string(POSTGRESQL_LEVELS)(level).name)
    return None


def level_of_server(connection: BaseDatabaseWrapper) -> str | None:
    """Return the level of a transaction on the server, or ``None`` for an unknown vendor."""
    if connection.vendor not in LEVELS:
        return None
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute(LEVELS[connection.vendor].query)
        return _normalize(cursor.fetchone()[-1])


def is_galera(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the server belongs to a Galera cluster, whose locks end at each node."""
    if connection.vendor != "mysql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(GALERA)
        # MySQL has no such variable.
        found = cursor.fetchone()
    return found is not None and found[1] == "ON"


def _normalize(level: str) -> str:
    return level.lower().replace("_", " ").replace("-", " ")
