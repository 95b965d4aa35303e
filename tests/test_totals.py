"""The figures of the summary, kept and live."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from django_valify_otp import settlement, totals
from django_valify_otp.models import DailyTotal, OtpSend
from django_valify_otp.settlement import settle_as_lost
from django_valify_otp.totals import PERIODS, Figures, Summary, keep_daily_totals, summarise
from tests.test_api import make_send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CAIRO = ZoneInfo("Africa/Cairo")
NOW = datetime(2026, 11, 23, 14, 30, tzinfo=CAIRO)
TODAY = NOW.date()


class Clock:
    """The time of day, which the tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)


def at(days_ago: int, hour: int = 12, minute: int = 0) -> datetime:
    day = TODAY - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=CAIRO)


def send(created_at: datetime, *, seconds: float = 1, **fields: Any) -> OtpSend:
    times = {"called_at": created_at, "settled_at": created_at + timedelta(seconds=seconds)}
    return make_send(**{"created_at": created_at, **times, **fields})


def blocked(created_at: datetime, **fields: Any) -> OtpSend:
    defaults = {
        "status": "blocked",
        "code": "send_limit_reached",
        "blocked_by": "NUMBER_SEND_LIMITS 5/1h",
        "transaction_id": "",
        "called_at": None,
    }
    return send(created_at, **{**defaults, **fields})


def opened(created_at: datetime, status: str = "pending") -> OtpSend:
    return send(created_at, status=status, transaction_id="", settled_at=None)


def by_day(summary: Summary) -> dict[date, Figures]:
    days = zip(summary.buckets, summary.figures, strict=True)
    return {bucket.day: figures for bucket, figures in days if figures.statuses}


def kept_days() -> list[date]:
    return list(DailyTotal.objects.order_by("day").values_list("day", flat=True))


def test_all_that_is_counted() -> None:
    send(at(1), trials_remaining=2, verified_at=at(1))
    send(at(1), trials_remaining=7, phone_number="01112345678")
    send(at(1), phone_number="")
    refused: dict[str, Any] = {"status": "rejected", "code": "rejected", "error_code": "21"}
    send(at(1), **refused, transaction_id="", trials_remaining=1)
    blocked(at(1))
    blocked(at(1), code="send_forbidden", blocked_by="SendBlock 4")
    opened(at(1), "queued")
    figures = summarise(PERIODS["7d"]).total
    assert figures.statuses == {"sent": 3, "rejected": 1, "blocked": 2, "queued": 1}
    assert figures.codes == {"rejected": 1, "send_limit_reached": 1, "send_forbidden": 1}
    assert figures.error_codes == {"21": 1}
    assert figures.blocked_by == {"NUMBER_SEND_LIMITS 5/1h": 1, "SendBlock 4": 1}
    assert figures.trials == {"2": 1, "more": 1, "none": 1}
    assert figures.sent == {"0101": 1, "0111": 1, "": 1}
    assert +figures.verified == {"0101": 1}
    assert figures.verified_share == pytest.approx(1 / 3)


def test_of_many_error_codes_the_rarest_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "ERROR_CODES_KEPT", 2)
    refused: dict[str, Any] = {"status": "rejected", "code": "rejected", "transaction_id": ""}
    for error_code in ("1", "2", "2", "2", "3", "3", "4"):
        send(at(1), error_code=error_code, **refused)
    expected = {"2": 3, "3": 2, "": 2}
    assert summarise(PERIODS["7d"]).total.error_codes == expected
    assert keep_daily_totals() == 1
    assert summarise(PERIODS["7d"]).total.error_codes == expected


def test_the_figures_of_nothing() -> None:
    summary = summarise(PERIODS["7d"])
    assert summary.figures == [Figures()] * 7
    assert summary.total == Figures()
    assert summary.total.verified_share is None


