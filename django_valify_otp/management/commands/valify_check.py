from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.services import find_credential_problem


class Command(BaseCommand):
    """Exit status 0 if Valify gives an access token for ``VALIFY_OTP``."""

    help = "Prove settings and credentials by fetching one access token. Sends no SMS."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Fetch one token. Raises ``CommandError`` with the reason if there is none."""
        if problem := find_credential_problem():
            raise CommandError(problem)
        self.stdout.write(self.style.SUCCESS("Valify gave an access token."))
