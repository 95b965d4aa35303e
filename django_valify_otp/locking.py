"""Write rows over locks, deadlocks and lost connections, with every wait bounded."""

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar
from uuid import UUID, uuid4

from django.db import Error, IntegrityError, InterfaceError, OperationalError, connections
from django.db import transaction as db_transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_valify_otp.deadline import Deadline
from django_valify_otp.exceptions import SiteBusy
from django_valify_otp.statements import takes_statements_together

Result = TypeVar("Result")

LONGEST_WAIT_SECONDS = 5
# So that an attempt whose deadline is over is on record all the same.
SHORTEST_WAIT_SECONDS = 0.05
# Before each try. Nothing has been sent yet, so after a deadlock it is safe to begin again.
COMMIT_PAUSES_SECONDS = (0, 0, 0.1)

# Connection exceptions, insufficient resources, rolled back, operator intervention.
POSTGRESQL_TRANSIENT_CLASSES = {"08", "40", "53", "57"}
# A server that is a standby, or has become one.
POSTGRESQL_READ_ONLY_STATE = "25006"
MYSQL_READ_ONLY_CODES = {1290, 1836}
# The other one is a lock that was not to be had.
POSTGRESQL_TRANSIENT_STATES = {"55P03", POSTGRESQL_READ_ONLY_STATE}
SQLITE_TRANSIENT_CODES = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
MYSQL_TRANSIENT_CODES = {
    1020,  # record has changed since last read
    1040,  # too many connections
    1053,  # server shutdown in progress
    1203,  # too many connections of this user
    1205,  # lock wait timeout
    1213,  # deadlock
    1317,  # query interrupted
    1927,  # connection was killed
    2002,  # cannot connect through the socket
    2003,  # cannot connect to the host
    2006,  # server has gone away
    2013,  # lost connection during a query
    2055,  # lost connection to the server
    4031,  # disconnected because of inactivity
    *MYSQL_READ_ONLY_CODES,
}


def is_transient(error: Error) -> bool:
    """Tell whether the database may do the same thing later: a lock, a deadlock, a connection."""
    if isinstance(error, InterfaceError):
        return True
    if state := _postgresql_state(error):
        return state[:2] in POSTGRESQL_TRANSIENT_CLASSES or state in POSTGRESQL_TRANSIENT_STATES
    if not isinstance(error, OperationalError):
        return False
    sqlite_code = getattr(error.__cause__, "sqlite_errorcode", None)
    if sqlite_code is not None:
        # The lower byte; the upper ones say more about it.
        return sqlite_code & 0xFF in SQLITE_TRANSIENT_CODES
    mysql_code = error.args[0] if error.args else None
    # psycopg gives a lost connection and a pool that is exhausted no code.
    return mysql_code in MYSQL_TRANSIENT_CODES if isinstance(mysql_code, int) else True


def is_read_only(error: Error) -> bool:
    """Tell whether the server is a standby, or a former primary, that takes no writes."""
    if _postgresql_state(error) == POSTGRESQL_READ_ONLY_STATE:
        return True
    return bool(error.args) and error.args[0] in MYSQL_READ_ONLY_CODES


def _postgresql_state(error: Error) -> str | None:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def repeat(
    work: Callable[[], Result],
    *,
    pauses: Sequence[float],
    using: str,
    errors: tuple[type[Error], ...] = (),
) -> Result:
    """Do the work, and again after a lock timeout, a deadlock or a lost connection.

    ``pauses`` has the seconds to wait before each try, the first one excepted. After ``errors`` the
    work is done again too. Raises the last error.
    """
    failure = Error()
    for number, pause in enumerate(pauses):
        try:
            if number:
                time.sleep(pause)
                if is_read_only(failure):
                    leave(using)
                reconnect(using)
            return work()
        except Error as error:
            if not is_transient(error) and not isinstance(error, errors):
                raise
            failure = error
    raise failure


def commit(
    write: Callable[[UUID], Result],
    *,
    find: Callable[[Sequence[UUID]], Result | None],
    using: str,
    deadline: Deadline,
) -> Result:
    """Return what ``write`` committed under a new ID, after some tries if it must be.

    ``find`` looks for the row of an earlier try: a connection that breaks during a commit does not
    tell whether it was done. Raises ``SiteBusy`` where the database could not do it in time, and
    its error where it never will.
    """
    written: list[UUID] = []

    def find_or_write() -> Result:
        if written:
            deadline.limit(LONGEST_WAIT_SECONDS)
            with transaction(using, deadline):
                found = find(written)
            if found is not None:
                return found
        written.append(uuid4())
        return write(written[-1])

    # Of two rows with one idempotency key the second is refused, and then finds the first.
    with busy_if_transient():
        return repeat(
            find_or_write, pauses=COMMIT_PAUSES_SECONDS, using=using, errors=(IntegrityError,)
        )


def read(find: Callable[[], Result], *, using: str) -> Result:
    """Return what ``find`` reads, over lost connections. Raises ``SiteBusy``."""
    deadline = Deadline(LONGEST_WAIT_SECONDS)

    def find_in_time() -> Result:
        if connections[using].in_atomic_block:
            # How long a transaction of the site's waits is the site's to say.
            return find()
        with transaction(using, deadline):
            return find()

    with busy_if_transient():
        return repeat(find_in_time, pauses=COMMIT_PAUSES_SECONDS, using=using)


