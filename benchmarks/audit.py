"""Measure the audit pages on tables of several sizes, beside Django's and DRF's defaults.

Set ``DATABASE_URL`` to a PostgreSQL database. The benchmark creates a second database, named
``test_`` and its name, and removes it at the end. Ten million attempts take about 6 GiB and half an
hour.

    python -m benchmarks.audit --rows 10000 1000000 10000000 [--plans]
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import django
from django.conf import settings
from django.test.utils import CaptureQueriesContext

from benchmarks.database import tables

ADMIN = "admin/django_valify_otp/otpsend/"
TRIES = "/admin/django_valify_otp/otpverification/"
BLOCKS = "/admin/django_valify_otp/sendblock/"
# A page that takes longer than this is requested only once.
PATIENCE_SECONDS = 3
PURGED_DAYS = 20


@dataclass
class Line:
    """A line of the table: milliseconds, or microseconds for each row, by the number of rows."""

    ours: dict[int, float] = field(default_factory=dict)
    default: dict[int, float] = field(default_factory=dict)


def median_milliseconds(work: Callable[..., object], *arguments: object, repeats: int) -> float:
    """Return the median time. The first run is left out, or is the only one if it was too slow."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work(*arguments)
        times.append(time.perf_counter() - start)
        if times[0] > PATIENCE_SECONDS:
            return times[0] * 1000
    return statistics.median(times[1:]) * 1000


