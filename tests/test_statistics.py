"""The figures of the summary, kept and live."""

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from pytest_django import DjangoAssertNumQueries, Settings

from django_valify_otp import database_clock, settlement
from django_valify_otp.audit import figures as figures_module
from django_valify_otp.audit import statistics
from django_valify_otp.audit.durations import Microseconds
from django_valify_otp.audit.figures import Figures
from django_valify_otp.audit.periods import PERIODS
from django_valify_otp.audit.statistics import Summary, keep_daily_totals, summarize
from django_valify_otp.models import DailyTotal, OtpSend
from django_valify_otp.settlement import settle_as_lost
from tests.clock import CAIRO, NOW, TODAY, Clock, at
from tests.configuration import Configure
from tests.history import blocked, kept_days, opened, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def by_day(summary: Summary) -> dict[date, Figures]:
    days = summary.figures.items()
    return {bucket.day: figures for bucket, figures in days if figures.statuses}


def of_today() -> Figures:
    [*_others, figures] = summarize(PERIODS["7d"]).figures.values()
    return figures


def test_all_that_is_counted() -> None:
    send(at(1), trials_remaining=2, verified_at=at(1))
    send(at(1), trials_remaining=7, phone_number="01112345678")
    send(at(1), phone_number="")
    refused: dict[str, Any] = {"status": "rejected", "code": "rejected", "error_code": "21"}
    send(at(1), **refused, transaction_id="", trials_remaining=1)
    blocked(at(1))
    blocked(at(1), code="send_forbidden", blocked_by="SendBlock 4")
    opened(at(1), status="queued")
    figures = summarize(PERIODS["7d"]).total
    assert figures.statuses == {"sent": 3, "rejected": 1, "blocked": 2, "queued": 1}
    assert figures.codes == {"rejected": 1, "send_limit_reached": 1, "send_forbidden": 1}
    assert figures.error_codes == {"21": 1}
    assert figures.blocked_by == {"NUMBER_SEND_LIMITS 5/1h": 1, "SendBlock 4": 1}
    assert figures.trials == {"2": 1, "more": 1, "none": 1}
    assert figures.sent == {"0101": 1, "0111": 1, "": 1}
    assert +figures.verified == {"0101": 1}
    assert figures.verified_share == pytest.approx(1 / 3)


def test_of_many_error_codes_the_rarest_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures_module, "ERROR_CODES_KEPT", 2)
    refused: dict[str, Any] = {"status": "rejected", "code": "rejected", "transaction_id": ""}
    for error_code in ("1", "2", "2", "2", "3", "3", "4"):
        send(at(1), error_code=error_code, **refused)
    expected = {"2": 3, "3": 2, "": 2}
    assert summarize(PERIODS["7d"]).total.error_codes == expected
    assert keep_daily_totals() == 1
    assert summarize(PERIODS["7d"]).total.error_codes == expected


def test_the_figures_of_nothing() -> None:
    summary = summarize(PERIODS["7d"])
    assert [*summary.figures.values()] == [Figures()] * 7
    assert summary.total == Figures()
    assert summary.total.verified_share is None


@pytest.mark.parametrize(("key", "count"), [("7d", 7), ("30d", 30), ("90d", 90), ("365d", 365)])
def test_a_day_begins_at_midnight_of_the_site(key: str, count: int) -> None:
    first = TODAY - timedelta(days=count - 1)
    oldest = datetime(first.year, first.month, first.day, tzinfo=CAIRO)
    for moment in (oldest - timedelta(microseconds=1), oldest, at(0, 0), NOW):
        send(moment)
    send(at(0, 0) - timedelta(microseconds=1))
    summary = summarize(PERIODS[key])
    assert len(summary.figures) == count
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
    figures = [*summarize(PERIODS[key]).figures.values()]
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
        summary = summarize(PERIODS[key])
        buckets = [*summary.figures]
        ends = [bucket.end for bucket in buckets]
        assert [bucket.start for bucket in buckets[1:]] == ends[:-1]
        in_reach = [moment for moment in moments if moment >= buckets[0].start]
        assert summary.total.statuses.total() == len(in_reach)


def about(seconds: float) -> Any:
    return pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 40, 101])