@contextmanager
def busy_if_transient() -> Iterator[None]:
    """Raise ``SiteBusy`` where the database, or the deadline, gave no time."""
    try:
        yield
    except TimeoutError:
        pass
    except Error as error:
        if not is_transient(error):
            raise
    else:
        return
    raise SiteBusy


def is_transaction_open(using: str) -> bool:
    """Tell whether a transaction is open, a TestCase's excepted. Connects to nothing."""
    connection = connections[using]
    if connection.atomic_blocks:
        # As atomic(durable=True) tells.
        return not connection.atomic_blocks[-1]._from_testcase  # type: ignore[attr-defined]  # noqa: SLF001
    if connection.connection is None:
        return not connection.settings_dict["AUTOCOMMIT"]
    return not connection.autocommit


def bound_without_transaction(using: str, deadline: Deadline) -> str | None:
    """Return SQL to run together with a statement, so that its waits are bounded as well.

    It is ``""`` where they are bounded anyhow, and ``None`` where only a transaction bounds them.
    """
    connection = connections[using]
    if connection.vendor == "sqlite":
        return ""
    return _postgresql_bound(deadline) if takes_statements_together(connection) else None


@contextmanager
def transaction(using: str, deadline: Deadline) -> Iterator[None]:
    """Open a transaction in which no wait for a lock outlasts the deadline, nor five seconds."""
    with lazily_bounded_transaction(using, deadline) as bound:
        if bound:
            with connections[using].cursor() as cursor:
                cursor.execute(bound)
        yield


@contextmanager
def lazily_bounded_transaction(using: str, deadline: Deadline) -> Iterator[str]:
    """Open the same, and yield the SQL that bounds it, to be run with the first statement."""
    connection = connections[using]
    with _BOUNDS[connection.vendor](connection, deadline) as bound:
        yield bound


def _longest_wait(deadline: Deadline) -> float:
    return min(max(deadline.remaining(), SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)


def reconnect(using: str) -> None:
    """Take a connection that works; what a TestCase wraps is left as it is.

    A pool may hand out one lost connection after the other. Raises the database's error if it is
    away.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        return
    connection.close_if_unusable_or_obsolete()
    deadline = Deadline(LONGEST_WAIT_SECONDS)
    connection.ensure_connection()
    while not connection.is_usable() and deadline.remaining() > 0:
        connection.close()
        connection.ensure_connection()


def leave(using: str) -> None:
    """Close a connection that works but leads to the wrong server, also in a pool."""
    connection = connections[using]
    if connection.in_atomic_block:
        return
    if connection.vendor == "postgresql" and connection.connection is not None:
        # Django would give it back to the pool.
        connection.connection.close()
    connection.close()


@contextmanager
def _bounded_postgresql(connection: BaseDatabaseWrapper, deadline: Deadline) -> Iterator[str]:
    with db_transaction.atomic(using=connection.alias):
        yield _postgresql_bound(deadline)


def _postgresql_bound(deadline: Deadline) -> str:
    milliseconds = f"{math.ceil(_longest_wait(deadline) * 1000)}ms"
    settings = {
        # The statement's too, which may wait for several locks.
        "lock_timeout": milliseconds,
        "statement_timeout": milliseconds,
        # With statistics that are old, or none yet, whole tables would be read and sorted.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        # A table that has no index looks dear then, and worth a compilation, which takes longer.
        "jit": "off",
    }
    # Until the transaction ends.
    calls = [f"set_config('{name}', '{value}', true)" for name, value in settings.items()]
    return f"SELECT {', '.join(calls)}"


@contextmanager
def _bounded_mysql(connection: BaseDatabaseWrapper, deadline: Deadline) -> Iterator[str]:
    whole_seconds = max(1, math.floor(_longest_wait(deadline)))
    with connection.cursor() as cursor:
        # Rows are waited for by the first, tables (while they are migrated) by the second.
        cursor.execute(
            "SET @valify_otp_rows = @@innodb_lock_wait_timeout,"
            " @valify_otp_tables = @@lock_wait_timeout,"
            " innodb_lock_wait_timeout = %s, lock_wait_timeout = %s",
            [whole_seconds, whole_seconds],
        )
    try:
        with db_transaction.atomic(using=connection.alias):
            yield ""
    finally:
        # A connection that was lost keeps nothing.
        with suppress(Error), connection.cursor() as cursor:
            cursor.execute(
                "SET innodb_lock_wait_timeout = @valify_otp_rows,"
                " lock_wait_timeout = @valify_otp_tables"
            )


@contextmanager
def _bounded_sqlite(connection: BaseDatabaseWrapper, deadline: Deadline) -> Iterator[str]:
    milliseconds = math.ceil(_longest_wait(deadline) * 1000)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout")
        [before] = cursor.fetchone()
        is_too_long = before > milliseconds
        if is_too_long:
            cursor.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        with db_transaction.atomic(using=connection.alias):
            yield ""
    finally:
        if is_too_long:
            with suppress(Error), connection.cursor() as cursor:
                cursor.execute(f"PRAGMA busy_timeout = {before}")


_BOUNDS = {
    "postgresql": _bounded_postgresql,
    "mysql": _bounded_mysql,
    "sqlite": _bounded_sqlite,
}
