"""Count how sending goes: closed days from their daily totals, the others from the rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import router
from django.db.models import Case, Count, F, Min, Q, QuerySet, Value, When
from django.db.models.functions import Substr

from django_valify_otp import database_clock
from django_valify_otp.audit.durations import bin_between
from django_valify_otp.audit.figures import Figures
from django_valify_otp.audit.periods import Bucket, Period, day_of, local
from django_valify_otp.conf import get_settings
from django_valify_otp.models import DailyTotal, OtpSend
from django_valify_otp.settlement import NO_RECORD

PREFIX_LENGTH = 4
# Bounds the groups that one query returns.
LONGEST_RUN = 48
# For a larger part of a year MariaDB would read the whole table.
DAYS_AT_ONCE = 14
ENDED = ("sent", "rejected", "failed", "unknown")


@dataclass(frozen=True)
class Summary:
    """The figures of a period: of each of its hours or days, oldest first, and of all of it.

    ``before`` are those of the period before it, up to the same time of day.
    """

    period: Period
    figures: Mapping[Bucket, Figures]
    total: Figures
    before: Figures


def summarize(period: Period) -> Summary:
    """Return the figures of a period that ends now."""
    first, buckets = _first_moment(None), period.buckets()
    before = _buckets_before(period, first)
    found = _kept([*before, *buckets]) if period.days else {}
    live = [bucket for bucket in (*before, *buckets) if bucket not in found]
    # Those that were over before there was anything to count are empty.
    found |= _count(bucket for bucket in live if first and bucket.end > first)
    figures = {bucket: found.get(bucket) or Figures() for bucket in buckets}
    earlier = [found[bucket] for bucket in before if bucket in found]
    return Summary(period, figures, Figures.sum(figures.values()), Figures.sum(earlier))


def _buckets_before(period: Period, first: datetime | None) -> list[Bucket]:
    """Return those of the period before, up to the same time of its last hour or day."""
    *whole, last = period.buckets(periods_ago=1)
    # Of a day whose rows were purged, only the total of all of it is known.
    if first and first <= last.start:
        last = period.cut_as_the_last(last)
    return [*whole, last]


def keep_daily_totals() -> int:
    """Total the closed days that have no total yet, and return how many they were.

    Safe at any time, by many at once.
    """
    # A replica may not have all of a day yet.
    using = router.db_for_write(OtpSend)
    days = [*days_to_total(OtpSend.objects.using(using).filter(status__in=OtpSend.OPEN))]
    for run in _runs(days, longest=DAYS_AT_ONCE):
        totals = [
            DailyTotal(day=bucket.day, figures=vars(figures))
            for bucket, figures in _count(run, using).items()
        ]
        DailyTotal.objects.using(using).bulk_create(totals, ignore_conflicts=True)
    return len(days)


def days_to_total(open_sends: QuerySet[OtpSend]) -> Iterator[Bucket]:
    """Return the closed days without a total and without any of these sends, oldest first."""
    moments = open_sends.filter(created_at__lt=_closed(open_sends.db)).values_list(
        "created_at", flat=True
    )
    open_days = {local(moment).date() for moment in moments}
    for bucket in _closed_days_without_total(open_sends.db):
        if bucket.day not in open_days:
            yield bucket


def totalled_days(using: str) -> list[Bucket]:
    """Return the days that have a total, oldest first."""
    totals = DailyTotal.objects.using(using).order_by("day")
    return [day_of(day) for day in totals.values_list("day", flat=True)]


def _closed(using: str) -> datetime:
    """Return a moment before which nothing changes any more."""
    settings = get_settings()
    # A code that waited in the queue is sent, and verified, that much later.
    lives = settings.queue_lifetime + settings.code_lifetime + settings.deadline
    return database_clock.now(using) - timedelta(hours=1, seconds=lives)


def _closed_days_without_total(using: str) -> Iterator[Bucket]:
    closed = _closed(using)
    first = _first_moment(using)
    if first is None:
        return
    bucket = day_of(local(first).date())
    totals = DailyTotal.objects.using(using).filter(day__gte=bucket.day)
    kept = set(totals.values_list("day", flat=True))
    while bucket.end <= closed:
        if bucket.day not in kept:
            yield bucket
        bucket = day_of(bucket.end.date())


def _first_moment(using: str | None) -> datetime | None:
    found = OtpSend.objects.using(using).aggregate(first=Min("created_at"))
    first: datetime | None = found["first"]
    return first


def _kept(buckets: Sequence[Bucket]) -> dict[Bucket, Figures]:
    totals = DailyTotal.objects.filter(day__range=(buckets[0].day, buckets[-1].day))
    return {day_of(total.day): Figures.from_json(total.figures) for total in totals}


def _count(buckets: Iterable[Bucket], using: str | None = None) -> dict[Bucket, Figures]:
    found = {bucket: Figures() for bucket in buckets}
    for run in _runs(found):
        for group in _outcomes(run, using):
            found[run[group["bucket"]]].count(group)
        for group in _durations(run, using):
            found[run[group["bucket"]]].count_durations(group)
    for figures in found.values():
        figures.fold_error_codes()
    return found


def _runs(buckets: Iterable[Bucket], *, longest: int = LONGEST_RUN) -> Iterator[list[Bucket]]:
    """Cut the buckets into runs without gaps, so that one range of an index has each."""
    run: list[Bucket] = []
    for bucket in buckets:
        if run and (run[-1].end != bucket.start or len(run) == longest):
            yield run
            run = []
        run.append(bucket)
    if run:
        yield run


def _outcomes(run: Sequence[Bucket], using: str | None) -> Iterable[Mapping[str, Any]]:
    """Count attempts with the same outcome."""
    alike = _rows(run, using).values(
        "status",
        "code",
        "error_code",
        "blocked_by",
        bucket=_bucket_number(run),
        trials=_trials_up_to_three(),
        prefix=Substr("phone_number", 1, PREFIX_LENGTH),
    )
    counted = alike.annotate(attempts=Count("pk"), verified=Count("verified_at"))
    return counted.order_by()


def _durations(run: Sequence[Bucket], using: str | None) -> Iterable[Mapping[str, Any]]:
    """Count attempts whose calls took about as long; with the outcomes, groups would be tiny."""
    # A row without a record was settled whenever a sweep came by.
    timed = _rows(run, using).filter(
        ~Q(reason=NO_RECORD.reason), status__in=ENDED, called_at__isnull=False
    )
    alike = timed.values(bucket=_bucket_number(run), bin=bin_between("called_at", "settled_at"))
    return alike.annotate(attempts=Count("pk")).order_by()


def _rows(run: Sequence[Bucket], using: str | None) -> QuerySet[OtpSend]:
    rows: QuerySet[OtpSend] = OtpSend.objects.using(using)
    return rows.filter(created_at__gte=run[0].start, created_at__lt=run[-1].end)


def _bucket_number(run: Sequence[Bucket], first: int = 0) -> Case | Value:
    """Return the number of a row's bucket in the run, which is halved until one is left.

    Truncating to days in the database would need time zone tables, which MariaDB may not have.
    """
    if len(run) == 1:
        return Value(first)
    middle = len(run) // 2
    earlier = When(created_at__lt=run[middle].start, then=_bucket_number(run[:middle], first))
    return Case(earlier, default=_bucket_number(run[middle:], first + middle))


def _trials_up_to_three() -> Case:
    return Case(
        When(trials_remaining__lt=3, then=F("trials_remaining")),
        When(trials_remaining__gte=3, then=Value(3)),
    )