@pytest.mark.parametrize(("key", "count"), [("7d", 7), ("30d", 30), ("90d", 90), ("365d", 365)])
def test_a_day_begins_at_midnight_of_the_site(key: str, count: int) -> None:
    first = TODAY - timedelta(days=count - 1)
    oldest = datetime(first.year, first.month, first.day, tzinfo=CAIRO)
    for moment in (oldest - timedelta(microseconds=1), oldest, at(0, 0), NOW):
        send(moment)
    send(at(0, 0) - timedelta(microseconds=1))
    summary = summarise(PERIODS[key])
    assert len(summary.buckets) == count
    assert {day: figures.statuses.total() for day, figures in by_day(summary).items()} == {
        first: 1,
        TODAY - timedelta(days=1): 1,
        TODAY: 2,
    }


@pytest.mark.parametrize(("key", "count"), [("24h", 24), ("48h", 48)])
def test_short_periods_go_by_the_hour(key: str, count: int) -> None:
    this_hour = NOW.replace(minute=0)
    oldest = this_hour - timedelta(hours=count - 1)
    for moment in (oldest - timedelta(microseconds=1), oldest, this_hour, NOW):
        send(moment)
    figures = summarise(PERIODS[key]).figures
    assert len(figures) == count
    assert [part.statuses.total() for part in figures] == [1, *[0] * (count - 2), 2]


@pytest.mark.parametrize("zone", ["Africa/Cairo", "Asia/Kolkata", "America/St_Johns", "UTC"])
@pytest.mark.parametrize("now", ["2026-04-24T12:00Z", "2026-10-30T12:00Z"])
def test_clocks_that_change_lose_and_double_nothing(
    settings: Settings, clock: Clock, zone: str, now: str
) -> None:
    settings.TIME_ZONE = zone
    clock.now = datetime.fromisoformat(now)
    moments = [clock.now - timedelta(minutes=20 * n) for n in range(144)]
    for moment in moments:
        send(moment)
    for key in ("48h", "7d"):
        summary = summarise(PERIODS[key])
        ends = [bucket.end for bucket in summary.buckets]
        assert [bucket.start for bucket in summary.buckets[1:]] == ends[:-1]
        in_reach = [moment for moment in moments if moment >= summary.buckets[0].start]
        assert summary.total.statuses.total() == len(in_reach)


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 40, 101])
def test_the_times_are_those_of_a_sorted_list(count: int) -> None:
    taken = [(n * 37) % count + 0.25 for n in range(count)]
    for seconds in taken:
        send(at(0, 9), seconds=seconds)
    send(at(1, 9), seconds=600)
    figures = summarise(PERIODS["7d"]).figures[-1]
    assert figures.median_seconds == sorted(taken)[math.ceil(count / 2) - 1]
    assert figures.p95_seconds == sorted(taken)[math.ceil(count * 95 / 100) - 1]


@pytest.mark.parametrize("status", ["sent", "rejected", "failed", "unknown"])
def test_calls_that_ended_have_a_time(status: str) -> None:
    send(at(0), status=status, seconds=3)
    assert summarise(PERIODS["7d"]).figures[-1].median_seconds == 3


@pytest.mark.parametrize("make", [blocked, opened])
def test_attempts_without_an_ended_call_have_none(make: Callable[[datetime], OtpSend]) -> None:
    make(at(0))
    assert summarise(PERIODS["7d"]).figures[-1].median_seconds is None


def test_an_attempt_that_never_called_has_no_time() -> None:
    send(at(0), status="failed", transaction_id="", called_at=None)
    assert summarise(PERIODS["7d"]).figures[-1].median_seconds is None


def test_the_wait_for_a_sweep_is_not_the_time_of_a_call() -> None:
    row = opened(at(0))
    assert settle_as_lost(row)
    assert row.reason == settlement.NO_RECORD.reason
    figures = summarise(PERIODS["7d"]).figures[-1]
    assert figures.statuses == {"unknown": 1}
    assert figures.median_seconds is None


