"""Find the limits that a send has to keep to, and those that it has reached."""

import math
import zlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Value

from django_valify_otp import database_clock, limit_locks
from django_valify_otp.callers import Caller
from django_valify_otp.conf import Settings
from django_valify_otp.models import LimitLock, LimitTally, OtpSend, SendBlock
from django_valify_otp.setting_values import Limit
from django_valify_otp.statements import run

# Where a limit allows more, tallies count: rows would take too long, under a lock that others want.
MOST_ROWS_COUNTED = 300
# Of such a limit, no more is looked for than whether there are so many.
FEW_ROWS = 100
# So many of a scope's newest rows are read at once; older ones are looked for one by one.
MOST_ROWS_READ = 20
# Of the number's limits and the user's a page can say when they allow the next send; those of
# addresses and of everything are used up by others meanwhile.
RESEND_KEYS = ("NUMBER_SEND_LIMITS", "USER_SEND_LIMITS")
# The marks of the rows of a look that are no attempts; the last two are added to a scope's number.
CLOCK, BLOCK, TALLY, UNTALLIED = -1, -2, 1000, 2000


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What some limits count: the attempts with this value in this column."""

    key: str
    limits: tuple[Limit, ...]
    counted: str
    column: str = ""
    value: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Return a text that is the same for all limits that count the same attempts."""
        return f"{self.column}:{self.value}"

    @property
    def lock_key(self) -> int:
        """Return the key of the lock that a send has to hold while it looks at these limits."""
        return lock_key(self.name)

    @property
    def tells_resend(self) -> bool:
        """Tell whether callers are told until when these limits will refuse the next send."""
        return self.key in RESEND_KEYS

    def count_in_question(self, limit: Limit) -> int:
        """Return how many attempts in its window need a closer look: it is reached or used up."""
        return limit.count - 1 if self.tells_resend else limit.count

    def reached(self, limit: Limit, seconds: int) -> "ReachedLimit":
        """Return the limit as one that allows no send for so many seconds."""
        return ReachedLimit(seconds, f"{self.key} {limit.text}")


class Part(NamedTuple):
    """So many of a scope's attempts, newest first, after so many that are skipped."""

    skipped: int
    read: int

    def holds(self, rank: int) -> bool:
        """Tell whether the attempt of this rank is among them."""
        return self.skipped < rank <= self.skipped + self.read


@dataclass
class Chain:
    """The tallies of a scope as somebody has read them, by their ``key``, the oldest first.

    What they say stays true, so it is enough to see that the newest one is still there.
    """

    key: str
    read_at: datetime
    moments: list[datetime]
    totals: list[int]
    # As last seen: only to foresee whether there may be room.
    untallied: int = field(default=0, compare=False)

    def room_for(self, limit: Limit) -> int:
        """Return how many attempts since the newest tally surely leave room for one more.

        As of when the tallies were read: since then, the window has only lost attempts of before.
        """
        start = self.read_at - timedelta(seconds=limit.seconds)
        most = self.most_since(start, untallied=0)
        return limit.count - int(most) if most < limit.count else 0

    def tally_after(self, place: int) -> tuple[datetime, int] | None:
        """Return the moment and the total of the first tally with more than these, if any."""
        number = bisect_right(self.totals, place)
        return None if number == len(self.totals) else (self.moments[number], self.totals[number])

    def most_since(self, start: datetime, untallied: int) -> float:
        """Return a number that the attempts since a moment do not exceed."""
        place = bisect_right(self.moments, start)
        if not place:
            return math.inf
        return self.totals[-1] - self.totals[place - 1] + untallied


# The counted column, the column of the value, the parts, and whether tallies are known.
Shape = tuple[str, str, tuple[Part, ...], bool]


class ReachedLimit(NamedTuple):
    """A limit that allows no send for so many seconds; ``name`` is what a row keeps of it."""

    retry_after: int
    name: str


Crowded = tuple[Scope, list[Limit]]


class Look(NamedTuple):
    """What was seen under the locks.

    ``resend`` are the moments from which limits allow the next send, this one counted;
    ``crowded`` are the scopes in which tallies have to count, each with the limits in question;
    ``untallied`` are attempts since the newest tally, by scope, where it is that of ``chains``.
    """

    clock: database_clock.Reading
    any_block: bool
    reached: list[ReachedLimit]
    resend: list[datetime]
    crowded: list[Crowded]
    untallied: dict[Scope, int]
    chains: Mapping[Scope, Chain]


