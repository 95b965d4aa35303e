"""Thousands of attempts against a vendor, a network and processes that fail at random.

Afterwards the vendor's own record of what it sent is compared with the rows. The seed is printed;
``VALIFY_FAULT_SEED`` gives another one, or with ``fresh`` a new one in each run.
"""

import random
import signal
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.db import connection, connections
from django.utils import timezone

from django_valify_otp import tallies
from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.models import LimitTally, OtpSend
from django_valify_otp.services import send_otp, sweep
from tests.configuration import Configure
from tests.crowds import check_tallies, everything
from tests.processes import MANY_PROCESSES, fork
from tests.scripted_server import (
    Answer,
    Received,
    ScriptedServer,
    answer,
    hang_up,
    raw,
    repeat,
    reset,
    sent,
    silence,
    token,
)
from tests.seeds import seed_of

ATTEMPTS = 2_000
WORKERS = 4
THREADS = 8
ATTEMPTS_OF_A_WORKER = 100

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
    pytest.mark.timeout(400),
]


HEAD = b"HTTP/1.1 200 OK\r\n"
WITHOUT_SMS = [
    answer(200, {"result": {"success": False}}),
    answer(400, {"message": "Bad Request"}),
    answer(401, {"message": "Unauthorized"}),
    answer(403, {"message": "Forbidden"}),
    answer(422, {"message": "Not today", "error_code": 17}),
    answer(429, b"", {"Retry-After": "1"}),
    answer(302, b"", {"Location": "/login/"}),
]
WITH_OR_WITHOUT_SMS = [
    answer(500, {"message": "Internal Server Error"}),
    answer(503, b"<html>"),
    answer(200, b"<html>"),
    answer(200, {"result": {"success": True}}),
    raw(HEAD + b"Content-Length: 500\r\n\r\n{"),
    raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    raw(HEAD + b"\r\n", then=repeat(b" ", pause=0.05)),
    raw(HEAD + b"\r\n", then=repeat(b" " * 65_536)),
    raw(HEAD[:9], then=reset),
    hang_up,
    reset,
    silence,
]
NO_TOKEN = [answer(500), answer(401), answer(200, b"<html>"), hang_up, reset]


class FaultyValify:
    """A vendor that fails at random, and keeps a true record of its SMS."""

    def __init__(self, server: ScriptedServer, chance: random.Random) -> None:
        self.sms: dict[str, str] = {}
        self.numbers: Counter[str] = Counter()
        self._chance = chance
        self._lock = threading.Lock()
        self._tokens = 0
        server.answer_token(self.give_token)
        server.answer_send(self.take_send)

    def give_token(self, sock: socket.socket, received: Received) -> None:
        with self._lock:
            self._tokens += 1
            faulty = self._chance.random() < 0.1
            chosen = self._chance.choice(NO_TOKEN)
            name = f"token-{self._tokens}"
        (chosen if faulty else token(name))(sock, received)

    def take_send(self, sock: socket.socket, received: Received) -> None:
        self._choose(received.json["phone_number"])(sock, received)

    def _choose(self, number: str) -> Answer:
        with self._lock:
            fate = self._chance.random()
            if fate < 0.2:
                return self._chance.choice(WITHOUT_SMS)
            if fate < 0.3:
                return self._chance.choice(WITH_OR_WITHOUT_SMS)
            transaction_id = f"T{len(self.sms)}"
            self.sms[transaction_id] = number
            self.numbers[number] += 1
            if fate < 0.5:
                return self._chance.choice(WITH_OR_WITHOUT_SMS)
        return sent(transaction_id=transaction_id, trials_remaining=str(int(fate * 3)))


class Wish(NamedTuple):
    number: str
    key: str | None


def make_wishes(first: int, chance: random.Random) -> list[Wish]:
    """Each number once; some of them several times at once, with one key."""
    wishes = []
    for number in range(first, first + ATTEMPTS_OF_A_WORKER):
        repeated = chance.random() < 0.2
        wish = Wish(f"010{number:08}", f"key-{number}" if repeated else None)
        wishes += [wish] * (chance.randint(2, 4) if repeated else 1)
    return wishes


def work(wishes: list[Wish]) -> None:
    def send(wish: Wish) -> None:
        with suppress(ValifyOtpError):
            send_otp(wish.number, idempotency_key=wish.key)
        connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(send, wishes))


def run_round(first: int, chance: random.Random) -> int:
    """Some processes at work, of which some are killed; how many were."""
    connections.close_all()
    workers: list[Any] = []
    killers = []
    for number in range(WORKERS):
        # Two processes have the same wishes, so that keys meet across processes too.
        start = first + number // 2 * ATTEMPTS_OF_A_WORKER
        wishes = [
            wish
            for wish in make_wishes(start, random.Random(f"{start}"))
            if wish.key or number % 2 == 0
        ]
        worker = fork.Process(target=work, args=[wishes])
        worker.start()
        workers.append(worker)
        if chance.random() < 0.4:
            killer = threading.Timer(chance.uniform(0.1, 1.5), worker.kill)
            killer.start()
            killers.append(killer)
    for worker in workers:
        worker.join()
    for killer in killers:
        killer.cancel()
        killer.join()
    return sum(worker.exitcode == -signal.SIGKILL for worker in workers)


def test_faults(
    valify: ScriptedServer,
    configure: Configure,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed = seed_of("VALIFY_FAULT_SEED")
    chance = random.Random(seed)
    vendor = FaultyValify(valify, chance)
    configure(READ_TIMEOUT=0.2, DEADLINE=0.7, GLOBAL_SEND_LIMITS=["1000000/1h"])
    monkeypatch.setattr(tallies, "STEP", 50)
    first = killed = 0
    while OtpSend.objects.count() < ATTEMPTS:
        killed += run_round(first, chance)
        first += WORKERS // 2 * ATTEMPTS_OF_A_WORKER
    left_pending = OtpSend.objects.filter(status="pending")
    pending = left_pending.update(called_at=timezone.now() - timedelta(hours=1))
    swept = sweep()
    statuses = Counter(OtpSend.objects.values_list("status", flat=True))
    with capsys.disabled():
        print(
            f"\nfaults on {connection.vendor}, seed {seed}: {sum(statuses.values())} attempts"
            f" {dict(statuses)}, {len(vendor.sms)} SMS, {killed} processes killed,"
            f" {pending} rows left pending, {swept} swept"
        )
    compare(vendor)
    assert pending == swept
    assert LimitTally.objects.count() > 10
    check_tallies(everything("1000000/1h"), timezone.now())


def compare(vendor: FaultyValify) -> None:
    rows: dict[str, list[OtpSend]] = {}
    for row in OtpSend.objects.all():
        rows.setdefault(row.phone_number, []).append(row)
    everything = [row for found in rows.values() for row in found]
    assert not [row for row in everything if row.settled_at is None], "open after the sweep"
    assert set(vendor.numbers) <= set(rows), "an SMS without a row"
    assert set(vendor.numbers.values()) == {1}, "a second SMS for one wish"
    told = {row.transaction_id: row.phone_number for row in everything if row.status == "sent"}
    assert told.items() <= vendor.sms.items(), "a row that is sent without its SMS"
    for transaction_id, number in vendor.sms.items():
        statuses = [row.status for row in rows[number]]
        assert transaction_id in told or "unknown" in statuses, "an SMS that no row admits"
