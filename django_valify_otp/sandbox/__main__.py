"""``python -m django_valify_otp.sandbox``: Valify on this machine, until Ctrl-C."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from django_valify_otp.sandbox.api import CODE_LIFETIME, TOKEN_LIFETIME, TOKEN_USES, Valify
from django_valify_otp.sandbox.run import (
    DEFAULT_PORT,
    PortUnavailable,
    open_server,
    port_number,
    serve,
)


def count(text: str) -> int:
    """The number, at least 1, that a command line names. Raises ``ValueError`` if it is none."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def build_parser() -> ArgumentParser:
    """The options of the sandbox."""
    parser = ArgumentParser("python -m django_valify_otp.sandbox", description="A local Valify.")
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
        help="how long a code can be verified (default: %(default)s)",
    )
    parser.add_argument(
        "--exit-on-eof",
        action="store_true",
        help="end when standard input closes, so with the process that holds its other end",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the command line says."""
    options = build_parser().parse_args(arguments)
    valify = Valify(
        token_lifetime=options.token_lifetime,
        token_uses=options.token_uses,
        code_lifetime=options.code_lifetime,
    )
    try:
        server = open_server(valify, port=options.port)
    except PortUnavailable as error:
        sys.exit(str(error))
    serve(server, output=sys.stdout, exit_on_eof=options.exit_on_eof)


if __name__ == "__main__":
    main()
