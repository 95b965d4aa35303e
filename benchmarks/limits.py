"""Measure what a send costs where its limits have much to count, beside an empty table.

Each scenario fills the tables, and no statistics of them are made by hand. Then each round runs a
batch of the floor, of its call alone, of sends that are admitted, and of sends that a limit
refuses. A crowded limit allows a little more than the window has, or a little less.

``own`` is what a send takes beyond its call. ``floors`` is what it takes in all, in floors; the
last column compares that with an empty table: wanted are at most 1.15. The database is the one of
``DATABASE_URL``, or SQLite, a file in a temporary folder, which ``TMPDIR`` may put in memory.

    python -m benchmarks.limits [--rounds 9] [--sends 20] [--rows 100000] [--scenarios address]
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import median

import django
from django.core.management import call_command
from django.utils import timezone

from benchmarks.vendor import SEND_PATH, running_vendor

BATCH_ROWS = 5000
NUMBER, OTHER = "01012345678", "01112345678"
WINDOW = timedelta(days=1)
# So many attempts are older than the window.
OLDER_ROWS = 2000
# What makes a limit allow a little more than the window has, and a little less: less than tallies
# are apart, and more than what leaves the window, or is sent, while this runs.
ABOVE, BELOW = 400, 900
WARM_UP_SENDS = 3
WIDE = {
    "NUMBER_SEND_LIMITS": ["300/1d"],
    "USER_SEND_LIMITS": ["1000000/1d"],
    "IP_SEND_LIMITS": ["1000000/1d"],
    "GLOBAL_SEND_LIMITS": ["1000000/1d"],
}


@dataclass(frozen=True)
class Scenario:
    """What is in the table: ``share`` times the rows, all of what one limit counts."""

    name: str
    share: int = 0
    key: str = "NUMBER_SEND_LIMITS"
    status: str = "sent"


SCENARIOS = (
    Scenario("empty table"),
    Scenario("full window", 1, "GLOBAL_SEND_LIMITS"),
    Scenario("full window of an address", 3, "IP_SEND_LIMITS"),
    Scenario("refused attempts of a number", 1, status="blocked"),
    Scenario("refused attempts of an address", 1, "IP_SEND_LIMITS", "blocked"),
)
Batch = Callable[[], object]
Round = dict[str, float]


def fill(scenario: Scenario, rows: int) -> None:
    """Empty all tables; then make the attempts, which fill the window, and one before them."""
    from benchmarks.site import IP_ADDRESS
    from django_valify_otp.models import OtpSend

    call_command("flush", interactive=False, verbosity=0)
    count, newest = rows * scenario.share, timezone.now() - timedelta(minutes=1)
    number = NUMBER if scenario.key == "NUMBER_SEND_LIMITS" else OTHER
    network = IP_ADDRESS if scenario.key == "IP_SEND_LIMITS" else ""
    is_sent = scenario.status == "sent"
    moments = (newest - WINDOW * place / count for place in range(count + OLDER_ROWS, 0, -1))
    attempts = (
        OtpSend(
            status=scenario.status,
            phone_number=number,
            lang="en",
            caller="anonymous",
            limited_network=network,
            transaction_id="T1" if is_sent else "",
            created_at=moment,
            settled_at=moment,
        )
        for moment in (moments if count else ())
    )
    while batch := [*islice(attempts, BATCH_ROWS)]:
        OtpSend.objects.bulk_create(batch)
    if not is_sent or not count:
        oldest = newest - WINDOW + timedelta(minutes=5)
        OtpSend.objects.create(
            status="sent",
            phone_number=NUMBER,
            lang="en",
            caller="anonymous",
            limited_network=IP_ADDRESS,
            transaction_id="T1",
            created_at=oldest,
            settled_at=oldest,
        )


def limits_of(scenario: Scenario) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return limits that admit a send, and limits of which one refuses it."""
    from django_valify_otp.models import OtpSend

    if scenario.status == "sent" and scenario.share:
        present = OtpSend.objects.filter(counted_at__gt=timezone.now() - WINDOW).count()
        above, below = present + ABOVE, max(present - BELOW, 1)
        return (
            {**WIDE, scenario.key: [f"{above}/1d"]},
            {**WIDE, scenario.key: [f"{below}/1d"]},
        )
    return WIDE, {**WIDE, scenario.key: ["1/1d"]}


