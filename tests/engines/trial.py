"""Trials of one engine, in a process whose settings are those of a site that uses it.

They have a database of their own. Each queues its attempts, has real workers send them, and finds
out what came of it.
"""

import json
import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import connection
from rest_framework.test import APIClient

from benchmarks.database import tables
from benchmarks.vendor import Vendor
from django_valify_otp.handover import hand_over
from django_valify_otp.models import OtpSend
from django_valify_otp.services import enqueue_otp
from tests.engines.brokers import Redis, running_redis
from tests.engines.engines import ENGINES
from tests.engines.launch import ASK_CLOSED, ASK_SILENT, KILL_WORKERS, SEND, STOP_REDIS
from tests.engines.ledger import Entry, compare
from tests.engines.workers import Workers, running
from tests.leaks import CREDENTIALS, WHOLE_NUMBER

WORKERS = 2
THREADS = 4
SWEEP = [sys.executable, "-m", "django", "valify_sweep", "--loop=2"]
# Without any change. The sweep waits for up to 80 seconds before it hands over again.
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.05
# One attempt in so many goes to the queue twice.
DOUBLED = 3
# Workers are killed until so many attempts are done. The sweeps have to do the rest.
LAST_KILL = 0.8


def main() -> None:
    """Make the trials that the only argument names, and print what each found, as JSON."""
    job = json.loads(sys.argv[1])
    with ExitStack() as stack:
        stack.enter_context(tables())
        url = urlsplit(os.environ["DATABASE_URL"])
        name = str(connection.settings_dict["NAME"])
        os.environ["DATABASE_URL"] = url._replace(path=f"/{name}").geturl()
        redis = None
        if job["redis_port"]:
            redis = stack.enter_context(running_redis(Path(job["folder"]), job["redis_port"]))
        found = [
            Trial(job, redis, place=place, attempts=attempts).make(name)
            for place, (name, attempts) in enumerate(job["trials"])
        ]
    print(json.dumps(found))


