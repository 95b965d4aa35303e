"""Measure the purge on tables of several sizes, beside statements that do nothing else.

The tables have the attempts of a year, and the tries of most; a row is one or the other. The
database is SQLite in a temporary folder, or a test database on the server of ``DATABASE_URL``,
which is removed at the end.

    python -m benchmarks.purge [--rows 50000 200000 1000000]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import django
from django.conf import settings

from benchmarks.database import tables

# Each has a part of the year for itself, oldest first: up to so many days ago.
PURGED, DELETED, ANONYMISED, UPDATED = 275, 190, 105, 20
# Of the figures, in their order; on SQLite the process does the work of the database too.
TITLES = ("us a row", "us a row, CPU of process", "longest step, ms")


class Figures(NamedTuple):
    """What one kind of work took: times of a row in microseconds, of a step in milliseconds."""

    row_wall: float
    row_cpu: float
    longest_step: float

    def plus(self, other: "Figures") -> "Figures":
        """Return the figures of both, one after the other."""
        return Figures(
            self.row_wall + other.row_wall,
            self.row_cpu + other.row_cpu,
            max(self.longest_step, other.longest_step),
        )


def measure(work: Iterator[int], rows: int | None = None) -> Figures:
    """Measure work that says after each step how many rows are done, unless ``rows`` does."""
    moments, done, cpu = [time.perf_counter()], 0, time.process_time()
    for step in work:
        moments.append(time.perf_counter())
        done = step
    cpu = time.process_time() - cpu
    microseconds = 1e6 / (rows or done)
    longest = max(later - earlier for earlier, later in pairwise(moments))
    return Figures((moments[-1] - moments[0]) * microseconds, cpu * microseconds, longest * 1000)


def purged(**options: Any) -> Iterator[int]:
    """Purge, and return how many rows are done after each batch."""
    from django_valify_otp.audit.retention import purge

    return (done.sends + done.tries for done in purge(**options))


def totalled() -> Iterator[int]:
    """Count the daily totals, as a first run does."""
    from django_valify_otp.audit.statistics import keep_daily_totals

    yield keep_daily_totals()


def bare(treat: Callable[[Any], int], count: int, since: int, until: int) -> Iterator[int]:
    """Treat rows of these days by one statement for each batch and table, and nothing else."""
    from django.utils import timezone

    from benchmarks.purge_rows import YEAR
    from django_valify_otp.audit.retention import BATCH_ROWS
    from django_valify_otp.models import OtpSend, OtpVerification

    now, done = timezone.now(), 0
    start, last = (now - timedelta(days=days) for days in (since, until))
    while start < last:
        end = min(start + YEAR / count * BATCH_ROWS, last)
        for model in (OtpVerification, OtpSend):
            done += treat(model.objects.filter(created_at__gte=start, created_at__lt=end))
        yield done
        start = end


def delete(rows: Any) -> int:
    """Delete the rows without reading them."""
    return int(rows._raw_delete(rows.db))  # noqa: SLF001


def anonymise(rows: Any) -> int:
    """Blank what a purge blanks."""
    from django_valify_otp.models import OtpSend

    values: dict[str, Any] = {"ip_address": None, "user": None, "caller": "erased"}
    if rows.model is OtpSend:
        values |= {"phone_number": "", "limited_network": "", "idempotency_hash": None}
    return int(rows.update(**values))


def measure_all(count: int) -> dict[str, Figures]:
    """Measure each kind of work on one table of so many attempts."""
    from benchmarks.purge_rows import load

    rows = load(count)
    totals = measure(totalled(), rows)
    dry_run = measure(purged(days=UPDATED, dry_run=True))
    purge = measure(purged(days=PURGED))
    return {
        "dry run": dry_run,
        "first run: daily totals": totals,
        "first run: all": totals.plus(purge),
        "purge": purge,
        "bare DELETE": measure(bare(delete, count, PURGED, DELETED)),
        "anonymise": measure(purged(days=ANONYMISED, anonymise=True)),
        "bare UPDATE": measure(bare(anonymise, count, ANONYMISED, UPDATED)),
    }


def print_table(found: dict[int, dict[str, Figures]]) -> None:
    """Print each kind of work by the size of the table, and how the times of a row grow."""
    smallest, largest = min(found), max(found)
    for column, title in enumerate(TITLES):
        print(f"{title:27}" + "".join(f"{size:>12,}" for size in found) + f"{'growth':>9}")
        for name in found[smallest]:
            figures = {size: kinds[name][column] for size, kinds in found.items()}
            growth = figures[largest] / figures[smallest]
            cells = "".join(f"{figure:12.2f}" for figure in figures.values())
            print(f"{name:27}{cells}{growth:8.2f}x")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 200_000, 1_000_000])
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    found: dict[int, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TEST_SQLITE_FILE"] = str(Path(folder) / "benchmark.sqlite3")
        django.setup()
        # The default limits, and commits that wait for the disk.
        settings.VALIFY_OTP = {
            key: value for key, value in settings.VALIFY_OTP.items() if "LIMITS" not in key
        }
        settings.DATABASES["default"].get("OPTIONS", {}).pop("init_command", None)
        for count in arguments.rows:
            with tables():
                found[count] = measure_all(count)
    engine = settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]
    print(f"{engine}; a row is an attempt or a try")
    print_table(found)


if __name__ == "__main__":
    main()