def memory_mib() -> float:
    """Return the largest memory that this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pages(count: int) -> dict[str, tuple[str, str]]:
    """Return the URLs of each page: the app's, and the defaults' or ``""``."""
    from rest_framework.pagination import Cursor
    from rest_framework.request import Request
    from rest_framework.test import APIRequestFactory

    from benchmarks.audit_rows import ATTACKED_PREFIX, ATTACKER, CROWDED_ADDRESS
    from django_valify_otp.audit.changelist import COUNTED_ROWS
    from django_valify_otp.models import OtpSend
    from django_valify_otp.views import SendPagination

    oldest = OtpSend.objects.order_by("created_at")[60]
    one = OtpSend.objects.filter(status="sent")[count // 3]
    cursors = SendPagination()
    cursors.base_url = Request(APIRequestFactory().get("/otp/sends/")).build_absolute_uri()
    position: Any = str(oldest.created_at)
    deepest = cursors.encode_cursor(Cursor(0, False, position))
    last, reachable = count // 50, min(count, COUNTED_ROWS) // 50
    failed = min(count * 3 // 100, COUNTED_ROWS) // 50
    since = OtpSend.objects.order_by("-created_at")[count // 50].created_at

    theirs = OtpSend.objects.filter(caller__startswith="user:").latest("created_at", "pk")
    theirs_name = theirs.user.get_username() if theirs.user else ""
    day = oldest.created_at.date() + timedelta(days=182)
    one_day: dict[str, Any] = {"from": day, "to": day}

    def ours(base: str = f"/{ADMIN}", **query: Any) -> tuple[str, str]:
        return f"{base}?{urlencode(query)}", ""

    def both(**query: Any) -> tuple[str, str]:
        return f"/{ADMIN}?{urlencode(query)}", f"/default/{ADMIN[6:]}?{urlencode(query)}"

    return {
        "list: first page": both(),
        "list: next page": both(p=2),
        "list: last page": (both(p=reachable)[0], both(p=last)[1]),
        "list: a status": both(status__exact="failed"),
        "list: a status, last page": (
            both(status__exact="failed", p=failed)[0],
            both(status__exact="failed", p=count * 3 // 100 // 50)[1],
        ),
        "list: a code": both(code__exact="rejected"),
        "list: status and period": both(status__exact="sent", created_at__gte=since.isoformat(" ")),
        "list: trials 0": (both(trials=0)[0], both(trials_remaining__exact=0)[1]),
        "list: trials none": (both(trials="none")[0], both(trials_remaining__isnull="True")[1]),
        "list: trials 3 or more": (both(trials="more")[0], ""),
        "list: same caller": (both(sibling=f"caller:{one.pk}")[0], ""),
        "list: same token": (both(sibling=f"token:{one.pk}")[0], ""),
        "list: one day": ours(**one_day),
        "list: verified": ours(verified="yes"),
        "list: sent, not verified": ours(verified="no"),
        "list: not verified, a day": ours(verified="no", **one_day),
        "list: a purpose": ours(purpose="signup"),
        "list: first digits": ours(prefix="0101"),
        "list: first digits, a day": ours(prefix="0101", **one_day),
        "list: digits of an attack": ours(prefix=ATTACKED_PREFIX),
        "list: refused by a block": ours(blocked_by="SendBlock 1"),
        "search: user name": ours(q=theirs_name),
        "search: e-mail address": ours(q=f"{theirs_name}@example.com"),
        "search: user ID": ours(q=theirs.user_id),
        "search: IP address": ours(q=one.ip_address),
        "search: crowded address": ours(q=CROWDED_ADDRESS),
        "search: attacker": ours(q=ATTACKER),
        "tries: first page": ours(TRIES),
        "tries: one day": ours(TRIES, **one_day),
        "tries: number": ours(TRIES, q=one.phone_number),
        "tries: attempt": ours(TRIES, q=one.uuid),
        "tries: user name": ours(TRIES, q=theirs_name),
        "tries: crowded address": ours(TRIES, q=CROWDED_ADDRESS),
        "blocks: first page": ours(BLOCKS),
        "blocks: number": ours(BLOCKS, q="01550301234"),
        "search: number": both(q=one.phone_number),
        "search: transaction ID": both(q=one.transaction_id),
        "search: nothing": both(q="nobody"),
        "one attempt": (f"/{ADMIN}{one.pk}/change/", f"/default/{ADMIN[6:]}{one.pk}/change/"),
        "API: first page": ("/otp/sends/", "/default-api/"),
        "API: last page": (deepest, f"/default-api/?page={last}"),
        "API: a status": ("/otp/sends/?status=failed", ""),
        "API: number": (
            f"/otp/sends/?phone_number={one.phone_number}",
            f"/default-api/?search={one.phone_number}",
        ),
        "summary: 24 hours": (f"/{ADMIN}summary/?period=24h", ""),
        "summary: 7 days": (f"/{ADMIN}summary/?period=7d", ""),
        "summary: 365 days": (f"/{ADMIN}summary/?period=365d", ""),
    }


def measure_pages(
    table: dict[str, Line], count: int, *, repeats: int, with_plans: bool
) -> list[str]:
    """Fill in the lines of the pages. Return the plans of their queries."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser(f"root{count}"))
    plans = []

    def get(url: str) -> None:
        response = client.get(url)
        assert response.status_code == 200, (url, response.status_code)

    for name, (ours, default) in pages(count).items():
        line = table.setdefault(name, Line())
        line.ours[count] = median_milliseconds(get, ours, repeats=repeats)
        if default:
            line.default[count] = median_milliseconds(get, default, repeats=min(repeats, 3))
        if with_plans and not name.startswith("summary"):
            with CaptureQueriesContext(connection) as queries:
                get(ours)
            plans += [f"\n{name}", *plans_of([query["sql"] for query in queries])]
    return plans


def plans_of(statements: list[str]) -> Iterator[str]:
    """Return PostgreSQL's plans of the statements that read attempts."""
    from django.db import connection

    for statement in statements:
        if 'FROM "django_valify_otp_otp' in statement:
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) {statement}")
                yield from ("    " + row[0] for row in cursor.fetchall())


