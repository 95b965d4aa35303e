from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_valify_otp.sandbox.api import Valify
from django_valify_otp.sandbox.run import (
    DEFAULT_PORT,
    PortUnavailable,
    open_server,
    port_number,
    serve,
)


class Command(BaseCommand):
    """A local Valify, until Ctrl-C."""

    help = "Run a local Valify, to send OTPs without an account. Its credentials are 'sandbox'."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where to listen."""
        parser.add_argument(
            "--port",
            type=port_number,
            default=DEFAULT_PORT,
            help="0 for a free one (default: %(default)s)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Serve. Raises ``CommandError`` if the port cannot be used."""
        try:
            server = open_server(Valify(), port=options["port"])
        except PortUnavailable as error:
            raise CommandError(str(error)) from None
        serve(server, output=self.stdout)
