"""Attempts of earlier days, and the days whose totals are kept."""

from datetime import date, datetime, timedelta
from typing import Any

from django_valify_otp.models import DailyTotal, OtpSend
from tests.factories import make_send


def send(created_at: datetime, *, seconds: float = 1, **fields: Any) -> OtpSend:
    """Make an attempt of that moment, whose answer took so many seconds."""
    times = {"called_at": created_at, "settled_at": created_at + timedelta(seconds=seconds)}
    return make_send(**{"created_at": created_at, **times, **fields})


def blocked(created_at: datetime, **fields: Any) -> OtpSend:
    """Make an attempt of that moment that a limit refused."""
    defaults = {
        "status": "blocked",
        "code": "send_limit_reached",
        "blocked_by": "NUMBER_SEND_LIMITS 5/1h",
        "transaction_id": "",
        "called_at": None,
    }
    return send(created_at, **{**defaults, **fields})


def opened(created_at: datetime, **fields: Any) -> OtpSend:
    """Make an attempt of that moment that is still open."""
    defaults = {"status": "pending", "transaction_id": "", "settled_at": None}
    return send(created_at, **{**defaults, **fields})


def kept_days() -> list[date]:
    """Return the days that have their total, earliest first."""
    return list(DailyTotal.objects.order_by("day").values_list("day", flat=True))
