import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections

from django_valify_otp.audit.statistics import keep_daily_totals
from django_valify_otp.management.migrated import needs_tables
from django_valify_otp.services import hand_over_queued, sweep

LONGEST_PAUSE_SECONDS = 3600


def _read_pause(text: str) -> float:
    """Return seconds. Raises ``ArgumentTypeError``."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= LONGEST_PAUSE_SECONDS:
        raise ArgumentTypeError(f"give seconds, from 1 to {LONGEST_PAUSE_SECONDS}")
    return seconds


class Command(BaseCommand):
    """Settle what dead processes left; safe at any time, by many at once."""

    help = (
        "Settle the sends and tries that a dead process left pending: they become unknown. Hand"
        " queued sends to the task queue again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the pause between sweeps."""
        parser.add_argument(
            "--loop",
            type=_read_pause,
            metavar="SECONDS",
            help="sweep again and again, with this pause between; for sites without cron",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Sweep once, or until the process is stopped."""
        pause = options["loop"]
        if pause is None:
            with needs_tables():
                self.sweep()
            return
        while True:
            self.sweep_whatever_happens()
            time.sleep(pause)

    def sweep(self) -> None:
        """Sweep, and print how many rows were settled and handed over."""
        self.stdout.write(f"settled: {sweep()}")
        self.stdout.write(f"handed over: {hand_over_queued()}")
        self.stdout.write(f"days totalled: {keep_daily_totals()}")

    def sweep_whatever_happens(self) -> None:
        """Sweep; if the database is away, say so, and leave it to the next time."""
        try:
            self.sweep()
        except Error as error:
            self.stderr.write(f"{type(error).__name__}: the next sweep will try again")
        close_old_connections()
