"""Count the attempts of crowded scopes in a time that does not grow with their number.

A tally says how many attempts of a scope had counted up to a moment. What counts in a window is the
difference of two tallies in it, and the attempts beside them: at most a few hundred rows. No older
ones are read, which a purge may have deleted.
Tallies are made afterwards, outside the locks, and only up to the oldest attempt that is still
open: of those before, none stops counting. So to settle an attempt never changes a tally, and all
tallies may be deleted at any time.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import F, Max, QuerySet
from django.utils.crypto import salted_hmac

from django_valify_otp import limit_locks, locking
from django_valify_otp.deadline import Deadline
from django_valify_otp.limits import (
    Chain,
    Look,
    ReachedLimit,
    Scope,
    as_moment,
    attempts_sql,
    seconds_to_wait,
    tallied_limits,
)
from django_valify_otp.models import LimitTally, OtpSend
from django_valify_otp.setting_values import Limit

# Attempts from one tally to the next.
STEP = 500
# The shortest time by which two moments differ.
JUST_BEFORE = timedelta(microseconds=1)
# Of which a process keeps the tallies in memory: some hundred numbers each.
MOST_CHAINS = 256
_chains: dict[tuple[str, str], Chain] = {}
# When a process last made tallies of a scope, or tried to: an open attempt may be in the way.
PAUSE_SECONDS = 0.25
_extended_at: dict[tuple[str, str], float] = {}


# A tally's moment, as the database gives it, and its total.
End = tuple[Any, int]
# A scope, and the moments between which its attempts are counted.
Span = tuple[Scope, Any, Any]


class Crowd(NamedTuple):
    """What tallies tell of crowded limits: those that are reached, and scopes that lack tallies.

    ``resend`` are the moments from which limits allow the next send, if this one uses them up.
    """

    reached: list[ReachedLimit]
    resend: list[datetime]
    untallied: list[Scope]


class Counted(NamedTuple):
    """How many attempts of a scope count towards a limit.

    ``total`` is the number of all on the scale of the tallies, ``None`` if none is in the window.
    """

    attempts: int
    total: int | None
    lacks_tallies: bool


def look(seen: Look, *, using: str) -> Crowd:
    """Find which of the limits in question are reached. Whoever calls this holds their locks."""
    now, found, unknown = seen.clock.moment, Crowd([], [], []), []
    for scope, limits in seen.crowded:
        for limit in limits:
            chain, untallied = seen.chains.get(scope), seen.untallied.get(scope)
            if chain is None or untallied is None or chain.moments[0] > _start(limit, now):
                unknown.append((scope, limit))
                continue
            ranks = _Ranks(scope, chain.totals[-1] + untallied, chain, using)
            _judge(limit, ranks, now, found)
    windows = [(scope, _start(limit, now)) for scope, limit in unknown]
    for (scope, limit), counted in zip(unknown, count(windows, using=using), strict=True):
        if counted.lacks_tallies and scope not in found.untallied:
            found.untallied.append(scope)
        if counted.attempts >= scope.count_in_question(limit):
            _judge(limit, _Ranks(scope, counted.total, None, using), now, found)
    return found


def count(wanted: list[tuple[Scope, datetime]], *, using: str) -> list[Counted]:
    """Count the attempts of scopes that are newer than moments."""
    if not wanted:
        return []
    adapt = connections[using].ops.adapt_datetimefield_value
    starts = [(scope, adapt(since)) for scope, since in wanted]
    ends = _ends(starts, using)
    spans: list[Span] = []
    for (scope, start), (oldest, newest) in zip(starts, ends, strict=True):
        if oldest and newest:
            spans += [(scope, start, oldest[0]), (scope, newest[0], None)]
        else:
            spans.append((scope, start, None))
    numbers = iter(_count_rows(spans, using))
    return [_counted(oldest, newest, numbers) for oldest, newest in ends]


class _Ranks(NamedTuple):
    """Find an attempt of a scope by its rank: the newest has rank 1.

    ``total`` is the number of all attempts on the scale of the tallies, ``None`` without tallies.
    """

    scope: Scope
    total: int | None
    chain: Chain | None
    using: str

    def moment(self, rank: int) -> datetime | None:
        """Return when the attempt was made, ``None`` if there are fewer.

        It is looked for from the tally after it, without one from the newest attempt.
        """
        until, skipped = None, rank - 1
        if self.total is not None and (later := self._tally_after(self.total - rank)):
            until, skipped = later[0], later[1] - (self.total - rank) - 1
        return _moment_of(self.scope, until, skipped, self.using)

    def _tally_after(self, place: int) -> End | None:
        if self.chain is None:
            return _tally_after(self.scope, place, self.using)
        after = self.chain.tally_after(place)
        adapt = connections[self.using].ops.adapt_datetimefield_value
        return (adapt(after[0]), after[1]) if after else None


def _judge(limit: Limit, ranks: _Ranks, now: datetime, found: Crowd) -> None:
    """Add the limit if it is reached, or else the end of its wait if this send uses it up."""
    must_leave = ranks.moment(limit.count)
    seconds = seconds_to_wait(must_leave, limit, now) if must_leave else 0
    if seconds:
        found.reached.append(ranks.scope.reached(limit, seconds))
    elif ranks.scope.tells_resend and (next_to_leave := ranks.moment(limit.count - 1)):
        found.resend.append(next_to_leave + timedelta(seconds=limit.seconds))


def _start(limit: Limit, now: datetime) -> datetime:
    return now - timedelta(seconds=limit.seconds)


def _counted(oldest: End | None, newest: End | None, numbers: Iterator[int]) -> Counted:
    if oldest is None or newest is None:
        attempts = next(numbers)
        return Counted(attempts, None, lacks_tallies=newest is None or attempts >= STEP)
    (_, first), (_, last), older, newer = oldest, newest, next(numbers), next(numbers)
    lacks_tallies = newer >= STEP or older > 2 * STEP
    return Counted(older + last - first + newer, last + newer, lacks_tallies)


def _ends(starts: list[tuple[Scope, Any]], using: str) -> list[tuple[End | None, End | None]]:
    """Return the first tally in each window, and the scope's newest one."""
    parameters = [part for scope, start in starts for part in (key_of(scope), start, key_of(scope))]
    with connections[using].cursor() as cursor:
        cursor.execute(_ends_statement(using, len(starts)), parameters)
        found = {place: (until, total) for place, until, total in cursor.fetchall()}
    return [(found.get(2 * n), found.get(2 * n + 1)) for n in range(len(starts))]