def batches_of(scenario: Scenario, base_url: str) -> dict[str, Batch]:
    """Return the four kinds of batch, each as what it does once."""
    from django.conf import settings

    from benchmarks.known_user import USER
    from benchmarks.site import IP_ADDRESS, shared_floor
    from benchmarks.variants import valify_settings
    from django_valify_otp.exceptions import SendLimitReached
    from django_valify_otp.services import send_otp

    floor = shared_floor(base_url)
    admitting, refusing = (valify_settings(base_url, limits) for limits in limits_of(scenario))

    def admit() -> None:
        settings.VALIFY_OTP = admitting
        send_otp(NUMBER, user=USER, ip_address=IP_ADDRESS)

    def refuse() -> None:
        settings.VALIFY_OTP = refusing
        with suppress(SendLimitReached):
            send_otp(NUMBER, user=USER, ip_address=IP_ADDRESS)
            raise AssertionError("a limit that is reached has admitted a send")

    return {
        "floor": lambda: floor.send(NUMBER),
        "call": lambda: floor.call(SEND_PATH, phone_number=NUMBER),
        "admitted": admit,
        "refused": refuse,
    }


def measured_rounds(batches: dict[str, Batch], *, rounds: int, sends: int) -> Iterator[Round]:
    """Return the seconds that one send of each batch took, by round."""
    order, names = random.Random(rounds), [*batches]  # noqa: S311
    for batch in batches.values():
        seconds_of(batch, WARM_UP_SENDS)
    for _ in range(rounds):
        order.shuffle(names)
        yield {name: seconds_of(batches[name], sends) for name in names}


def seconds_of(batch: Batch, times: int) -> float:
    """Return what it takes to do this once, on average."""
    began = time.perf_counter()
    for _ in range(times):
        batch()
    return (time.perf_counter() - began) / times


def floors(rounds: list[Round], name: str) -> float:
    """Return how many floors a send takes."""
    return median(found[name] / found["floor"] for found in rounds)


def lines_of(scenario: Scenario, rounds: list[Round], empty: list[Round]) -> Iterator[str]:
    """Return the lines of the table."""
    for name, calls in (("admitted", 1), ("refused", 0)):
        floor = median(found["floor"] for found in rounds)
        own = median(found[name] - calls * found["call"] for found in rounds)
        beside_empty = floors(rounds, name) / floors(empty, name)
        yield (
            f"{scenario.name:31} {name:9}{floor * 1000:9.2f}{own * 1000:9.2f}"
            f"{floors(rounds, name):9.2f}{beside_empty:9.2f}"
        )


def measure(arguments: argparse.Namespace, base_url: str) -> None:
    """Print the table."""
    empty: list[Round] = []
    print(f"{'':41}{'floor, ms':>9}{'own, ms':>9}{'floors':>9}{'to empty':>9}")
    for scenario in SCENARIOS:
        if empty and arguments.scenarios not in scenario.name:
            continue
        print(f"{scenario.name} ...", file=sys.stderr)
        fill(scenario, arguments.rows)
        batches = batches_of(scenario, base_url)
        rounds = [*measured_rounds(batches, rounds=arguments.rounds, sends=arguments.sends)]
        empty = empty or rounds
        print("\n".join(lines_of(scenario, rounds, empty)), flush=True)


def main() -> None:
    """Measure in a test database, which is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rounds", 9), ("sends", 20), ("rows", 100_000)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    parser.add_argument("--scenarios", default="", help="only those with this in their name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_vendor(folder) as vendor:
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        os.environ["BENCHMARK_SQLITE"] = str(Path(folder) / "benchmark.sqlite3")
        os.environ["REQUESTS_CA_BUNDLE"] = vendor.bundle
        django.setup()
        # Refusals are logged as warnings, which Python would print.
        logging.getLogger("django_valify_otp").addHandler(logging.NullHandler())
        from benchmarks.database import tables

        with tables():
            measure(arguments, vendor.url(tls=False, delay=0))


if __name__ == "__main__":
    main()