class _Seen(NamedTuple):
    """What a look read of a scope.

    The moments of attempts are by rank: the newest has rank 1. ``untallied`` is the number of
    attempts since the newest tally of the chain, ``None`` if there is none or another one.
    """

    moments: Mapping[int, datetime]
    chain: Chain | None
    untallied: int | None

    def seconds_to_wait(self, limit: Limit, rank: int, now: datetime) -> int:
        """Return the seconds until the attempt of this rank leaves the window; 0 if it has."""
        moment = self.moments.get(rank)
        return seconds_to_wait(moment, limit, now) if moment else 0

    def resend(self, limit: Limit, now: datetime) -> Iterator[datetime]:
        """Return from when the limit allows the next send: this one will be the newest then."""
        must_leave = now if limit.count == 1 else self.moments.get(limit.count - 1)
        if must_leave:
            yield must_leave + timedelta(seconds=limit.seconds)

    def is_in_question(self, limit: Limit, count: int, now: datetime) -> bool:
        """Tell whether there may be ``count`` attempts, more than are read, in its window."""
        if self.chain is None:
            return self.seconds_to_wait(limit, FEW_ROWS, now) > 0
        if self.untallied is None:
            return True
        start = now - timedelta(seconds=limit.seconds)
        return self.chain.most_since(start, self.untallied) >= count


def limited_scopes(
    settings: Settings, *, phone_number: str, caller: Caller, limited_network: str
) -> list[Scope]:
    """Return the scopes whose limits a send must keep to."""
    of_user = settings.user_send_limits if caller.is_logged_in else ()
    of_network = settings.ip_send_limits if limited_network else ()
    may_have_sent, or_rejected = "counted_at", "counted_with_rejected_at"
    return [
        Scope(key=key, limits=limits, counted=counted, column=column, value=value)
        for key, limits, counted, column, value in (
            (
                "NUMBER_SEND_LIMITS",
                settings.number_send_limits,
                may_have_sent,
                "phone_number",
                phone_number,
            ),
            ("USER_SEND_LIMITS", of_user, or_rejected, "caller", caller.name),
            ("IP_SEND_LIMITS", of_network, or_rejected, "limited_network", limited_network),
            ("GLOBAL_SEND_LIMITS", settings.global_send_limits, may_have_sent, "", ""),
        )
        if limits
    ]


def lock_key(name: str) -> int:
    """Return the key of one of the locks."""
    return zlib.crc32(name.encode()) % LimitLock.COUNT


def look(
    scopes: list[Scope],
    *,
    lock_keys: Collection[int] = (),
    chains: Mapping[Scope, Chain] = MappingProxyType({}),
    using: str,
    first: str = "",
) -> Look:
    """Lock; then read the clock, whether there is any block, and the attempts that decide.

    So every attempt that was admitted before is seen. ``first`` is SQL to run before. Raises
    ``limit_locks.LocksMissing``.
    """
    connection = connections[using]
    lock = limit_locks.statement(lock_keys, using) if lock_keys else ""
    statement, parameters = _look_of(scopes, chains, connection)
    with connection.cursor() as cursor:
        # Never one statement: it would see the rows of before it waited for the lock.
        counts = run(cursor, first, lock, statement, parameters=parameters)
        if lock and counts[-2] < len(lock_keys):
            raise limit_locks.LocksMissing
        rows = cursor.fetchall()
    by_mark: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    for mark, number, moment in rows:
        by_mark[mark].append((number, moment))
    [(_, clock_column)] = by_mark[CLOCK]
    found = Look(
        database_clock.read(clock_column, connection), BLOCK in by_mark, [], [], [], {}, chains
    )
    for number, scope in enumerate(scopes):
        seen = _seen(number, chains.get(scope), by_mark, connection)
        if seen.chain and seen.untallied is not None:
            found.untallied[scope] = seen.chain.untallied = seen.untallied
        _judge(scope, seen, found)
    return found


def _judge(scope: Scope, seen: _Seen, found: Look) -> None:
    """Add the scope's limits that are reached or used up, and those that tallies have to decide."""
    now, in_question = found.clock.moment, []
    for limit in scope.limits:
        if limit.count > MOST_ROWS_COUNTED:
            if seen.is_in_question(limit, scope.count_in_question(limit), now):
                in_question.append(limit)
            continue
        if seconds := seen.seconds_to_wait(limit, limit.count, now):
            found.reached.append(scope.reached(limit, seconds))
        if scope.tells_resend:
            found.resend.extend(seen.resend(limit, now))
    if in_question:
        found.crowded.append((scope, in_question))


def seconds_to_wait(must_leave: datetime, limit: Limit, now: datetime) -> int:
    """Return the whole seconds until an attempt of this moment leaves the window; 0 if it has."""
    wait = must_leave + timedelta(seconds=limit.seconds) - now
    return max(0, math.ceil(wait.total_seconds()))


def as_moment(column: Any, connection: BaseDatabaseWrapper) -> Any:
    """Convert a moment that the database returned, as the ORM would."""
    expression = Value(None, output_field=DateTimeField())
    for convert in connection.ops.get_db_converters(expression):
        column = convert(column, expression, connection)
    return column


