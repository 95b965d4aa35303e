"""Read moments and days from addresses: only such as every database can compare."""

from datetime import date, datetime, time, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

# The zones of the world are between -12 and +14; PostgreSQL refuses what is beyond 16.
LARGEST_OFFSET = timedelta(hours=14)


def parse_moment(text: str) -> datetime | None:
    """Return the moment, or ``None`` where the text is none or a database could refuse it."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    if moment is None or timezone.is_naive(moment) == settings.USE_TZ:
        return None
    offset = moment.utcoffset() or timedelta(0)
    # At the ends of the calendar it could leave it on the way to another zone.
    is_comparable = abs(offset) <= LARGEST_OFFSET and 1 < moment.year < 9999
    return moment if is_comparable else None


def parse_day(text: str) -> date | None:
    """Return the day, or ``None`` if the text is none, or is at an end of the calendar."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and 1 < day.year < 9998 else None


def start_of(day: date) -> datetime:
    """Return the moment at which a day begins in the current time zone."""
    midnight = datetime.combine(day, time.min)
    return timezone.make_aware(midnight) if settings.USE_TZ else midnight


def local(moment: datetime) -> datetime:
    """Return the moment in the current time zone."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment
