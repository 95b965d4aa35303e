"""How sending goes, in figures: of closed days as they were kept, of the others from the rows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, Self

from django.conf import settings as django_settings
from django.db import router
from django.db.models import (
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Min,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.functions import RowNumber, Substr
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from django_valify_otp.conf import get_settings
from django_valify_otp.models import DailyTotal, OtpSend
from django_valify_otp.settlement import NO_RECORD

PREFIX_LENGTH = 4
# Bounds what one query has to sort, and the CASE that tells its buckets apart.
LONGEST_RUN = 48
# What Valify calls its errors is for Valify to say: a day's total must stay small all the same.
ERROR_CODES_KEPT = 50
DEFAULT_PERIOD = "7d"
ENDED = ("sent", "rejected", "failed", "unknown")


class Bucket(NamedTuple):
    """An hour or a day, its end left out."""

    start: datetime
    end: datetime

    @property
    def day(self) -> date:
        """The day, if it is one."""
        return self.start.date()


class Period(NamedTuple):
    """How far back the summary looks, by the hour or by the day."""

    label: Any
    hours: int = 0
    days: int = 0

    def buckets(self) -> list[Bucket]:
        """Its hours or days, oldest first; the last one is under way."""
        now = local(timezone.now())
        if self.days:
            return [_day(now.date() - timedelta(days=n)) for n in reversed(range(self.days))]
        hour = now.replace(minute=0, second=0, microsecond=0)
        if timezone.is_aware(hour):
            # In UTC no hour is skipped or comes twice.
            hour = hour.astimezone(UTC)
        starts = [hour - timedelta(hours=n) for n in reversed(range(self.hours))]
        return [Bucket(start, start + timedelta(hours=1)) for start in starts]


PERIODS = {
    "24h": Period(_("24 hours"), hours=24),
    "48h": Period(_("48 hours"), hours=48),
    "7d": Period(_("7 days"), days=7),
    "30d": Period(_("30 days"), days=30),
    "90d": Period(_("90 days"), days=90),
    "365d": Period(_("365 days"), days=365),
}


@dataclass(kw_only=True)
class Figures:
    """What became of the attempts of some time.

    ``trials`` counts the uses left on the access token after each code that was sent; ``sent`` and
    ``verified`` are by the first digits of the numbers.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    error_codes: Counter[str] = field(default_factory=Counter)
    blocked_by: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    verified: Counter[str] = field(default_factory=Counter)
    median_seconds: float | None = None
    p95_seconds: float | None = None

    @classmethod
    def from_json(cls, figures: Mapping[str, Any]) -> Self:
        """The figures as a daily total has kept them."""
        read = {k: Counter(v) if isinstance(v, dict) else v for k, v in figures.items()}
        return cls(**read)  # type: ignore[arg-type]

    @property
    def verified_share(self) -> float | None:
        """The part of the codes sent that was verified, from 0 to 1."""
        return share(self.verified.total(), self.sent.total())

    def count(self, group: Mapping[str, Any]) -> None:
        """Count a group of attempts that are alike."""
        attempts, prefix = group["attempts"], group["prefix"]
        self.statuses[group["status"]] += attempts
        for counter, name in (
            (self.codes, group["code"]),
            (self.error_codes, group["error_code"]),
            (self.blocked_by, group["blocked_by"]),
        ):
            if name:
                counter[name] += attempts
        if group["status"] == OtpSend.Status.SENT:
            self.trials[_trials(group["trials"])] += attempts
            self.sent[prefix] += attempts
            self.verified[prefix] += group["verified"]

    def fold_error_codes(self) -> None:
        """Count the rarest of many error codes as one, without a name."""
        kept = Counter(dict(self.error_codes.most_common(ERROR_CODES_KEPT)))
        others = self.error_codes.total() - kept.total()
        self.error_codes = kept + Counter({"": others})

    def include(self, other: "Figures") -> None:
        """Add what can be added: times cannot."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)


@dataclass(frozen=True)
class Summary:
    """The figures of a period, and of each of its hours or days."""

    period: Period
    buckets: Sequence[Bucket]
    figures: Sequence[Figures]
    total: Figures


def local(moment: datetime) -> datetime:
    """The moment in the site's time zone; as it is where the site keeps naive ones."""
    if timezone.is_naive(moment):
        return moment
    return timezone.localtime(moment, timezone.get_default_timezone())


def share(part: int, whole: int) -> float | None:
    """The part, from 0 to 1; ``None`` of nothing."""
    return part / whole if whole else None


def summarise(period: Period) -> Summary:
    """The figures of a period that ends now."""
    buckets = period.buckets()
    found = _kept(buckets) if period.days else {}
    live = [bucket for bucket in buckets if bucket not in found]
    found |= _count(_since_the_first_row(live))
    figures = [found.get(bucket) or Figures() for bucket in buckets]
    total = Figures()
    for part in figures:
        total.include(part)
    return Summary(period, buckets, figures, total)


def keep_daily_totals() -> int:
    """How many days were totalled: the closed ones that have no total yet, oldest first.

    Safe at any time, by many at once.
    """
    # A replica may not have all of a day yet.
    using = router.db_for_write(OtpSend)
    kept = 0
    for bucket in _days_to_total(using):
        if _rows([bucket], using).filter(status__in=OtpSend.OPEN).exists():
            continue
        figures = _count([bucket], using)[bucket]
        total = DailyTotal(day=bucket.day, figures=vars(figures))
        DailyTotal.objects.using(using).bulk_create([total], ignore_conflicts=True)
        kept += 1
    return kept


