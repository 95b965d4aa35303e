"""Rows do not stay for ever: the old ones are deleted or anonymised, in short transactions."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import OperationalError, connections, router, transaction
from django.db.models import F, Max, Min, Q, QuerySet
from django.utils import timezone

from django_valify_otp.admission import reconnect
from django_valify_otp.conf import SECONDS, Settings, get_settings
from django_valify_otp.models import ERASED, OtpSend, OtpVerification
from django_valify_otp.services import sweep
from django_valify_otp.totals import keep_daily_totals, start_of_open_days

# A batch is as large as the database can do in this time: others wait for its locks.
BATCH_SECONDS = 0.1
FIRST_BATCH, SMALLEST_BATCH, LARGEST_BATCH = 1000, 100, 50_000
# Rows that were anonymised long ago are passed in no time, and the next ones take theirs.
LARGEST_ANONYMISED_BATCH = 5_000
# After a deadlock or a lost connection.
PAUSES_SECONDS = (3, 1, 0.1)


@dataclass(frozen=True)
class Progress:
    """How many rows a purge is done with, and how far it has come, from 0 to 1."""

    sends: int
    tries: int
    share: float


class Place(NamedTuple):
    """A row's place in the order of time."""

    created_at: datetime
    pk: int


def purge(
    *,
    days: int | None = None,
    phone_number: str | None = None,
    anonymise: bool = False,
    dry_run: bool = False,
) -> Iterator[Progress]:
    """Delete the settled attempts that are older than ``days`` days, with their tries.

    Only those of one number ``01xxxxxxxxx`` if one is given; without ``days`` then all of them.
    ``anonymise`` keeps the rows, without number, address and user; ``dry_run`` only counts. What a
    limit still counts, or somebody may still verify or redeem, stays.

    No ``pre_delete`` or ``post_delete`` is sent. Raises ``ValueError`` without days and number, and
    ``IntegrityError`` if rows of the site's own refer to those to be deleted.
    """
    if days is None and phone_number is None:
        raise ValueError("Give days or phone_number: everything is not to be purged by mistake.")
    settings = get_settings()
    using = router.db_for_write(OtpSend)
    if not dry_run:
        sweep()
        keep_daily_totals()
    cutoff = timezone.now() - timedelta(
        seconds=max(seconds_needed(settings), days_to_seconds(days))
    )
    rows = OtpSend.objects.using(using)
    if phone_number is not None:
        rows = rows.filter(phone_number=phone_number)
    else:
        cutoff = min(cutoff, start_of_open_days())
    treat = _count if dry_run else _anonymise if anonymise else _delete
    done = Progress(0, 0, 0)
    largest = LARGEST_ANONYMISED_BATCH if anonymise else LARGEST_BATCH
    for batch, share in _batches(rows.filter(created_at__lt=cutoff), cutoff, largest):
        sends, tries = _treat(treat, batch, anonymise=anonymise)
        done = Progress(done.sends + sends, done.tries + tries, share)
        yield done


def count_sends(phone_number: str) -> int:
    """How many attempts there are to a number ``01xxxxxxxxx``."""
    using = router.db_for_write(OtpSend)
    return OtpSend.objects.using(using).filter(phone_number=phone_number).count()


def seconds_needed(settings: Settings) -> float:
    """The age in seconds below which a row is still needed."""
    limits = (
        *settings.number_send_limits,
        *settings.user_send_limits,
        *settings.ip_send_limits,
        *settings.global_send_limits,
    )
    # Its code is good for so long after its call, and its token after the call that verified it.
    lives = settings.queue_lifetime + 2 * (settings.deadline + settings.code_lifetime)
    return max([lives, *(limit.seconds for limit in limits)])


def days_to_seconds(days: int | None) -> int:
    """The seconds of so many days."""
    return (days or 0) * SECONDS["d"]


