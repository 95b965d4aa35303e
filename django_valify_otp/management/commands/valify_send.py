from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.audit.periods import local
from django_valify_otp.exceptions import SendForbidden, SendLimitReached, ValifyOtpError
from django_valify_otp.management.migrated import needs_tables
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.services import send_otp
from django_valify_otp.setting_values import LANGS

SHOWN = (
    "uuid",
    "status",
    "code",
    "blocked_by",
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
    """Exit with status 0 if the OTP was sent."""

    help = "Send one OTP, and print the row that records it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the number, the language and the purpose."""
        parser.add_argument("phone_number", metavar="NUMBER", help="Egyptian mobile, any spelling")
        parser.add_argument("--lang", choices=LANGS, help="default: DEFAULT_LANG, or the site's")
        parser.add_argument("--purpose", default="", help="ASCII slug of at most 32 characters")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send one OTP. Raise ``CommandError`` with the reason if it was not sent."""
        try:
            with needs_tables():
                otp_send = send_otp(
                    options["phone_number"], lang=options["lang"], purpose=options["purpose"]
                )
        except ValifyOtpError as error:
            if error.otp_send:
                self.print_row(error.otp_send)
                self.print_refusal(error, error.otp_send)
            raise CommandError(f"{error.code}: {error}") from None
        except ValueError as error:
            raise CommandError(str(error)) from None
        self.print_row(otp_send)

    def print_refusal(self, error: ValifyOtpError, otp_send: OtpSend) -> None:
        """Print until when it is refused, and by which block, if it is one that refused."""
        if isinstance(error, SendLimitReached) and error.retry_after:
            until = otp_send.created_at + timedelta(seconds=error.retry_after)
            self.stdout.write(f"blocked_until: {_shown(until)}")
        if isinstance(error, SendForbidden):
            pk = otp_send.blocked_by.removeprefix("SendBlock ")
            for block in SendBlock.objects.filter(pk=pk):
                ends_at = _shown(block.ends_at) if block.ends_at else "somebody lifts the block"
                self.stdout.write(f"block: {block}")
                self.stdout.write(f"block_reason: {block.reason}")
                self.stdout.write(f"blocked_until: {ends_at}")

    def print_row(self, otp_send: OtpSend) -> None:
        """Print one line for each field that has a value."""
        for name in SHOWN:
            value = getattr(otp_send, name)
            if value not in ("", None):
                self.stdout.write(f"{name}: {value}")


def _shown(moment: datetime) -> str:
    """Return the moment in the site's time."""
    return f"{local(moment):%Y-%m-%d %H:%M:%S}"
