from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.audit.periods import local
from django_valify_otp.audit.retention import Progress, StillReferenced, count_left, purge
from django_valify_otp.conf import get_settings
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.management.migrated import needs_tables
from django_valify_otp.phone_numbers import normalize
from django_valify_otp.setting_values import LONGEST_RETENTION_DAYS

BAR_LENGTH = 30


class Command(BaseCommand):
    """Purge old attempts; safe while codes are sent, and what was done stays done if stopped."""

    help = (
        "Delete the settled sends that are past retention, with their tries, or blank their number,"
        " address and user. Attempts that still count towards a limit stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the options: what to purge, and how."""
        parser.add_argument(
            "--days", type=int, help="purge what is older; default: VALIFY_OTP['RETENTION_DAYS']"
        )
        parser.add_argument(
            "--phone-number",
            metavar="NUMBER",
            help="only what was sent to this number, any spelling; without --days all of it",
        )
        parser.add_argument(
            "--anonymise",
            action="store_true",
            help="keep the rows, without number, address and user",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="count what would be purged, and change nothing"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Purge, or raise ``CommandError`` with the reason why not."""
        phone_number = self.read_phone_number(options["phone_number"])
        days = self.read_days(options["days"], is_needed=phone_number is None)
        with needs_tables():
            self.purge(
                days=days,
                phone_number=phone_number,
                anonymise=options["anonymise"],
                dry_run=options["dry_run"],
            )

    def purge(
        self, *, days: int | None, phone_number: str | None, anonymise: bool, dry_run: bool
    ) -> None:
        """Purge, and say how many rows. Raises ``CommandError``."""
        done = Progress(0, 0, 0)
        try:
            for done in purge(
                days=days, phone_number=phone_number, anonymise=anonymise, dry_run=dry_run
            ):
                self.show(done)
        except StillReferenced as error:
            model = error.model or "a table of your own"
            message = (
                f"Rows of {model} refer to attempts that are to be deleted. Delete those rows"
                " first, or use --anonymise."
            )
            raise CommandError(message) from None
        finally:
            self.report(done, anonymise=anonymise, dry_run=dry_run)
        if phone_number is not None:
            self.report_left(phone_number, days=days, dry_run=dry_run)

    def report(self, done: Progress, *, anonymise: bool, dry_run: bool) -> None:
        """Say how many rows were purged."""
        instead_sends, instead_tries = done.anonymised_sends, done.anonymised_tries
        sends, tries = done.sends - instead_sends, done.tries - instead_tries
        self.report_counts(sends, tries, "anonymise" if anonymise else "delete", dry_run=dry_run)
        if instead_sends:
            self.report_counts(instead_sends, instead_tries, "anonymise", dry_run=dry_run)
            self.stdout.write("  instead of deleted: their days have no total yet, and need them")

    def report_counts(self, sends: int, tries: int, verb: str, *, dry_run: bool) -> None:
        """Write a line for each kind of rows."""
        past = f"to {verb}" if dry_run else f"{verb}d"
        self.stdout.write(f"sends {past}: {sends}")
        self.stdout.write(f"tries {past}: {tries}")

    def report_left(self, phone_number: str, *, days: int | None, dry_run: bool) -> None:
        """Say which attempts to a number are left, why, and until when."""
        left, kept = count_left(phone_number, days=days, dry_run=dry_run)
        self.stdout.write(f"sends {'to leave' if dry_run else 'left'} to this number: {left}")
        for needed in kept:
            until = f" until {_minute(needed.until)}" if needed.until else ""
            self.stdout.write(f"  {needed.sends} {needed.reason}{until}")

    def read_phone_number(self, text: str | None) -> str | None:
        """Return the number as it is kept. Raises ``CommandError``."""
        try:
            return None if text is None else normalize(text)
        except InvalidPhoneNumber:
            raise CommandError("--phone-number must be one Egyptian mobile number.") from None

    def read_days(self, days: int | None, *, is_needed: bool) -> int | None:
        """Return the age in days. Raises ``CommandError``."""
        if days is None and is_needed:
            days = get_settings().retention_days
            if days is None:
                raise CommandError("Give --days, or set VALIFY_OTP['RETENTION_DAYS'].")
        if days is not None and not 1 <= days <= LONGEST_RETENTION_DAYS:
            message = f"--days must be a whole number from 1 to {LONGEST_RETENTION_DAYS}."
            raise CommandError(message)
        return days

    def show(self, done: Progress) -> None:
        """Draw the progress bar on a terminal."""
        if not self.stderr.isatty():
            return
        bar = ("#" * int(done.share * BAR_LENGTH)).ljust(BAR_LENGTH, ".")
        end = "\n" if done.share == 1 else ""
        text = f"\r[{bar}] {done.share:4.0%}  sends: {done.sends}"
        self.stderr.write(text, style_func=str, ending=end)


def _minute(moment: datetime) -> str:
    """Return the minute by whose beginning the moment is over, in the site's time."""
    return f"{local(moment + timedelta(seconds=59, microseconds=999_999)):%Y-%m-%d %H:%M}"
