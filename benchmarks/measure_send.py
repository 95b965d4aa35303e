"""Measure sends on one database, the one of ``DATABASE_URL`` or SQLite, and print JSON.

``benchmarks.send`` runs this once for each database.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import product, starmap
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from benchmarks.vendor import DELAYS_MILLISECONDS, Vendor, running_vendor

THREADS = (1, 8)
# For each thread: nearly all of the time is waiting, of which there need not be more.
DELAYED_SENDS = 12
SIZES = "SELECT count(*), pg_table_size(%s), pg_indexes_size(%s) FROM {table}"


def measure_database(arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Return all figures of the database."""
    from django.db import connection

    from benchmarks.measuring import count_statements

    version = ".".join(str(part) for part in connection.get_database_version())
    with running_vendor(folder) as vendor:
        os.environ["REQUESTS_CA_BUNDLE"] = vendor.bundle
        return {
            "database": f"{connection.display_name} {version}",
            "engine": connection.vendor,
            "counts": count_statements(vendor, arguments.variants),
            "scenarios": [*measured_scenarios(arguments, vendor)],
            "gunicorn": [*measured_gunicorn(arguments, vendor)],
            "bytes_a_row": row_bytes(),
        }


def measured_scenarios(arguments: argparse.Namespace, vendor: Vendor) -> Iterator[dict[str, Any]]:
    """Return the figures of one process, with and without TLS, a delay and threads."""
    from benchmarks.measuring import Scenario, measure

    for scenario in starmap(Scenario, product((False, True), DELAYS_MILLISECONDS, THREADS)):
        if arguments.scenarios in scenario.name:
            print(f"{scenario.name} ...", file=sys.stderr)
            enough = DELAYED_SENDS * scenario.threads if scenario.delay else arguments.sends
            sends = min(enough, arguments.sends)
            fill_tables(arguments.rows)
            yield measure(
                scenario, vendor, rounds=arguments.rounds, sends=sends, only=arguments.variants
            )


def measured_gunicorn(arguments: argparse.Namespace, vendor: Vendor) -> Iterator[dict[str, Any]]:
    """Return the figures under gunicorn. SQLite has no room for sixteen who write."""
    from django.db import connection

    from benchmarks.load import NAME, measure_gunicorn

    if connection.vendor != "sqlite" and arguments.scenarios in NAME:
        print(f"{NAME} ...", file=sys.stderr)
        fill_tables(arguments.rows)
        yield measure_gunicorn(vendor, rounds=arguments.rounds, sends=arguments.sends)


def fill_tables(rows: int) -> None:
    """Empty all tables; on PostgreSQL, then generate so many attempts of a year."""
    from django.db import connection

    from benchmarks.audit_rows import load

    call_command("flush", interactive=False, verbosity=0)
    if rows and connection.vendor == "postgresql":
        load(rows)


def row_bytes() -> dict[str, dict[str, float]]:
    """Return the bytes of a row and of its entries in indexes on disk, on PostgreSQL."""
    from django.db import connection

    from benchmarks.models import FloorSend
    from django_valify_otp.models import OtpSend

    found = {}
    if connection.vendor == "postgresql":
        for model in (FloorSend, OtpSend):
            table = model._meta.db_table
            with connection.cursor() as cursor:
                cursor.execute(SIZES.format(table=table), [table, table])
                rows, table_bytes, index_bytes = cursor.fetchone()
            found[table] = {
                "rows": rows,
                "table": table_bytes / max(rows, 1),
                "indexes": index_bytes / max(rows, 1),
            }
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that both commands have."""
    parser.add_argument("--rounds", type=int, default=15, help="(default: %(default)s)")
    parser.add_argument("--sends", type=int, default=48, help="of a batch (default: %(default)s)")
    parser.add_argument(
        "--rows", type=int, default=0, help="attempts to begin with, on PostgreSQL (default: none)"
    )
    parser.add_argument("--variants", default="", help="only those with this in their name")
    parser.add_argument("--scenarios", default="", help="only those with this in their name")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.settings"
        os.environ["BENCHMARK_SQLITE"] = str(Path(folder) / "benchmark.sqlite3")
        django.setup()
        from benchmarks.database import tables

        with tables():
            print(json.dumps(measure_database(arguments, folder)))


if __name__ == "__main__":
    main()