def rank_of(limit: Limit) -> int:
    """Return which attempt, from the newest, tells whether a limit may be reached."""
    return limit.count if limit.count <= MOST_ROWS_COUNTED else FEW_ROWS


def tallied_limits(limits: tuple[Limit, ...]) -> list[Limit]:
    """Return the limits that allow more than rows are counted."""
    return [limit for limit in limits if limit.count > MOST_ROWS_COUNTED]


@lru_cache
def parts_of(limits: tuple[Limit, ...], *, has_chain: bool, tells_resend: bool) -> tuple[Part, ...]:
    """Return which of a scope's newest attempts to read.

    Those that ``tells_resend`` need the attempt before the one that decides as well.
    """
    beyond = tallied_limits(limits)
    ranks = sorted({rank_of(limit) for limit in limits if not (has_chain and limit in beyond)})
    newest = [rank for rank in ranks if rank <= MOST_ROWS_READ][-1:]
    others = [rank for rank in ranks if rank > MOST_ROWS_READ]
    read = 2 if tells_resend else 1
    return (*(Part(0, rank) for rank in newest), *(Part(rank - read, read) for rank in others))


def _seen(
    number: int,
    chain: Chain | None,
    by_mark: Mapping[int, list[tuple[int, Any]]],
    connection: BaseDatabaseWrapper,
) -> _Seen:
    """Return what the rows of a scope say."""
    by_skipped: dict[int, list[datetime]] = defaultdict(list)
    for skipped, moment in by_mark.get(number, ()):
        by_skipped[skipped].append(as_moment(moment, connection))
    moments = {
        skipped + place: moment
        for skipped, found in by_skipped.items()
        for place, moment in enumerate(sorted(found, reverse=True), start=1)
    }
    newest = [
        (total, as_moment(moment, connection)) for total, moment in by_mark.get(number + TALLY, ())
    ]
    is_known = chain is not None and newest == [(chain.totals[-1], chain.moments[-1])]
    return _Seen(moments, chain, by_mark[number + UNTALLIED][0][0] if is_known else None)


def _look_of(
    scopes: list[Scope], chains: Mapping[Scope, Chain], connection: BaseDatabaseWrapper
) -> tuple[str, list[Any]]:
    """Return the statement of a look, and its parameters."""
    shapes, parameters = [], []
    for scope in scopes:
        chain = chains.get(scope)
        parts = parts_of(scope.limits, has_chain=chain is not None, tells_resend=scope.tells_resend)
        value = [scope.value] if scope.column else []
        shapes.append((scope.counted, scope.column, parts, chain is not None))
        parameters += value * len(parts)
        if chain:
            since: Any = connection.ops.adapt_datetimefield_value(chain.moments[-1])
            parameters += [chain.key, *value, since]
    clock = database_clock.sql_of(connection)
    return _look_statement(connection.alias, clock, tuple(shapes)), parameters


@lru_cache(maxsize=64)
def _look_statement(using: str, clock: str, shapes: tuple[Shape, ...]) -> str:
    quote = connections[using].ops.quote_name
    sends, blocks, tallies = (
        quote(model._meta.db_table) for model in (OtpSend, SendBlock, LimitTally)
    )
    selects = [
        f"SELECT {CLOCK} AS mark, 0 AS number, {clock} AS moment",
        # Only whether there is one is of interest; the column has the type of the others.
        f"SELECT * FROM (SELECT {BLOCK} AS mark, 0 AS number, ends_at FROM {blocks} LIMIT 1) b",  # noqa: S608
    ]
    for number, (counted, column, parts, has_chain) in enumerate(shapes):
        attempts = f"FROM {sends} WHERE {attempts_sql(counted, column)}"
        selects += [
            f"SELECT * FROM (SELECT {number} AS mark, {skipped} AS number, {counted} {attempts}"  # noqa: S608
            f" ORDER BY {counted} DESC LIMIT {read} OFFSET {skipped}) p{number}_{skipped}"
            for skipped, read in parts
        ]
        if has_chain:
            selects.append(
                f"SELECT * FROM (SELECT {number + TALLY} AS mark, total, counted_until"  # noqa: S608
                f" FROM {tallies} WHERE scope = %s ORDER BY counted_until DESC LIMIT 1) t{number}"
            )
            # The newest moment has the right type, and nobody reads it.
            newer = f"SELECT {number + UNTALLIED}, COUNT(*), MAX({counted}) {attempts}"
            selects.append(f"{newer} AND {counted} > %s")
    return " UNION ALL ".join(selects)


def attempts_sql(counted: str, column: str) -> str:
    """Return the condition of a scope's attempts, with a place for its value if it has a column."""
    return f"{column} = %s AND {counted} IS NOT NULL" if column else f"{counted} IS NOT NULL"
