"""A sandbox in this process, from its first line to Ctrl-C."""

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Protocol

from django_valify_otp.sandbox.api import Valify
from django_valify_otp.sandbox.server import SandboxServer

DEFAULT_PORT = 8900


class PortUnavailable(OSError):  # noqa: N818
    """The port cannot be listened on; the message says why and what to do."""


class Output(Protocol):
    """Where the line on start goes."""

    def write(self, text: str, /) -> object:
        """Take a line."""

    def flush(self) -> object:
        """Pass it on at once."""


def port_number(text: str) -> int:
    """The port that a command line names. Raises ``ValueError`` if there is no such port."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError
    return number


def open_server(valify: Valify, *, port: int) -> SandboxServer:
    """A server that listens and does not answer yet. Raises ``PortUnavailable``."""
    try:
        return SandboxServer(valify, port=port)
    except OSError as error:
        raise PortUnavailable(
            f"Port {port} cannot be used: {error.strerror}. Choose another with --port."
        ) from error


def serve(server: SandboxServer, *, output: Output, exit_on_eof: bool = False) -> None:
    """Answer until Ctrl-C, SIGTERM or, if so asked, the end of standard input."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), server:
        if exit_on_eof:
            threading.Thread(target=_shut_down_at_eof, args=[server], daemon=True).start()
        output.write(f"Valify sandbox on {server.base_url}\n")
        output.flush()
        server.serve_forever()


def _shut_down_at_eof(server: SandboxServer) -> None:
    # Not sys.stdin.read(), whose lock would be held while the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.shutdown()