def _batches(
    rows: QuerySet[OtpSend], cutoff: datetime, largest: int
) -> Iterator[tuple[QuerySet[OtpSend], float]]:
    """The rows, oldest first, and how far each batch reaches.

    A batch has all rows of its time, also those to be left alone: to skip many of them must not
    take one long statement.
    """
    oldest: datetime | None = rows.aggregate(oldest=Min("created_at"))["oldest"]
    if oldest is None:
        return
    # The index may still begin with many rows that an earlier purge has deleted.
    size, rest = FIRST_BATCH, rows.filter(created_at__gte=oldest)
    while True:
        began = time.monotonic()
        places = rest.order_by("created_at", "pk").values_list("created_at", "pk")
        end = next((Place(*place) for place in places[size - 1 : size]), None)
        if end is None:
            yield rest, 1
            return
        yield rest.filter(_up_to(end)), (end.created_at - oldest) / (cutoff - oldest)
        rest = rows.filter(_after(end))
        took = max(time.monotonic() - began, 0.001)
        size = min(max(int(size * BATCH_SECONDS / took), SMALLEST_BATCH), largest)
        # On SQLite nobody is woken when the lock is free: leave them time to look.
        is_woken = connections[rows.db].features.has_select_for_update
        time.sleep(0 if is_woken else took)


def _up_to(place: Place) -> Q:
    earlier = Q(created_at__lt=place.created_at) | Q(pk__lte=place.pk)
    return Q(created_at__lte=place.created_at) & earlier


def _after(place: Place) -> Q:
    later = Q(created_at__gt=place.created_at) | Q(pk__gt=place.pk)
    return Q(created_at__gte=place.created_at) & later


Treatment = Callable[[QuerySet[OtpSend], QuerySet[OtpVerification]], tuple[int, int]]


def _treat(treat: Treatment, batch: QuerySet[OtpSend], *, anonymise: bool) -> tuple[int, int]:
    """What was done to the rows of the batch that are neither open nor done with."""
    using = batch.db
    tries = OtpVerification.objects.using(using)
    open_tries = tries.filter(status__in=OtpVerification.OPEN).values("otp_send")
    sends = batch.exclude(settled_at=None).exclude(pk__in=open_tries)
    if anonymise:
        sends = sends.exclude(caller=ERASED)
    # Read before the transaction: on SQLite, one that reads first cannot wait for another's write.
    theirs = tries.filter(_of(sends, batch))
    pauses = [*PAUSES_SECONDS]
    while True:
        try:
            with transaction.atomic(using=using):
                return treat(sends, theirs)
        except OperationalError:
            if not pauses:
                raise
            time.sleep(pauses.pop())
            reconnect(using)


def _of(sends: QuerySet[OtpSend], batch: QuerySet[OtpSend]) -> Q:
    """The tries of these sends, with the range without which PostgreSQL may read all tries."""
    # Not of the column itself, which PostgreSQL would look for along the whole primary key.
    pk = F("pk") + 0
    ends = batch.aggregate(first=Min(pk), last=Max(pk))
    return Q(
        otp_send__in=sends.values("pk"),
        otp_send__gte=ends["first"] or 0,
        otp_send__lte=ends["last"] or 0,
    )


def _count(sends: QuerySet[OtpSend], tries: QuerySet[OtpVerification]) -> tuple[int, int]:
    return sends.count(), tries.count()


def _delete(sends: QuerySet[OtpSend], tries: QuerySet[OtpVerification]) -> tuple[int, int]:
    # delete() reads every row into memory as soon as anybody listens to post_delete.
    done: list[Any] = [rows._raw_delete(rows.db) for rows in (tries, sends)]  # noqa: SLF001
    return done[1], done[0]


def _anonymise(sends: QuerySet[OtpSend], tries: QuerySet[OtpVerification]) -> tuple[int, int]:
    nobody: dict[str, Any] = {"ip_address": None, "user": None, "caller": ERASED}
    # The tries first: the sends will not be found again.
    done_tries = tries.update(**nobody)
    done_sends = sends.update(**nobody, phone_number="", limited_network="", idempotency_hash=None)
    return done_sends, done_tries