def _count_rows(spans: list[Span], using: str) -> list[int]:
    """Count the attempts after a moment, and up to another one, if it is given."""
    parameters: list[Any] = []
    for scope, start, end in spans:
        parameters += [*([scope.value] if scope.column else []), start, *([end] if end else [])]
    shapes = tuple((scope.counted, scope.column, bool(end)) for scope, _start, end in spans)
    with connections[using].cursor() as cursor:
        cursor.execute(_count_statement(using, shapes), parameters)
        return [number for _place, number in sorted(cursor.fetchall())]


class Extension(NamedTuple):
    """Tallies to be made after another, and the open attempt that is in the way of more."""

    made: list[LimitTally]
    in_the_way: OtpSend | None


def is_due(scope: Scope, using: str) -> bool:
    """Tell whether this process may try again to make tallies of the scope, and note the time."""
    now, key = time.monotonic(), (using, scope.name)
    if now - _extended_at.get(key, -PAUSE_SECONDS) < PAUSE_SECONDS:
        return False
    if len(_extended_at) >= MOST_CHAINS:
        _extended_at.clear()
    _extended_at[key] = now
    return True


def extend(scope: Scope, *, now: datetime, using: str, deadline: Deadline) -> OtpSend | None:
    """Make the tallies that are missing, and delete those that no limit needs any more.

    Return the open attempt that is in the way of more, if any. Whoever else makes tallies of the
    scope at the same time is left to it. Raises ``TimeoutError``, or a database's error.
    """
    tallies = LimitTally.objects.using(using).filter(scope=key_of(scope)).order_by("counted_until")
    window_start = now - timedelta(seconds=max(limit.seconds for limit in scope.limits))
    with locking.transaction(using, deadline):
        newest, first = tallies.last(), tallies.filter(counted_until__lte=window_start).last()
        if newest and first and _is_true(newest, scope, tallies):
            unneeded = tallies.filter(counted_until__lt=first.counted_until)
            extension = _extend_after(newest, scope, using)
            made = extension.made
        else:
            unneeded = tallies
            start = LimitTally(scope=key_of(scope), counted_until=window_start, total=0)
            extension = _extend_after(start, scope, using)
            made = [start, *extension.made]
    if not made:
        return extension.in_the_way
    # On SQLite, a transaction that has read could not wait for its turn to write.
    with locking.transaction(using, deadline), connections[using].cursor() as cursor:
        cursor.execute(limit_locks.statement([scope.lock_key], using))
        if tallies.last() == newest:
            unneeded.delete()
            LimitTally.objects.using(using).bulk_create(made)
    remember(scope, now=now, using=using)
    return extension.in_the_way


