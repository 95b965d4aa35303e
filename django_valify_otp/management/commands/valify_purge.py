from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from django_valify_otp.conf import LONGEST_RETENTION_DAYS, get_settings
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.phone_numbers import normalise
from django_valify_otp.retention import Progress, count_sends, purge

BAR_LENGTH = 30


class Command(BaseCommand):
    """Safe at any time, also while codes are sent; what was done stays done if it is stopped."""

    help = (
        "Delete the settled sends that are past retention, with their tries, or blank their number,"
        " address and user. What a limit still counts stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to purge, and how."""
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
        """Purge. Raises ``CommandError`` with the reason if that cannot be done."""
        phone_number = self.read_phone_number(options["phone_number"])
        days = self.read_days(options["days"], is_needed=phone_number is None)
        anonymise, dry_run = options["anonymise"], options["dry_run"]
        done = Progress(0, 0, 0)
        try:
            for done in purge(
                days=days, phone_number=phone_number, anonymise=anonymise, dry_run=dry_run
            ):
                self.show(done)
        except IntegrityError:
            message = (
                "Rows of your own refer to sends that are past retention. Delete those first, or"
                " use --anonymise."
            )
            raise CommandError(message) from None
        finally:
            verb = "anonymise" if anonymise else "delete"
            past = f"to {verb}" if dry_run else f"{verb}d"
            self.stdout.write(f"sends {past}: {done.sends}")
            self.stdout.write(f"tries {past}: {done.tries}")
        if phone_number is not None and not dry_run:
            # Whoever asked to be forgotten has to be told.
            self.stdout.write(f"sends left to this number: {count_sends(phone_number)}")

    def read_phone_number(self, text: str | None) -> str | None:
        """The number in its one spelling. Raises ``CommandError``."""
        try:
            return None if text is None else normalise(text)
        except InvalidPhoneNumber:
            raise CommandError("--phone-number must be one Egyptian mobile number.") from None

    def read_days(self, days: int | None, *, is_needed: bool) -> int | None:
        """The age in days. Raises ``CommandError``."""
        if days is None and is_needed:
            days = get_settings().retention_days
            if days is None:
                raise CommandError("Give --days, or set VALIFY_OTP['RETENTION_DAYS'].")
        if days is not None and not 1 <= days <= LONGEST_RETENTION_DAYS:
            message = f"--days must be a whole number from 1 to {LONGEST_RETENTION_DAYS}."
            raise CommandError(message)
        return days

    def show(self, done: Progress) -> None:
        """Draw the progress bar, if somebody is there to see it."""
        if not self.stderr.isatty():
            return
        bar = ("#" * int(done.share * BAR_LENGTH)).ljust(BAR_LENGTH, ".")
        end = "\n" if done.share == 1 else ""
        text = f"\r[{bar}] {done.share:4.0%}  sends: {done.sends}"
        self.stderr.write(text, style_func=str, ending=end)