class Trial:
    """Attempts, each for another number, and the workers that send them."""

    def __init__(
        self, job: dict[str, Any], redis: Redis | None, *, place: int, attempts: int
    ) -> None:
        self._redis = redis
        self._vendor = Vendor(**job["vendor"])
        self._before = self._vendor.counts()
        self._chance = random.Random(f"{job['seed']}-{place}")
        self._numbers = [f"01{place}{number:08}" for number in range(attempts)]
        self._rows = OtpSend.objects.filter(phone_number__startswith=f"01{place}")
        self._log_path = Path(job["folder"]) / "workers.log"
        self._worker = ENGINES[job["engine"]].worker_command(job["queue_name"])

    def make(self, name: str) -> dict[str, Any]:
        """Make one of the trials, and return its figures."""
        trials: dict[str, Callable[[], dict[str, Any]]] = {
            SEND: self.send,
            KILL_WORKERS: self.kill_workers,
            STOP_REDIS: self.stop_redis,
            ASK_CLOSED: self.ask,
            ASK_SILENT: self.ask,
        }
        return trials[name]()

    def send(self) -> dict[str, Any]:
        """Have workers send everything, undisturbed, and without a sweep."""
        with self._log_path.open("ab") as log, running(self._worker, log, count=WORKERS) as workers:
            # First one alone, so that the workers are up. Not in threads, of which one leaves its
            # attempt to the sweep if another takes too long to reach the broker.
            for count in (1, len(self._numbers)):
                for number in self._numbers[count > 1 : count]:
                    _enqueue(number)
                self._wait(workers, count, last_kill=0)
        return self._findings(workers)

    def kill_workers(self) -> dict[str, Any]:
        """Kill workers at random meanwhile."""
        return self._send_and_kill(lambda: self._enqueue(self._numbers))

    def stop_redis(self) -> dict[str, Any]:
        """Kill workers at random meanwhile, and Redis while half of the attempts are to come."""
        assert self._redis
        redis, half = self._redis, len(self._numbers) // 2

        def enqueue() -> None:
            self._enqueue(self._numbers[:half])
            sent = 0
            while sent < half // 4:
                time.sleep(POLL_SECONDS)
                sent = self._statuses()["sent"]
            connection.close()
            redis.kill()
            self._enqueue(self._numbers[half:])
            redis.start()

        return self._send_and_kill(enqueue)

    def ask(self) -> dict[str, Any]:
        """Ask the endpoint for each attempt, whatever the queue does; there are no workers."""
        reports = Reports()
        logging.getLogger("django_valify_otp.handover").addHandler(reports)
        with ThreadPoolExecutor(THREADS) as pool:
            answers = list(pool.map(_ask, self._numbers))
        statuses = Counter(status for status, _ in answers)
        seconds = sorted(seconds for _, seconds in answers)
        return {
            "statuses": statuses,
            "seconds": seconds,
            "reports": reports.count,
            "queued": self._rows.queued().count(),
        }

    def _send_and_kill(self, enqueue: Callable[[], None]) -> dict[str, Any]:
        with (
            self._log_path.open("ab") as log,
            running(self._worker, log, count=WORKERS) as workers,
            running(SWEEP, log),
            ThreadPoolExecutor(1) as pool,
        ):
            enqueuing = pool.submit(enqueue)
            count = len(self._numbers)
            self._wait(workers, count, last_kill=int(count * LAST_KILL))
            enqueuing.result()
        return self._findings(workers)

    def _enqueue(self, numbers: list[str]) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(_enqueue, numbers))

    def _wait(self, workers: Workers, count: int, *, last_kill: int) -> None:
        """Return when so many are settled. Until ``last_kill`` are, kill a worker now and then."""
        seen, ends_at = Counter[str](), time.monotonic() + PATIENCE_SECONDS
        next_kill = self._steps()
        while True:
            statuses = self._statuses()
            if statuses != seen:
                seen, ends_at = statuses, time.monotonic() + PATIENCE_SECONDS
            taken = statuses.total() - statuses["queued"]
            is_over = taken - statuses["pending"] == count
            if is_over or time.monotonic() > ends_at:
                return
            if next_kill <= taken < last_kill:
                workers.kill_one(self._chance)
                next_kill = taken + self._steps()
            workers.tend()
            time.sleep(POLL_SECONDS)

    def _statuses(self) -> Counter[str]:
        return Counter(self._rows.values_list("status", flat=True))

    def _steps(self) -> int:
        return self._chance.randint(1, max(len(self._numbers) // 10, 20))

    def _findings(self, workers: Workers) -> dict[str, Any]:
        log = self._log_path.read_text("utf-8", "replace")
        sms = {f"0{number[-10:]}": count for number, count in self._vendor.sms().items()}
        own = Counter({number: sms.get(number, 0) for number in self._numbers})
        counts = self._vendor.counts() - self._before
        return {
            **compare([_entry(row) for row in self._rows], own).as_json(),
            "kills": workers.killed,
            "tokens": counts["tokens"] / len(self._numbers),
            "connections": counts["connections"] / len(self._numbers),
            "secrets": sorted({s for s in CREDENTIALS if s in log} | {*WHOLE_NUMBER.findall(log)}),
            "log": log[-4000:],
        }


class Reports(logging.Handler):
    """How often the app has reported a queue that takes nothing."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count it."""
        self.count += 1


def _enqueue(number: str) -> None:
    otp_send = enqueue_otp(number)
    if int(number) % DOUBLED == 0:
        # An engine may deliver a task twice.
        hand_over(otp_send)
    connection.close()


def _ask(number: str) -> tuple[int, float]:
    began = time.monotonic()
    response = APIClient().post("/otp/sends/", {"phone_number": number}, format="json")
    seconds = time.monotonic() - began
    connection.close()
    return response.status_code, seconds


def _entry(row: OtpSend) -> Entry:
    handed_over_at = row.handed_over_at or row.created_at
    return Entry(row.phone_number, row.status, row.code, handed_over_at > row.created_at)