def known(scopes: list[Scope], *, using: str) -> dict[Scope, Chain]:
    """Return the chains of tallies that this process has read, by scope."""
    tallied = [scope for scope in scopes if tallied_limits(scope.limits)]
    found = ((scope, _chains.get((using, scope.name))) for scope in tallied)
    return {scope: chain for scope, chain in found if chain}


def remember(scope: Scope, *, now: datetime, using: str) -> None:
    """Read the tallies of a scope, so that a look need not. Raises the database's error."""
    tallies = LimitTally.objects.using(using).filter(scope=key_of(scope)).order_by("counted_until")
    found = [*tallies.values_list("counted_until", "total")]
    if found:
        if len(_chains) >= MOST_CHAINS:
            _chains.clear()
        moments, totals = zip(*found, strict=True)
        _chains[using, scope.name] = Chain(key_of(scope), now, [*moments], [*totals])


def delete_unused(now: datetime, window: timedelta, *, using: str) -> None:
    """Delete the tallies of scopes in which nothing has counted for as long as limits look back."""
    scopes = LimitTally.objects.using(using).values("scope").annotate(until=Max("counted_until"))
    unused = [*scopes.filter(until__lt=now - window).values_list("scope", flat=True)]
    LimitTally.objects.using(using).filter(scope__in=unused).delete()


def key_of(scope: Scope) -> str:
    """Return what tallies keep of a scope: it names neither a user nor an address."""
    salt = "django_valify_otp.limit_tally"
    return salted_hmac(salt, scope.name, algorithm="sha256").hexdigest()


def _is_true(tally: LimitTally, scope: Scope, tallies: "QuerySet[LimitTally]") -> bool:
    """Tell whether the rows since the tally before it are as many as it says."""
    before = tallies.filter(counted_until__lt=tally.counted_until).last()
    if before is None:
        return True
    since = _attempts(scope, tallies.db).filter(moment__gt=before.counted_until)
    return tally.total - before.total == since.filter(moment__lte=tally.counted_until).count()


def _extend_after(start: LimitTally, scope: Scope, using: str) -> Extension:
    attempts = _attempts(scope, using)
    later = attempts.filter(moment__gt=start.counted_until).order_by("moment")
    # Under the lock each attempt is later than those before it, so no older one is to come.
    newest = later.values_list("moment", flat=True).last()
    if newest is None:
        return Extension([], None)
    in_the_way = later.filter(moment__lte=newest, status__in=OtpSend.OPEN).first()
    until = in_the_way.moment - JUST_BEFORE if in_the_way else newest
    return Extension([*_tallies_after(start, attempts, until)], in_the_way)