def test_the_times_are_about_those_of_a_sorted_list(count: int) -> None:
    taken = [(n * 37) % count + 0.25 for n in range(count)]
    for seconds in taken:
        send(at(0, 9), seconds=seconds)
    send(at(1, 9), seconds=600)
    figures = of_today()
    assert figures.median_seconds == about(sorted(taken)[math.ceil(count / 2) - 1])
    assert figures.p95_seconds == about(sorted(taken)[math.ceil(count * 95 / 100) - 1])


@pytest.mark.parametrize("seconds", [0.001, 0.0371, 0.25, 1, 1.1, 1.21, 25, 600, 86_400])
def test_a_time_is_told_to_within_five_percent(seconds: float) -> None:
    send(at(0), seconds=seconds)
    assert of_today().median_seconds == about(seconds)


@pytest.mark.parametrize("microseconds", [(0, 400_000), (999_600, 0), (999_999, 1), (0, 0)])
def test_a_time_is_exact_whatever_the_fractions(microseconds: tuple[int, int]) -> None:
    start, end = (NOW.replace(microsecond=fraction) for fraction in microseconds)
    send(start, settled_at=end + timedelta(seconds=3))
    taken = Microseconds(F("settled_at")) - Microseconds(F("called_at"))
    [found] = OtpSend.objects.values_list(taken)
    assert found == ((end + timedelta(seconds=3) - start) / timedelta(microseconds=1),)


@pytest.mark.parametrize("seconds", [0, -5])
def test_a_clock_that_was_set_back_makes_a_short_time(seconds: float) -> None:
    send(at(0), seconds=seconds)
    assert of_today().median_seconds == about(0.001)


def test_times_add_up_over_days() -> None:
    for seconds in (1, 2, 3):
        send(at(1), seconds=seconds)
    send(at(0), seconds=20)
    send(at(0), seconds=30)
    total = summarize(PERIODS["7d"]).total
    assert total.median_seconds == about(3)
    assert total.p95_seconds == about(30)


@pytest.mark.parametrize("status", ["sent", "rejected", "failed", "unknown"])
def test_calls_that_ended_have_a_time(status: str) -> None:
    send(at(0), status=status, seconds=3)
    assert of_today().median_seconds == about(3)


@pytest.mark.parametrize("make", [blocked, opened])
def test_attempts_without_an_ended_call_have_none(make: Callable[[datetime], OtpSend]) -> None:
    make(at(0))
    assert of_today().median_seconds is None


def test_an_attempt_that_never_called_has_no_time() -> None:
    send(at(0), status="failed", transaction_id="", called_at=None)
    assert of_today().median_seconds is None


def test_the_wait_for_a_sweep_is_not_the_time_of_a_call() -> None:
    row = opened(at(0))
    assert settle_as_lost(row, at=at(0, 13))
    assert row.reason == settlement.NO_RECORD.reason
    figures = of_today()
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
    live = summarize(PERIODS["7d"])
    assert keep_daily_totals() == 2
    assert summarize(PERIODS["7d"]) == live


def test_a_total_that_a_newer_version_kept_can_be_read() -> None:
    send(at(1))
    keep_daily_totals()
    live = summarize(PERIODS["7d"])
    total = DailyTotal.objects.get()
    total.figures |= {"languages": {"ar": 1}, "mean_seconds": 1.5}
    total.save()
    assert summarize(PERIODS["7d"]) == live


def test_a_total_that_an_older_version_kept_can_be_read() -> None:
    DailyTotal.objects.create(day=at(1).date(), figures={"statuses": {"sent": 3}})
    total = summarize(PERIODS["7d"]).total
    assert total.statuses == {"sent": 3}
    assert total.median_seconds is None


def test_a_kept_day_outlives_its_rows() -> None:
    send(at(2))
    send(at(0))
    keep_daily_totals()
    OtpSend.objects.filter(created_at__lt=at(1)).delete()
    assert summarize(PERIODS["30d"]).total.statuses == {"sent": 2}
    assert keep_daily_totals() == 0
    assert len(kept_days()) == 2


