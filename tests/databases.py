"""What other connections to the database of this run do, in the words of each vendor."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from django_valify_otp import locking
from django_valify_otp.models import LimitLock, OtpSend

LOCK_ALL_LIMITS = f"UPDATE {LimitLock._meta.db_table} SET id = id"
LOCK_ALL_SENDS = f"UPDATE {OtpSend._meta.db_table} SET status = status"
# SQLite has one lock for the whole file, so there nobody can lock users alone.
LOCK_USERS = {
    "postgresql": "SELECT * FROM auth_user FOR UPDATE",
    "mysql": "UPDATE auth_user SET last_name = 'El-Sayed'",
    "sqlite": "SELECT 1",
}
WAITS = {
    "postgresql": "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')",
    "mysql": "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout",
    "sqlite": "PRAGMA busy_timeout",
}
IDLE_ON_POSTGRESQL = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND state LIKE 'idle in transaction%'
"""
OPEN_ON_MARIADB = """
    SELECT count(*) FROM information_schema.innodb_trx t
    JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.db = database() AND p.id <> connection_id()
"""
OPEN_TRANSACTIONS = {
    "postgresql": [IDLE_ON_POSTGRESQL],
    # The table is a copy, made anew if the last one is older than 0.1 seconds.
    "mysql": ["SELECT sleep(0.2)", OPEN_ON_MARIADB],
    # "database is locked" if anybody is in a transaction that has written.
    "sqlite": ["PRAGMA busy_timeout = 0", "BEGIN IMMEDIATE", "ROLLBACK", "SELECT 0"],
}
OTHERS_ON_POSTGRESQL = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
OTHER_CONNECTIONS = {
    "postgresql": OTHERS_ON_POSTGRESQL,
    "mysql": """
        SELECT id FROM information_schema.processlist
        WHERE db = database() AND id <> connection_id()
    """,
    # A file has no server that could go away.
    "sqlite": "SELECT 0",
}
CUT = {
    "postgresql": "SELECT pg_terminate_backend(%s)",
    "mysql": "KILL %s",
    "sqlite": "SELECT %s",
}


@contextmanager
def held_by_another(*statements: str) -> Iterator[None]:
    """Run the statements in a transaction of another connection, which stays open meanwhile."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            is_held.set()
            is_over.wait(60)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_held.wait(30)
        yield
    finally:
        is_over.set()
        thread.join()


def waits() -> Any:
    """Return how long this connection waits for locks, in the database's words."""
    with connection.cursor() as cursor:
        cursor.execute(WAITS[connection.vendor])
        return cursor.fetchone()


def open_transactions() -> int:
    """Count the open transactions of other connections to this database."""
    with connection.cursor() as cursor:
        for statement in OPEN_TRANSACTIONS[connection.vendor]:
            cursor.execute(statement)
        return int(cursor.fetchone()[0])


def cut_other_connections() -> None:
    """End every other connection to this database, as a server that goes away does."""
    with connection.cursor() as cursor:
        cursor.execute(OTHER_CONNECTIONS[connection.vendor])
        for found in cursor.fetchall():
            cursor.execute(CUT[connection.vendor], found)


def lose_answers_of_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each commit succeed, and its answer be lost."""
    commit = locking.commit

    def commit_and_lose(write: Callable[[UUID], Any], **kwargs: Any) -> Any:
        def write_and_lose(uuid: UUID) -> None:
            write(uuid)
            raise OperationalError("the connection was lost after the commit")

        return commit(write_and_lose, **kwargs)

    monkeypatch.setattr(locking, "commit", commit_and_lose)
