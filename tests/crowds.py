"""Many attempts at once, and what the limits say of them by a plain recount."""

import math
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django_valify_otp import tallies
from django_valify_otp.database_clock import Reading
from django_valify_otp.deadline import Deadline
from django_valify_otp.limits import Look, Scope
from django_valify_otp.models import LimitTally, OtpSend
from django_valify_otp.setting_values import read_limits
from tests.clock import NOW
from tests.factories import NUMBER

ADDRESS = "41.32.10.7"
COUNTED = {
    "counted_at": OtpSend.MAY_HAVE_SENT,
    "counted_with_rejected_at": OtpSend.MAY_HAVE_SENT_OR_REJECTED,
}
STATUSES = [str(status) for status in OtpSend.Status]
SETTLED = [status for status in STATUSES if status not in OtpSend.OPEN]


def everything(*limits: str) -> Scope:
    """Return the scope of all attempts."""
    return Scope(key="GLOBAL_SEND_LIMITS", limits=read_limits(limits), counted="counted_at")


def of_number(*limits: str, value: str = NUMBER) -> Scope:
    """Return the scope of a number."""
    return Scope(
        key="NUMBER_SEND_LIMITS",
        limits=read_limits(limits),
        counted="counted_at",
        column="phone_number",
        value=value,
    )


def of_caller(*limits: str, value: str = "user:1") -> Scope:
    """Return the scope of a user."""
    return Scope(
        key="USER_SEND_LIMITS",
        limits=read_limits(limits),
        counted="counted_with_rejected_at",
        column="caller",
        value=value,
    )


def of_address(*limits: str, value: str = ADDRESS) -> Scope:
    """Return the scope of an address."""
    return Scope(
        key="IP_SEND_LIMITS",
        limits=read_limits(limits),
        counted="counted_with_rejected_at",
        column="limited_network",
        value=value,
    )


def attempt(created_at: datetime, status: str = "sent", **fields: Any) -> OtpSend:
    """Return an attempt of this moment, not saved yet."""
    defaults = {
        "phone_number": NUMBER,
        "lang": "en",
        "caller": "user:1",
        "limited_network": ADDRESS,
        "transaction_id": "T1" if status == "sent" else "",
        "called_at": created_at,
        "settled_at": None if status in OtpSend.OPEN else created_at,
    }
    return OtpSend(status=status, created_at=created_at, **{**defaults, **fields})


def make_attempts(moments: Iterable[datetime], status: str = "sent", **fields: Any) -> None:
    """Make an attempt of each of these moments."""
    OtpSend.objects.bulk_create(attempt(moment, status, **fields) for moment in moments)


def seconds_before(now: datetime, count: int) -> list[datetime]:
    """Return so many moments, one each second, the oldest first; the newest is a second ago."""
    return [now - timedelta(seconds=number) for number in range(count, 0, -1)]


def make_random_attempts(
    chance: random.Random,
    since: datetime,
    *,
    seconds: int,
    count: int,
    statuses: Iterable[str] = STATUSES,
) -> None:
    """Make attempts of any status, for two numbers, users and addresses, several at one moment."""
    offsets = sorted(chance.randint(1, seconds) for _ in range(count))
    OtpSend.objects.bulk_create(
        attempt(
            since + timedelta(seconds=offset),
            chance.choice([*statuses, "sent", "sent"]),
            phone_number=chance.choice([NUMBER, "01112345678"]),
            caller=chance.choice(["user:1", "user:2"]),
            limited_network=chance.choice([ADDRESS, "", "41.32.10.8"]),
        )
        for offset in offsets
    )


def settle_some(chance: random.Random) -> None:
    """Settle most of the open attempts, each in any way."""
    left = OtpSend.objects.filter(status__in=OtpSend.OPEN)
    ways = {
        pk: chance.choice([*SETTLED, *OtpSend.OPEN]) for pk in left.values_list("pk", flat=True)
    }
    for status in SETTLED:
        pks = [pk for pk, way in ways.items() if way == status]
        transaction_id = "T1" if status == "sent" else ""
        left.filter(pk__in=pks).update(status=status, settled_at=NOW, transaction_id=transaction_id)


def moments_of(scope: Scope) -> list[datetime]:
    """Return when the attempts of a scope were made that count, the newest first."""
    rows = OtpSend.objects.values_list("created_at", "status", scope.column or "lang")
    counted, value = COUNTED[scope.counted], scope.value if scope.column else "en"
    return sorted(
        (moment for moment, status, found in rows if status in counted and found == value),
        reverse=True,
    )


def recount(scope: Scope, since: datetime) -> int:
    """Count the attempts of a scope that are newer than a moment."""
    return sum(moment > since for moment in moments_of(scope))


def waits_of(scopes: Iterable[Scope], now: datetime) -> dict[str, int]:
    """Return the limits that are reached, each with the seconds until it allows a send."""
    waits = {}
    for scope in scopes:
        moments = moments_of(scope)
        for limit in scope.limits:
            if len(moments) >= limit.count:
                leaves = moments[limit.count - 1] + timedelta(seconds=limit.seconds)
                waits[f"{scope.key} {limit.text}"] = math.ceil((leaves - now).total_seconds())
    return {name: wait for name, wait in waits.items() if wait > 0}


def all_tallies() -> list[tuple[str, datetime, int]]:
    """Return what all tallies say."""
    columns = ("scope", "counted_until", "total")
    return [*LimitTally.objects.order_by(*columns).values_list(*columns)]


def extend(scope: Scope, *, now: datetime) -> OtpSend | None:
    """Make the tallies that are missing, and return the open attempt that is in the way."""
    return tallies.extend(scope, now=now, using="default", deadline=Deadline(20))


def check_tallies(scope: Scope, now: datetime) -> None:
    """Compare counts with a recount, also once tallies were taken away and made again."""
    moments = moments_of(scope)
    for _ in range(2):
        for since in [*moments[:: max(1, len(moments) // 20)], now - timedelta(hours=1)]:
            [counted] = tallies.count([(scope, since)], using="default")
            assert counted.attempts == sum(moment > since for moment in moments)
        LimitTally.objects.all().delete()
        extend(scope, now=now)


def look_at(*scopes: Scope, now: datetime = NOW) -> tallies.Crowd:
    """Look at all limits of these scopes by tallies that nobody has read yet."""
    crowded = [(scope, [*scope.limits]) for scope in scopes]
    return tallies.look(Look(Reading(now, 0), False, [], [], crowded, {}, {}), using="default")
