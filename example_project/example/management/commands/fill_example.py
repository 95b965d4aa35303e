from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from django_valify_otp.audit.statistics import keep_daily_totals
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from example.history import ATTACK, DAYS, PAUSE, PEOPLE, PUMPED_PREFIX, History

BATCH = 500


class Command(BaseCommand):
    """Fill the example with made-up attempts. Nothing is sent."""

    help = (
        f"Make up {DAYS} days of attempts and tries, to be looked at in the admin. Send nothing. "
        "Leave a database alone that has attempts of earlier days."
    )

    def handle(self, **_options: Any) -> None:
        """Fill the tables, unless they have a history already."""
        now = timezone.now()
        if OtpSend.objects.filter(created_at__lt=now - timedelta(days=1)).exists():
            self.stdout.write("The database has attempts of earlier days: nothing was added.")
            return
        with transaction.atomic():
            history = make_history(now)
            OtpSend.objects.bulk_create(history.sends, BATCH)
            OtpVerification.objects.bulk_create(history.tries, BATCH)
        keep_daily_totals()
        self.stdout.write(
            f"Made up {len(history.sends)} attempts and {len(history.tries)} tries of {DAYS} days."
        )


def make_history(now: datetime) -> History:
    """Save people and blocks, and return the attempts and tries that go with them."""
    support = person("support", "Sara", "Hassan", is_staff=True)
    history = History(
        now=now,
        people=[person(*names) for names in PEOPLE],
        pumping=SendBlock.objects.create(
            scope=SendBlock.Scope.PREFIX,
            value=PUMPED_PREFIX,
            reason="SMS pumping: hundreds of codes, almost none verified",
            created_by=support,
            created_at=ATTACK.end(now),
            ends_at=ATTACK.end(now) + timedelta(days=2),
        ),
        pause=SendBlock.objects.create(
            scope=SendBlock.Scope.EVERYTHING,
            reason="Valify is down",
            created_by=support,
            created_at=PAUSE.start(now),
            ends_at=PAUSE.end(now),
        ),
    )
    history.write()
    return history


def person(username: str, first_name: str, last_name: str, *, is_staff: bool = False) -> User:
    """Return the user of this name, who cannot log in."""
    user, _is_new = User.objects.get_or_create(
        username=username,
        defaults={
            "first_name": first_name,
            "last_name": last_name,
            "email": f"{username}@example.com",
            "password": make_password(None),
            "is_staff": is_staff,
        },
    )
    return user
