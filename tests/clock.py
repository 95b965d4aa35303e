"""The time of day, as tests set it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from django_valify_otp import database_clock

CAIRO = ZoneInfo("Africa/Cairo")
NOW = datetime(2026, 11, 23, 14, 30, tzinfo=CAIRO)
TODAY = NOW.date()


class Clock:
    """A time of day that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now.astimezone(UTC)

    def monotonic(self) -> float:
        """Return the seconds that have passed on this clock."""
        return (self.now - NOW).total_seconds()

    def pass_seconds(self, seconds: float) -> None:
        """Move the clock forward."""
        self.now += timedelta(seconds=seconds)


def at(days_ago: int, hour: int = 12, minute: int = 0) -> datetime:
    """Return this time of day in Cairo, so many days before the clock's."""
    day = TODAY - timedelta(days=days_ago)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=CAIRO)


class ServerClocks:
    """This clock in the place of the databases' own, as SQL; MariaDB is asked as SQLite is."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __contains__(self, vendor: str) -> bool:
        return vendor == "postgresql"

    def get(self, vendor: str, default: str) -> str:
        """Return the SQL of the time of day."""
        return f"TIMESTAMPTZ '{self._clock().isoformat()}'" if vendor in self else default


def stop_clocks(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stand in for the clocks of this process and of the databases."""
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    monkeypatch.setattr(database_clock, "SERVER_CLOCKS", ServerClocks(clock))
    return clock
