"""Measure variants in rounds: each round runs a batch of every variant, in another order."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import connection, connections

from benchmarks.variants import Variant, all_variants, valify_settings
from benchmarks.vendor import Vendor

# For each thread; a variant begins with settings to read.
WARM_UP_SENDS = 2
COUNTED_SENDS = 6
QUIET_SECONDS = 0.02
# Django sends it to SQLite as a statement, and to others without our seeing it.
BEGIN = "BEGIN"
READS = ("SELECT", "PRAGMA", "SET")
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


@dataclass(frozen=True)
class Scenario:
    """What all variants of a round have in common; ``delay`` is in milliseconds."""

    tls: bool
    delay: int
    threads: int

    @property
    def name(self) -> str:
        """Return a line for the table."""
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{'TLS' if self.tls else 'plain'}, {self.delay} ms, {threads}"


class Workers:
    """Threads that begin each batch together; their connections last."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads)
        self._barrier = threading.Barrier(threads + 1)

    def run(self, work: Callable[[Any], object], items: list[Any]) -> tuple[float, float]:
        """Share the items among the threads. Return the seconds of wall and of CPU time."""

        def work_off(mine: list[Any]) -> None:
            self._barrier.wait()
            for item in mine:
                work(item)

        shares = [items[number :: self.threads] for number in range(self.threads)]
        futures = [self._pool.submit(work_off, share) for share in shares]
        self._barrier.wait()
        wall, cpu = time.perf_counter(), time.process_time()
        for future in futures:
            future.result()
        return time.perf_counter() - wall, time.process_time() - cpu

    def close(self) -> None:
        """Close the connections and end the threads."""
        self.run(lambda _: connections.close_all(), [None] * self.threads)
        self._pool.shutdown()


def measure(
    scenario: Scenario, vendor: Vendor, *, rounds: int, sends: int, only: str
) -> dict[str, Any]:
    """Return the figures of each round, a batch of so many ``sends`` for each variant."""
    base_url = vendor.url(tls=scenario.tls, delay=scenario.delay)
    variants = chosen_variants(base_url, only, is_delayed=scenario.delay > 0)
    workers, order = Workers(scenario.threads), random.Random(scenario.name)  # noqa: S311
    shuffled, figures = [*variants], []
    for _ in range(rounds):
        order.shuffle(shuffled)
        figures.append(
            {
                variant.name: run_batch(variant, workers, vendor, base_url, sends)
                for variant in shuffled
            }
        )
    workers.close()
    floors = {variant.name: variant.floor for variant in variants}
    return {**asdict(scenario), "name": scenario.name, "floors": floors, "rounds": figures}


def chosen_variants(base_url: str, only: str, *, is_delayed: bool) -> list[Variant]:
    """Return the variants whose name contains ``only``, and their floors."""
    variants = [v for v in all_variants(base_url) if v.is_delayed or not is_delayed]
    by_name = {variant.name: variant for variant in variants}
    names = {"floor"}
    for variant in variants:
        if only in variant.name:
            names |= {variant.name, variant.floor, by_name[variant.floor].floor}
    return [variant for variant in variants if variant.name in names]


def run_batch(
    variant: Variant, workers: Workers, vendor: Vendor, base_url: str, sends: int
) -> dict[str, float]:
    """Return what a send or a try of one batch took."""
    settings.VALIFY_OTP = valify_settings(base_url, variant.limits)
    workers.run(variant.run, variant.items(min(WARM_UP_SENDS * workers.threads, sends)))
    items = variant.items(sends)
    before, wal = vendor.counts(), wal_bytes()
    wall, cpu = workers.run(variant.run, items)
    wal = wal_bytes() - wal
    # A token that is fetched ahead of time arrives after the batch.
    time.sleep(QUIET_SECONDS)
    after = vendor.counts()
    assert after["calls"] - before["calls"] == sends
    return {
        "wall": wall / sends,
        "cpu": cpu / sends,
        "tokens": (after["tokens"] - before["tokens"]) / sends,
        "connections": (after["connections"] - before["connections"]) / sends,
        "wal": wal / sends,
    }


def wal_bytes() -> int:
    """Return how much PostgreSQL has written to its log, by anybody; nothing elsewhere."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(WAL)
        return int(cursor.fetchone()[0])


def count_statements(vendor: Vendor, only: str) -> dict[str, dict[str, float]]:
    """Return how many statements and commits a send or a try of each variant takes."""
    base_url, found = vendor.url(tls=False, delay=0), {}
    for variant in chosen_variants(base_url, only, is_delayed=False):
        settings.VALIFY_OTP = valify_settings(base_url, variant.limits)
        warm_up, *items = variant.items(1 + COUNTED_SENDS)
        variant.run(warm_up)
        with counted_statements() as counts:
            for item in items:
                variant.run(item)
        found[variant.name] = {name: counts[name] / COUNTED_SENDS for name in counts}
    return found


@contextmanager
def counted_statements() -> Iterator[Counter[str]]:
    """Count the statements of this thread's connection, and its commits of something written."""
    counts = Counter(statements=0, commits=0)
    commit = connection.commit

    def watch(execute: Any, sql: str, *arguments: Any) -> Any:
        if not sql.startswith(BEGIN):
            counts["statements"] += 1
            is_read = sql.startswith(READS) and "INSERT INTO" not in sql
            counts["commits"] += not (connection.in_atomic_block or is_read)
        return execute(sql, *arguments)

    def count_commit() -> None:
        counts["commits"] += 1
        commit()

    connection.commit = count_commit  # type: ignore[method-assign]
    with connection.execute_wrapper(watch):
        yield counts
    connection.commit = commit  # type: ignore[method-assign]
