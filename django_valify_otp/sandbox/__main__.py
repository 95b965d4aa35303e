"""Run Valify on this machine until Ctrl-C: ``python -m django_valify_otp.sandbox``."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from django_valify_otp.sandbox.options import add_options, open_sandbox
from django_valify_otp.sandbox.server import AddressUnavailable, serve


def build_parser() -> ArgumentParser:
    """Return the parser of the sandbox's options."""
    parser = ArgumentParser("python -m django_valify_otp.sandbox", description="A local Valify.")
    add_options(parser)
    parser.add_argument(
        "--exit-on-eof",
        action="store_true",
        help="end when standard input closes, so when the process that holds its other end does",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sandbox with the options of the command line."""
    options = vars(build_parser().parse_args(arguments))
    exit_on_eof = options.pop("exit_on_eof")
    try:
        server = open_sandbox(**options)
    except AddressUnavailable as error:
        sys.exit(str(error))
    serve(server, output=sys.stdout, exit_on_eof=exit_on_eof)


if __name__ == "__main__":
    main()
