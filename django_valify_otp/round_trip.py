"""Admit a send in one round trip to PostgreSQL: lock, look and insert at once.

So nobody who waits for the lock waits for this process too. What is not plainly permitted (where
there is a block, a limit that may be reached, a key in use) is left to ``admission``, which asks
step by step, and can tell why.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connections

from django_valify_otp import database_clock, ip_addresses, limit_locks, statements
from django_valify_otp.database_clock import Reading
from django_valify_otp.limits import (
    MOST_ROWS_COUNTED,
    Chain,
    Part,
    Scope,
    attempts_sql,
    parts_of,
    rank_of,
    tallied_limits,
)
from django_valify_otp.models import LimitTally, OtpSend, SendBlock
from django_valify_otp.setting_values import Limit

SENDS, BLOCKS, TALLIES = (f'"{model._meta.db_table}"' for model in (OtpSend, SendBlock, LimitTally))
# How many locks the transaction holds.
LOCKED = "valify_otp.locked"


class Inserted(NamedTuple):
    """When the row was; and the attempts since the newest tally, where tallies are known."""

    clock: Reading
    untallied: dict[Scope, int]


class _Shape(NamedTuple):
    """What to look at in a scope."""

    counted: str
    column: str
    limits: tuple[Limit, ...]
    has_chain: bool
    tells_resend: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return which of the newest attempts to read."""
        return parts_of(self.limits, has_chain=self.has_chain, tells_resend=self.tells_resend)


def insert(
    row: OtpSend,
    scopes: list[Scope],
    *,
    lock_keys: Collection[int],
    chains: Mapping[Scope, Chain],
    using: str,
    first: str,
) -> Inserted | None:
    """Insert the row and set its key and times, unless anything may be in the way: then ``None``.

    ``first`` is SQL to run before.
    """
    connection = connections[using]
    times = {**dict.fromkeys(OtpSend.ADMITTED_AT[row.status], "now"), "resend_at": "resend_at"}
    values = statements.values_of(row, using, instead=times)
    shapes: list[_Shape] = []
    free: list[Any] = []
    newest: list[Any] = []
    newer: list[Any] = []
    rooms: list[int] = []
    for scope in scopes:
        chain = chains.get(scope)
        value = [scope.value] if scope.column else []
        shape = _Shape(
            scope.counted, scope.column, scope.limits, chain is not None, scope.tells_resend
        )
        shapes.append(shape)
        if shape.tells_resend:
            newest += value * len(shape.parts)
        else:
            free += value * len(shape.parts)
        if chain:
            free += [chain.totals[-1], chain.moments[-1], chain.key]
            newer += [*value, chain.moments[-1]]
            room = min(map(chain.room_for, tallied_limits(scope.limits)))
            # Whether the last place is taken is only counted elsewhere.
            room -= scope.tells_resend
            if chain.untallied >= room:
                return None
            rooms.append(room)
    key = [row.idempotency_hash] if row.idempotency_hash else []
    addresses = ip_addresses.spellings_of(row.ip_address) if row.ip_address else ()
    blocked = [row.phone_number, row.phone_number, *addresses]
    if row.user_id is not None:
        blocked.append(OtpSend._meta.get_field("user").get_db_prep_save(row.user_id, connection))
    statement = _statement(
        database_clock.sql_of(connection),
        tuple(shapes),
        statements.columns_of(OtpSend, using),
        values.sql,
        addresses=len(addresses),
        has_user=row.user_id is not None,
        has_locks=bool(lock_keys),
        has_key=bool(key),
    )
    lock = ""
    if lock_keys:
        locked = limit_locks.statement(lock_keys, using)
        lock = f"SELECT set_config('{LOCKED}', COUNT(*)::text, true) FROM ({locked}) locked"  # noqa: S608
    with connection.cursor() as cursor:
        locks = [str(len(lock_keys))] if lock_keys else []
        parameters = [*blocked, *locks, *key, *free, *newer, *newest, *values.parameters, *rooms]
        statements.run(cursor, first, lock, statement, parameters=parameters)
        pk, now, resend_at, *untallied = cursor.fetchone()
    if pk is None:
        return None
    reading = database_clock.read(now, connection)
    statements.mark_inserted(row, pk, using)
    row.date(reading.moment)
    row.resend_at = resend_at
    with_chain = [scope for scope in scopes if scope in chains]
    newer_of = dict(zip(with_chain, untallied, strict=True))
    for scope, number in newer_of.items():
        chains[scope].untallied = number
    return Inserted(reading, newer_of)


@lru_cache(maxsize=64)
def _statement(
    clock: str,
    shapes: tuple[_Shape, ...],
    columns: str,
    values: tuple[str, ...],
    *,
    addresses: int,
    has_user: bool,
    has_locks: bool,
    has_key: bool,
) -> str:
    newer = {f"newer_{n}": shape for n, shape in enumerate(shapes) if shape.has_chain}
    newest = {
        f"newest_{n}_{part.skipped}": (shape, part)
        for n, shape in enumerate(shapes)
        if shape.tells_resend
        for part in shape.parts
    }
    counts = [
        f", (SELECT COUNT(*) FROM {SENDS} WHERE {attempts_sql(shape.counted, shape.column)}"  # noqa: S608
        f" AND {shape.counted} > %s) AS {name}"
        for name, shape in newer.items()
    ]
    no_block = _no_block(addresses, has_user=has_user)
    conditions = [no_block, *_conditions(shapes, has_locks=has_locks, has_key=has_key)]
    is_free = " AND ".join([*conditions, *(f"{name}.reached IS NOT TRUE" for name in newest)])
    at_once = [f"now + {_interval(seconds)}" for seconds in _seconds_of_one(shapes)]
    resend_at = ", ".join(["now", *at_once, *(f"{name}.resend_at" for name in newest)])
    judged = "".join(f", LATERAL ({_judged(*part)}) {name}" for name, part in newest.items())
    room = "".join(f" AND {name} < %s" for name in newer)
    found = ", ".join(["inserted.id", "now", "resend_at", *newer])
    return (
        f"WITH look AS MATERIALIZED (SELECT now, {is_free} AS is_free{''.join(counts)},"  # noqa: S608
        f" GREATEST({resend_at}) AS resend_at FROM (SELECT {clock} AS now) clock{judged}),"
        f" inserted AS (INSERT INTO {SENDS} ({columns})"
        f" SELECT {', '.join(values)} FROM look WHERE is_free{room} RETURNING id)"
        f" SELECT {found} FROM look LEFT JOIN inserted ON TRUE"
    )