def start_of_open_days() -> datetime:
    """The midnight after which no day has a total yet."""
    return _day(local(_closed()).date()).start


def _closed() -> datetime:
    """A moment before which nothing changes any more."""
    settings = get_settings()
    # A code that waited in the queue is sent, and verified, that much later.
    lives = settings.queue_lifetime + settings.code_lifetime + settings.deadline
    return timezone.now() - timedelta(hours=1, seconds=lives)


def _days_to_total(using: str) -> Iterator[Bucket]:
    closed = _closed()
    first = _first_moment(using)
    if first is None:
        return
    bucket = _day(local(first).date())
    totals = DailyTotal.objects.using(using).filter(day__gte=bucket.day)
    kept = set(totals.values_list("day", flat=True))
    while bucket.end <= closed:
        if bucket.day not in kept:
            yield bucket
        bucket = _day(bucket.end.date())


def _day(day: date) -> Bucket:
    zone = timezone.get_default_timezone() if django_settings.USE_TZ else None
    midnights = [datetime.combine(d, time.min, zone) for d in (day, day + timedelta(days=1))]
    return Bucket(*midnights)


def _first_moment(using: str | None) -> datetime | None:
    first: datetime | None = OtpSend.objects.using(using).aggregate(first=Min("created_at"))[
        "first"
    ]
    return first


def _since_the_first_row(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Without the time before there was anything to count."""
    first = _first_moment(None)
    return [bucket for bucket in buckets if first and bucket.end > first]


def _kept(buckets: Sequence[Bucket]) -> dict[Bucket, Figures]:
    totals = DailyTotal.objects.filter(day__range=(buckets[0].day, buckets[-1].day))
    return {_day(total.day): Figures.from_json(total.figures) for total in totals}


def _count(buckets: Iterable[Bucket], using: str | None = None) -> dict[Bucket, Figures]:
    found = {bucket: Figures() for bucket in buckets}
    for run in _runs(found):
        for group in _groups(run, using):
            found[run[group["bucket"]]].count(group)
        for bucket in run:
            found[bucket].fold_error_codes()
        for number, seconds in _times(run, using).items():
            figures = found[run[number]]
            figures.median_seconds, figures.p95_seconds = min(seconds), max(seconds)
    return found


def _runs(buckets: Iterable[Bucket]) -> Iterator[list[Bucket]]:
    """Buckets that follow one another, so that one range of an index has them."""
    run: list[Bucket] = []
    for bucket in buckets:
        if run and (run[-1].end != bucket.start or len(run) == LONGEST_RUN):
            yield run
            run = []
        run.append(bucket)
    if run:
        yield run


def _rows(run: Sequence[Bucket], using: str | None) -> QuerySet[Any]:
    """The rows of the run, each with the number of its bucket.

    Truncating to days in the database would need time zone tables, which MariaDB may not have.
    """
    ends = [When(created_at__lt=bucket.end, then=Value(n)) for n, bucket in enumerate(run)]
    rows = OtpSend.objects.using(using).filter(
        created_at__gte=run[0].start, created_at__lt=run[-1].end
    )
    return rows.annotate(bucket=Case(*ends))


def _groups(run: Sequence[Bucket], using: str | None) -> Iterable[Mapping[str, Any]]:
    """All that is counted, in one pass over the rows."""
    trials = Case(
        When(trials_remaining__lt=3, then=F("trials_remaining")),
        When(trials_remaining__gte=3, then=Value(3)),
    )
    prefix = Substr("phone_number", 1, PREFIX_LENGTH)
    alike = _rows(run, using).values(
        "bucket", "status", "code", "error_code", "blocked_by", trials=trials, prefix=prefix
    )
    counted = alike.annotate(attempts=Count("pk"), verified=Count("verified_at"))
    return counted.order_by()  # type: ignore[no-any-return]


def _times(run: Sequence[Bucket], using: str | None) -> dict[int, list[float]]:
    """By bucket, the median of the calls' seconds and their 95th percentile, or one if the same.

    The p-th percentile is the shortest time that p % of the calls did not exceed.
    """
    duration = ExpressionWrapper(F("settled_at") - F("called_at"), DurationField())
    calls = _rows(run, using).filter(status__in=ENDED, called_at__isnull=False)
    ranked = (
        # A row without a record was settled whenever a sweep came by.
        calls.exclude(reason=NO_RECORD.reason)
        .annotate(taken=duration)
        .annotate(
            hundredfold_rank=100 * Window(RowNumber(), partition_by="bucket", order_by="taken"),
            calls_made=Window(Count("pk"), partition_by="bucket"),
        )
    )
    found: dict[int, list[float]] = {}
    for number, taken in ranked.filter(_is_percentile(50) | _is_percentile(95)).values_list(
        "bucket", "taken"
    ):
        found.setdefault(number, []).append(round(taken.total_seconds(), 3))
    return found


def _is_percentile(percent: int) -> Q:
    # In whole numbers: the databases do not agree on division.
    wanted = F("calls_made") * percent
    return Q(hundredfold_rank__gte=wanted, hundredfold_rank__lt=wanted + 100)


def _trials(trials: int | None) -> str:
    if trials is None:
        return "none"
    return "more" if trials >= 3 else str(trials)
