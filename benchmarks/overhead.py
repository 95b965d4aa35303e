"""What this app adds to a call of Valify, beside the bare call, in one run.

Valify is the sandbox, which answers at once: all that is measured is overhead. The database is
SQLite in a temporary folder, or that of ``DATABASE_URL``, whose tables are made and removed.

    python -m benchmarks.overhead [--sends 300]
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import django
import requests
from django.conf import settings

from benchmarks.database import tables
from django_valify_otp.sandbox.process import running_sandbox

ENDLESS = "32767"
NO_LIMITS: dict[str, list[str]] = {
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "GLOBAL_SEND_LIMITS": [],
}
# As many as the defaults have, and none that is reached.
LIMITS = {
    "NUMBER_SEND_LIMITS": ["1/60s", "5/1h", "10/1d"],
    "USER_SEND_LIMITS": ["1000000/1h", "1000000/1d"],
    "IP_SEND_LIMITS": ["1000000/1h"],
    "GLOBAL_SEND_LIMITS": ["1000000/1h"],
}
CREDENTIALS = ("BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")


def median_milliseconds(send: Callable[[str], object], sends: int, numbers: Iterator[str]) -> float:
    """The median time of one send, after a few to warm up."""
    for _ in range(20):
        send(next(numbers))
    times = []
    for _ in range(sends):
        number = next(numbers)
        start = time.perf_counter()
        send(number)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sends", type=int, default=300)
    sends = parser.parse_args().sends
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    folder = tempfile.TemporaryDirectory()
    os.environ["TEST_SQLITE_FILE"] = str(Path(folder.name) / "benchmark.sqlite3")
    django.setup()
    from django_valify_otp.services import send_otp  # noqa: PLC0415 (not before setup)

    numbers = (f"0111{number:07}" for number in count())
    with folder, tables(), running_sandbox("--token-uses", ENDLESS) as sandbox:
        session = requests.Session()
        form = {key.lower(): "sandbox" for key in CREDENTIALS} | {"grant_type": "password"}
        answer = session.post(f"{sandbox.base_url}/api/o/token/", data=form, timeout=5)
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        url = f"{sandbox.base_url}/api/v1/otp/send/"

        def call(number: str, post: Callable[..., object]) -> None:
            body = {"phone_number": number, "bundle_key": "sandbox"}
            post(url, json=body, headers=bearer, timeout=5)

        def configure(limits: dict[str, list[str]]) -> None:
            account = dict.fromkeys(CREDENTIALS, "sandbox")
            settings.VALIFY_OTP = {
                **account,
                **limits,
                "BASE_URL": sandbox.base_url,
                "TOKEN_USES": int(ENDLESS),
            }

        def send(number: str) -> object:
            return send_otp(number, ip_address="41.32.10.7")

        found = {
            "requests, one session": median_milliseconds(
                lambda number: call(number, session.post), sends, numbers
            ),
            "requests, a new connection for each call": median_milliseconds(
                lambda number: call(number, requests.post), sends, numbers
            ),
        }
        configure(NO_LIMITS)
        found["send_otp() without limits"] = median_milliseconds(send, sends, numbers)
        configure(LIMITS)
        found["send_otp() with seven limits"] = median_milliseconds(send, sends, numbers)
    bare = found["requests, one session"]
    engine = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
    print(f"median of {sends} sends, {engine}")  # noqa: T201
    for name, milliseconds in found.items():
        print(  # noqa: T201
            f"{name:42} {milliseconds:7.2f} ms  {milliseconds / bare:5.2f} x"
            f"  {milliseconds - bare:+6.2f} ms"
        )


if __name__ == "__main__":
    main()
