"""The hours and days that the summary counts by."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.utils import timezone
from django.utils.translation import pgettext_lazy

DEFAULT_PERIOD = "7d"


class Bucket(NamedTuple):
    """An hour or a day, its end left out."""

    start: datetime
    end: datetime

    @property
    def day(self) -> date:
        """Return the date, if it is a day."""
        return self.start.date()


class Period(NamedTuple):
    """How far back the summary looks, by the hour or by the day."""

    label: Any
    hours: int = 0
    days: int = 0

    def buckets(self, *, periods_ago: int = 0) -> list[Bucket]:
        """Return its hours or days, oldest first; the last one is not over yet."""
        now, count = local(timezone.now()), self.days or self.hours
        ages = range(count * (periods_ago + 1) - 1, count * periods_ago - 1, -1)
        if self.days:
            return [day_of(now.date() - timedelta(days=age)) for age in ages]
        hour = now.replace(minute=0, second=0, microsecond=0)
        if timezone.is_aware(hour):
            # In UTC no hour is skipped or comes twice.
            hour = hour.astimezone(UTC)
        starts = [hour - timedelta(hours=age) for age in ages]
        return [Bucket(start, start + timedelta(hours=1)) for start in starts]

    def cut_as_the_last(self, bucket: Bucket) -> Bucket:
        """Return as much of an hour or a day as has passed of the one that is not over."""
        elapsed = local(timezone.now()) - self.buckets()[-1].start
        return Bucket(bucket.start, min(bucket.end, bucket.start + elapsed))


PERIODS = {
    "24h": Period(pgettext_lazy("OTP", "24 hours"), hours=24),
    "48h": Period(pgettext_lazy("OTP", "48 hours"), hours=48),
    "7d": Period(pgettext_lazy("OTP", "7 days"), days=7),
    "30d": Period(pgettext_lazy("OTP", "30 days"), days=30),
    "90d": Period(pgettext_lazy("OTP", "90 days"), days=90),
    "365d": Period(pgettext_lazy("OTP", "365 days"), days=365),
}


def day_of(day: date) -> Bucket:
    """Return the day from midnight to midnight, in the site's time zone."""
    zone = timezone.get_default_timezone() if django_settings.USE_TZ else None
    midnights = [datetime.combine(d, time.min, zone) for d in (day, day + timedelta(days=1))]
    return Bucket(*midnights)


def local(moment: datetime) -> datetime:
    """Return the moment in the site's time zone; unchanged if the site keeps naive ones."""
    if timezone.is_naive(moment):
        return moment
    return timezone.localtime(moment, timezone.get_default_timezone())