def measure_export(table: dict[str, Line], count: int, largest: int) -> str:
    """Export the newest ``largest`` rows, or all if there are fewer."""
    from django_valify_otp.audit.export import BATCH_ROWS, csv_chunks
    from django_valify_otp.models import OtpSend

    chunks = csv_chunks(OtpSend.objects.all(), whole_numbers=False)
    before, start, length, rows = memory_mib(), time.perf_counter(), 0, 0
    for chunk in islice(chunks, 1 + largest // BATCH_ROWS):
        length += len(chunk)
        rows += chunk.count("\n")
    seconds = time.perf_counter() - start
    table.setdefault("export, us a row", Line()).ours[count] = seconds / rows * 1e6
    return (
        f"{count:>10,}: export of {rows:,} lines {seconds:.1f} s, {length / 2**20:,.0f} MiB,"
        f" memory {memory_mib() - before:+.1f} MiB"
    )


def measure_purge(table: dict[str, Line], count: int) -> Iterator[str]:
    """Purge most rows with the app, the rest with ``delete()`` and a ``post_delete`` receiver."""
    from django.db import connection
    from django.db.models.signals import post_delete
    from django.utils import timezone

    from django_valify_otp.audit.retention import purge
    from django_valify_otp.models import OtpSend

    longest = 0.0

    def watch(execute: Any, *arguments: Any) -> Any:
        nonlocal longest
        start = time.perf_counter()
        try:
            return execute(*arguments)
        finally:
            longest = max(longest, time.perf_counter() - start)

    before, start = memory_mib(), time.perf_counter()
    with connection.execute_wrapper(watch):
        *_others, done = purge(days=PURGED_DAYS)
    seconds = time.perf_counter() - start
    line = table.setdefault("purge, us a row", Line())
    line.ours[count] = seconds / (done.sends + done.tries) * 1e6
    yield (
        f"{count:>10,}: purge of {done.sends:,} sends and {done.tries:,} tries {seconds:.1f} s,"
        f" {seconds / done.sends * 1e6:.2f} us a send, longest statement {longest:.3f} s,"
        f" memory {memory_mib() - before:+.1f} MiB"
    )

    def listen(**_kwargs: Any) -> None:
        """Receive the signal, as an audit app would."""

    post_delete.connect(listen)
    before, start = memory_mib(), time.perf_counter()
    deleted, _by_model = OtpSend.objects.filter(created_at__lt=timezone.now()).delete()
    seconds = time.perf_counter() - start
    post_delete.disconnect(listen)
    line.default[count] = seconds / deleted * 1e6
    yield (
        f"{count:>10,}: default purge of {deleted:,} rows {seconds:.1f} s,"
        f" memory {memory_mib() - before:+.1f} MiB"
    )


def print_table(table: dict[str, Line], sizes: list[int]) -> None:
    """Print milliseconds, unless the line names another unit, and ratios."""
    head = "".join(f"{f'{size:,}':>12}{'default':>12}{'ratio':>9}" for size in sizes)
    print(f"{'':26}{head}{'growth':>9}")
    for name, line in table.items():
        cells = ""
        for size in sizes:
            ours, default = line.ours[size], line.default.get(size)
            cells += f"{ours:12.2f}"
            cells += f"{default:12.2f}{default / ours:8.1f}x" if default else f"{'':21}"
        growth = line.ours[sizes[-1]] / line.ours[sizes[0]]
        print(f"{name:26}{cells}{growth:8.2f}x")


def main() -> None:
    """Print the table, the notes and, with ``--plans``, the query plans."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument(
        "--export-rows", type=int, default=10_000_000, help="the largest number of rows to export"
    )
    parser.add_argument(
        "--plans", action="store_true", help="print the largest table's query plans"
    )
    parser.add_argument("--repeats", type=int, default=15, help="how often to ask for a page")
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.ROOT_URLCONF = "benchmarks.audit_site"
    from benchmarks.audit_rows import load
    from django_valify_otp.audit.statistics import keep_daily_totals

    sizes, table = sorted(arguments.rows), dict[str, Line]()
    notes, plans = [], list[str]()
    for count in sizes:
        with tables():
            load(count)
            start = time.perf_counter()
            days = keep_daily_totals()
            notes.append(f"{count:>10,}: {days} daily totals {time.perf_counter() - start:.1f} s")
            is_last = count == sizes[-1]
            plans = measure_pages(
                table, count, repeats=arguments.repeats, with_plans=arguments.plans and is_last
            )
            notes.append(measure_export(table, count, arguments.export_rows))
            notes += measure_purge(table, count)
    print_table(table, sizes)
    print("\n".join(["", *notes, *plans]))


if __name__ == "__main__":
    main()
