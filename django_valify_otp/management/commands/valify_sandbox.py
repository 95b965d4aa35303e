from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.sandbox.options import add_options, open_sandbox
from django_valify_otp.sandbox.server import AddressUnavailable, serve


class Command(BaseCommand):
    """Run a local Valify until Ctrl-C."""

    help = "Run a local Valify, to send OTPs without an account. Its credentials are 'sandbox'."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the sandbox's options."""
        add_options(parser)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve. Raise ``CommandError`` if the address cannot be used."""
        try:
            server = open_sandbox(
                host=options["host"],
                port=options["port"],
                token_lifetime=options["token_lifetime"],
                token_uses=options["token_uses"],
                code_lifetime=options["code_lifetime"],
            )
        except AddressUnavailable as error:
            raise CommandError(str(error)) from None
        serve(server, output=self.stdout)