def _conditions(shapes: tuple[_Shape, ...], *, has_locks: bool, has_key: bool) -> Iterator[str]:
    """Return what has to hold: all locks, no holder of the key, and room in each limit.

    Limits that tell from when they allow the next send are judged beside. By tallies, room is only
    judged in the end, since how many attempts are newer is returned too.
    """
    if has_locks:
        # Not how many there are: of those that were missing at the lock, others may have made some.
        yield f"current_setting('{LOCKED}') = %s"
    if has_key:
        yield f"NOT EXISTS (SELECT 1 FROM {SENDS} WHERE idempotency_hash = %s)"  # noqa: S608
    for shape in shapes:
        if not shape.tells_resend:
            for part in shape.parts:
                newest, reached = _newest(shape, part), _reached(shape, part)
                yield f"NOT EXISTS (SELECT 1 FROM ({newest}) newest WHERE {reached})"  # noqa: S608
        if shape.has_chain:
            yield (
                f"(SELECT total = %s AND counted_until = %s FROM {TALLIES} WHERE scope = %s"  # noqa: S608
                " ORDER BY counted_until DESC LIMIT 1)"
            )


def _no_block(addresses: int, *, has_user: bool) -> str:
    """Return SQL of whether no block in force applies, as ``SendBlock.objects.applying_to()``."""
    contains = " OR ".join(["value::inet >>= %s::inet"] * addresses)
    applies = {
        SendBlock.Scope.EVERYTHING: "TRUE",
        SendBlock.Scope.NUMBER: "value = %s",
        SendBlock.Scope.PREFIX: "starts_with(%s, value)",
        SendBlock.Scope.IP_ADDRESS: contains or "FALSE",
        SendBlock.Scope.USER: "user_id = %s" if has_user else "FALSE",
    }
    # In the order of a CASE, so that no text but an address is read as one.
    whens = " ".join(f"WHEN '{scope}' THEN {sql}" for scope, sql in applies.items())
    return (
        f"NOT EXISTS (SELECT 1 FROM {BLOCKS} WHERE (ends_at IS NULL OR ends_at > now)"  # noqa: S608
        f" AND CASE scope {whens} END)"
    )


def _judged(shape: _Shape, part: Part) -> str:
    """Return SQL of whether a limit is reached, and of the time until which one will be."""
    whens = "".join(
        f" WHEN {place} THEN moment + {_interval(seconds)}"
        for place, seconds in _places_before(shape.limits)
        if part.holds(place)
    )
    resend_at = f"MAX(CASE place{whens} END)" if whens else "NULL::timestamptz"
    return (
        f"SELECT BOOL_OR({_reached(shape, part)}) AS reached, {resend_at} AS resend_at"  # noqa: S608
        f" FROM ({_newest(shape, part)}) newest"
    )


def _newest(shape: _Shape, part: Part) -> str:
    """Return SQL of the moments of attempts, each with its place from the newest."""
    counted, attempts = shape.counted, attempts_sql(shape.counted, shape.column)
    return (
        f"SELECT {counted} AS moment, ROW_NUMBER() OVER (ORDER BY {counted} DESC) AS place"  # noqa: S608
        f" FROM {SENDS} WHERE {attempts}"
        f" ORDER BY {counted} DESC LIMIT {part.read} OFFSET {part.skipped}"
    )


def _reached(shape: _Shape, part: Part) -> str:
    """Return SQL of whether an attempt of the part is one that leaves no room."""
    return " OR ".join(
        f"(place = {place} AND moment > now - {_interval(seconds)})"
        for place, seconds in _places(shape.limits)
        if part.holds(place)
    )


def _interval(seconds: int) -> str:
    return f"INTERVAL '{seconds} seconds'"


def _places(limits: tuple[Limit, ...]) -> Iterator[tuple[int, int]]:
    """Return which attempt, from the newest, must not be newer than how many seconds."""
    for limit in limits:
        yield rank_of(limit), limit.seconds


def _places_before(limits: tuple[Limit, ...]) -> list[tuple[int, int]]:
    """Return which attempt, from the newest, the next send has to wait for, and how long.

    Of limits of the same count, the longest decides.
    """
    counted = (limit for limit in limits if 1 < limit.count <= MOST_ROWS_COUNTED)
    by_seconds = sorted(counted, key=lambda limit: limit.seconds)
    return [*{limit.count - 1: limit.seconds for limit in by_seconds}.items()]


def _seconds_of_one(shapes: tuple[_Shape, ...]) -> Iterator[int]:
    """Return for how long limits allow no send after this one."""
    for shape in shapes:
        if shape.tells_resend:
            yield from (limit.seconds for limit in shape.limits if limit.count == 1)
