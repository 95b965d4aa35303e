from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.conf import LANGS
from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp

SHOWN = (
    "uuid",
    "status",
    "code",
    "reason",
    "masked_phone_number",
    "lang",
    "purpose",
    "transaction_id",
    "trials_remaining",
    "error_code",
    "valify_message",
    "created_at",
    "settled_at",
)


class Command(BaseCommand):
    """Exit status 0 if the OTP was sent."""

    help = "Send one OTP, and print the row that records it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The number, and what to send."""
        parser.add_argument("phone_number", metavar="NUMBER", help="Egyptian mobile, any spelling")
        parser.add_argument("--lang", choices=LANGS, help="default: VALIFY_OTP['DEFAULT_LANG']")
        parser.add_argument("--purpose", default="", help="ASCII slug of at most 32 characters")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send. Raises ``CommandError`` with the reason if it was not sent."""
        try:
            otp_send = send_otp(
                options["phone_number"], lang=options["lang"], purpose=options["purpose"]
            )
        except ValifyOtpError as error:
            if error.otp_send:
                self.print_row(error.otp_send)
            raise CommandError(f"{error.code}: {error}") from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.print_row(otp_send)

    def print_row(self, otp_send: OtpSend) -> None:
        """One line for each field that has a value."""
        for name in SHOWN:
            value = getattr(otp_send, name)
            if value not in ("", None):
                self.stdout.write(f"{name}: {value}")