def test_totals_are_kept_of_every_closed_day() -> None:
    send(at(3))
    send(at(1))
    send(at(0))
    assert keep_daily_totals() == 3
    assert kept_days() == [TODAY - timedelta(days=n) for n in (3, 2, 1)]
    assert keep_daily_totals() == 0


def test_nothing_is_kept_of_nothing() -> None:
    assert keep_daily_totals() == 0


def test_a_kept_day_reads_as_it_did_live() -> None:
    for n in range(30):
        send(at(n % 3), seconds=n, trials_remaining=n % 5, verified_at=at(0) if n % 4 else None)
        blocked(at(n % 3))
    live = summarise(PERIODS["7d"])
    assert keep_daily_totals() == 2
    assert summarise(PERIODS["7d"]) == live


def test_a_kept_day_outlives_its_rows() -> None:
    send(at(2))
    send(at(0))
    keep_daily_totals()
    OtpSend.objects.filter(created_at__lt=at(1)).delete()
    assert summarise(PERIODS["30d"]).total.statuses == {"sent": 2}
    assert keep_daily_totals() == 0
    assert len(kept_days()) == 2


def test_a_day_stays_open_until_its_codes_are_dead(settings: Settings, clock: Clock) -> None:
    settings.VALIFY_OTP = {
        **settings.VALIFY_OTP,
        "CODE_LIFETIME": 600,
        "DEADLINE": 25,
        "QUEUE_LIFETIME": 120,
    }
    send(at(1))
    closed = at(0, 0) + timedelta(hours=1, seconds=600 + 25 + 120)
    clock.now = closed - timedelta(seconds=1)
    assert keep_daily_totals() == 0
    clock.now = closed
    assert keep_daily_totals() == 1


@pytest.mark.parametrize("status", ["queued", "pending"])
def test_an_open_row_keeps_its_day_open(status: str) -> None:
    row = opened(at(2), status)
    send(at(1))
    assert keep_daily_totals() == 1
    assert kept_days() == [TODAY - timedelta(days=1)]
    row.settle(status="failed")
    assert keep_daily_totals() == 1
    assert summarise(PERIODS["7d"]).total.statuses == {"failed": 1, "sent": 1}


def test_of_two_that_keep_at_once_the_first_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a purge deletes the rows that another has not counted to the end."""
    send(at(1))
    count = totals._count
    first = {"statuses": {"sent": 5}}

    def late(*arguments: Any) -> Any:
        DailyTotal.objects.create(day=at(1).date(), figures=first)
        return count(*arguments)

    monkeypatch.setattr(totals, "_count", late)
    assert keep_daily_totals() == 1
    assert DailyTotal.objects.get().figures == first


def test_a_day_takes_four_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for n in range(4):
        send(at(n))
    with django_assert_num_queries(2 + 3 * 4):
        assert keep_daily_totals() == 3
    with django_assert_num_queries(2):
        keep_daily_totals()


@pytest.mark.parametrize(("key", "count"), [("24h", 3), ("48h", 3), ("7d", 4), ("365d", 4)])
def test_with_totals_the_queries_are_few(
    django_assert_num_queries: DjangoAssertNumQueries, key: str, count: int
) -> None:
    for n in range(5):
        send(at(n * 20))
    keep_daily_totals()
    with django_assert_num_queries(count):
        summarise(PERIODS[key])


def test_without_totals_the_queries_are_bounded(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for days in (0, 364):
        send(at(days))
    runs = math.ceil(365 / totals.LONGEST_RUN)
    with django_assert_num_queries(2 + 2 * runs):
        assert summarise(PERIODS["365d"]).total.statuses == {"sent": 2}


def test_a_day_that_stays_open_does_not_have_its_followers_read(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    opened(at(20))
    for n in range(20):
        send(at(n))
    keep_daily_totals()
    with django_assert_num_queries(2 + 2 * 2):
        assert summarise(PERIODS["30d"]).total.statuses == {"pending": 1, "sent": 20}


def test_a_total_is_named_after_its_day() -> None:
    assert str(DailyTotal(day=date(2026, 1, 2))) == "2026-01-02"