def _tallies_after(
    tally: LimitTally, attempts: "QuerySet[Any]", until: datetime
) -> Iterator[LimitTally]:
    """Make a tally after each ``STEP`` attempts."""
    # Of several bounds on one side SQLite uses any one, and may read all that came before.
    moments = attempts.filter(moment__lte=until).order_by("moment").values_list("moment", flat=True)
    while found := moments.filter(moment__gt=tally.counted_until)[STEP - 1 : STEP]:
        later = attempts.filter(moment__gt=tally.counted_until)
        # All of one moment count together. Where that are many, there is a tally of before, too.
        is_many = attempts.filter(moment=found[0]).count() > STEP
        for end in (found[0] - JUST_BEFORE, found[0]) if is_many else found:
            total = tally.total + later.filter(moment__lte=end).count()
            yield LimitTally(scope=tally.scope, counted_until=end, total=total)
        tally = LimitTally(scope=tally.scope, counted_until=end, total=total)


def _moment_of(scope: Scope, until: Any, skipped: int, using: str) -> datetime | None:
    """Return when an attempt was made: after so many, from the newest up to a moment, if any."""
    connection = connections[using]
    parameters = [*([scope.value] if scope.column else []), *([until] if until else []), skipped]
    statement = _moment_statement(using, scope.counted, scope.column, is_bounded=bool(until))
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = cursor.fetchone()
    moment: datetime | None = as_moment(found[0], connection) if found else None
    return moment


def _tally_after(scope: Scope, place: int, using: str) -> End | None:
    with connections[using].cursor() as cursor:
        cursor.execute(_tally_statement(using), [key_of(scope), place])
        found: End | None = cursor.fetchone()
    return found


@lru_cache
def _tally_statement(using: str) -> str:
    tallies = connections[using].ops.quote_name(LimitTally._meta.db_table)
    return (
        f"SELECT counted_until, total FROM {tallies} WHERE scope = %s AND total > %s"  # noqa: S608
        " ORDER BY total LIMIT 1"
    )


@lru_cache
def _moment_statement(using: str, counted: str, column: str, *, is_bounded: bool) -> str:
    sends = connections[using].ops.quote_name(OtpSend._meta.db_table)
    bound = f" AND {counted} <= %s" if is_bounded else ""
    return (
        f"SELECT {counted} FROM {sends} WHERE {attempts_sql(counted, column)}{bound}"  # noqa: S608
        f" ORDER BY {counted} DESC LIMIT 1 OFFSET %s"
    )


def _attempts(scope: Scope, using: str) -> "QuerySet[Any]":
    """Return the attempts of a scope that count, each with its ``moment``."""
    of_value = {scope.column: scope.value} if scope.column else {}
    attempts = OtpSend.objects.using(using).filter(**of_value)
    return attempts.annotate(moment=F(scope.counted)).exclude(moment=None)


@lru_cache
def _ends_statement(using: str, count: int) -> str:
    tallies = connections[using].ops.quote_name(LimitTally._meta.db_table)
    of_scope = f"counted_until, total FROM {tallies} WHERE scope = %s"
    return " UNION ALL ".join(
        f"SELECT * FROM (SELECT {2 * n} AS place, {of_scope} AND counted_until > %s"  # noqa: S608
        f" ORDER BY counted_until LIMIT 1) oldest_{n} UNION ALL"
        f" SELECT * FROM (SELECT {2 * n + 1} AS place, {of_scope}"
        f" ORDER BY counted_until DESC LIMIT 1) newest_{n}"
        for n in range(count)
    )


@lru_cache
def _count_statement(using: str, shapes: tuple[tuple[str, str, bool], ...]) -> str:
    sends = connections[using].ops.quote_name(OtpSend._meta.db_table)
    # The bounds are values: of another table's columns MariaDB makes no range.
    return " UNION ALL ".join(
        f"SELECT {number} AS place, COUNT(*) FROM {sends}"  # noqa: S608
        f" WHERE {attempts_sql(counted, column)} AND {counted} > %s"
        f"{f' AND {counted} <= %s' if has_end else ''}"
        for number, (counted, column, has_end) in enumerate(shapes)
    )