def test_a_day_stays_open_until_its_codes_are_dead(configure: Configure, clock: Clock) -> None:
    configure(CODE_LIFETIME=600, DEADLINE=25, QUEUE_LIFETIME=120)
    send(at(1))
    closed = at(0, 0) + timedelta(hours=1, seconds=600 + 25 + 120)
    clock.now = closed - timedelta(seconds=1)
    assert keep_daily_totals() == 0
    clock.now = closed
    assert keep_daily_totals() == 1


@pytest.mark.parametrize("status", ["queued", "pending"])
def test_an_open_row_keeps_its_day_open(status: str) -> None:
    row = opened(at(2), status=status)
    send(at(1))
    assert keep_daily_totals() == 1
    assert kept_days() == [TODAY - timedelta(days=1)]
    row.settle(status="failed", settled_at=at(1))
    assert keep_daily_totals() == 1
    assert summarize(PERIODS["7d"]).total.statuses == {"failed": 1, "sent": 1}


def test_of_two_that_keep_at_once_the_first_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a purge deletes the rows that another has not counted to the end."""
    send(at(1))
    count = statistics._count
    first = {"statuses": {"sent": 5}}

    def late(*arguments: Any) -> Any:
        DailyTotal.objects.create(day=at(1).date(), figures=first)
        return count(*arguments)

    monkeypatch.setattr(statistics, "_count", late)
    assert keep_daily_totals() == 1
    assert DailyTotal.objects.get().figures == first


def test_many_days_take_few_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The open rows, the first moment and the days kept; then three for each run of days.

    A database with a clock of its own is asked for the time twice, too.
    """
    asked = 2 * (connection.vendor in database_clock.SERVER_CLOCKS)
    days = 2 * statistics.DAYS_AT_ONCE
    for n in range(days + 1):
        send(at(n))
    with django_assert_num_queries(asked + 3 + 3 * 2):
        assert keep_daily_totals() == days
    with django_assert_num_queries(asked + 3):
        keep_daily_totals()


@pytest.mark.parametrize(("key", "count"), [("24h", 5), ("48h", 5), ("7d", 6), ("365d", 4)])
def test_with_totals_the_queries_are_few(
    django_assert_num_queries: DjangoAssertNumQueries, key: str, count: int
) -> None:
    for n in range(5):
        send(at(n * 20))
    keep_daily_totals()
    with django_assert_num_queries(count):
        summarize(PERIODS[key])


@pytest.mark.parametrize(("key", "ages"), [("7d", (7, 8)), ("24h", (1, 1.5))])
def test_the_period_before_ends_at_the_same_time_of_day(key: str, ages: tuple[float, ...]) -> None:
    in_time = [NOW - timedelta(days=age, minutes=2) for age in ages]
    for moment in (*in_time, NOW - timedelta(days=ages[0], minutes=-2)):
        send(moment)
    send(at(40))
    for _ in range(2):
        assert summarize(PERIODS[key]).before.statuses == {"sent": 2}
        keep_daily_totals()


def test_of_a_purged_day_before_all_is_counted() -> None:
    for minutes in (-2, 2):
        send(NOW - timedelta(days=7, minutes=minutes))
    keep_daily_totals()
    OtpSend.objects.all().delete()
    assert summarize(PERIODS["7d"]).before.statuses == {"sent": 2}


def test_a_new_site_has_nothing_before() -> None:
    assert summarize(PERIODS["7d"]).before == Figures()
    send(NOW)
    assert summarize(PERIODS["24h"]).before == Figures()


def test_without_totals_the_queries_are_bounded(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for days in (0, 364):
        send(at(days))
    runs = math.ceil(365 / statistics.LONGEST_RUN)
    with django_assert_num_queries(2 + 2 * runs):
        assert summarize(PERIODS["365d"]).total.statuses == {"sent": 2}


def test_a_day_that_stays_open_does_not_have_its_followers_read(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    opened(at(20))
    for n in range(20):
        send(at(n))
    keep_daily_totals()
    with django_assert_num_queries(2 + 2 * 2):
        assert summarize(PERIODS["30d"]).total.statuses == {"pending": 1, "sent": 20}


def test_a_total_is_named_after_its_day() -> None:
    assert str(DailyTotal(day=date(2026, 1, 2))) == "2026-01-02"
