from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.services import find_credential_problem


class Command(BaseCommand):
    """Exit with status 0 if Valify gives an access token for ``VALIFY_OTP``."""

    help = (
        "Check settings and credentials, but not BUNDLE_KEY, by fetching one access token. Sends no"
        " SMS."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Fetch one access token. Raise ``CommandError`` with the reason if there is none."""
        if problem := find_credential_problem():
            raise CommandError(problem)
        self.stdout.write(self.style.SUCCESS("Valify gave an access token."))
        self.stdout.write("Whether BUNDLE_KEY is right, only a send can tell: see valify_send.")
