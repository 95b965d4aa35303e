from typing import Any

from django.core.management.base import BaseCommand

from django_valify_otp.services import sweep
from django_valify_otp.totals import keep_daily_totals


class Command(BaseCommand):
    """Settles what dead processes left; safe at any time, by many at once."""

    help = "Settle the sends and tries that a dead process left pending: they become unknown."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Sweep, and print how many rows were settled."""
        self.stdout.write(f"settled: {sweep()}")
        self.stdout.write(f"days totalled: {keep_daily_totals()}")
