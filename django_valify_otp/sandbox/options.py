"""The options of the sandbox's two commands, and the server that they ask for."""

from argparse import ArgumentParser

from django_valify_otp.sandbox.api import CODE_LIFETIME, TOKEN_LIFETIME, TOKEN_USES, Valify
from django_valify_otp.sandbox.server import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    SandboxServer,
    open_server,
)


def port_number(text: str) -> int:
    """Return the port that a command line names. Raise ``ValueError`` if there is none."""
    number = int(text)
    if not 0 <= number <= 65_535:
        raise ValueError
    return number


def count(text: str) -> int:
    """Return the number, at least 1, that a command line names. Raise ``ValueError``."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def add_options(parser: ArgumentParser) -> None:
    """Add where the sandbox listens, and how long its tokens and OTPs live."""
    parser.add_argument(
        "--host",
        default=DEFAULT_HOST,
        help="0.0.0.0 for all addresses of this machine, as in a container (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        default=DEFAULT_PORT,
        help="0 for a free one (default: %(default)s)",
    )
    parser.add_argument(
        "--token-lifetime",
        type=count,
        default=TOKEN_LIFETIME,
        metavar="SECONDS",
        help="how long an access token lives (default: %(default)s)",
    )
    parser.add_argument(
        "--token-uses",
        type=count,
        default=TOKEN_USES,
        metavar="N",
        help="how many calls an access token serves (default: %(default)s)",
    )
    parser.add_argument(
        "--code-lifetime",
        type=count,
        default=CODE_LIFETIME,
        metavar="SECONDS",
        help="how long an OTP can be verified (default: %(default)s)",
    )


def open_sandbox(
    *, host: str, port: int, token_lifetime: int, token_uses: int, code_lifetime: int
) -> SandboxServer:
    """Return a server that listens and does not answer yet. Raise ``AddressUnavailable``."""
    valify = Valify(
        token_lifetime=token_lifetime, token_uses=token_uses, code_lifetime=code_lifetime
    )
    return open_server(valify, host=host, port=port)
