"""Send, in threads and in workers of a queue, for as long as a primary dies and another follows."""

import threading
import time
from collections.abc import Callable
from itertools import count
from multiprocessing import get_context
from typing import Any, NamedTuple

from django.db import Error, close_old_connections, connections

from django_valify_otp.exceptions import IdempotencyConflict, SiteBusy, ValifyOtpError
from django_valify_otp.models import OtpSend
from django_valify_otp.services import enqueue_otp, send_otp, send_queued

THREADS = 8
WORKERS = 4
PAUSE_SECONDS = 0.02
# Whoever repeats a request waits a little, as a person does.
REPEAT_SECONDS = 0.1
REPEATED = {SiteBusy.code, IdempotencyConflict.code}
# The first try with a key may have left a row that only a sweep settles.
CONFLICTS = 10
# What a site answers to an error that is none of the app's own.
FAILURE = "500 "
BATCH = 20
# More than one thread asks for in a round, so that no number comes twice.
NUMBERS_PER_ROUND = 10_000

fork = get_context("fork")


class Told(NamedTuple):
    """One request: its number, what it was told, each time that it was made, and when.

    ``began_at`` is when it was made for the last time. Both moments are seconds of the monotonic
    clock, which all processes share.
    """

    phone_number: str
    answers: tuple[str, ...]
    began_at: float
    ended_at: float


class Load:
    """Processes that send, until they are told to stop."""

    def __init__(self, number: int) -> None:
        # A forked process must not use its parent's connection.
        connections.close_all()
        self._is_over, self._is_drained = fork.Event(), fork.Event()
        self._results = fork.SimpleQueue()
        self._sent_at = fork.Value("d", 0)
        self._clients = fork.Process(target=self._send_in_threads, args=[number])
        self._workers = [fork.Process(target=self._send_queued) for _ in range(WORKERS)]
        for process in [self._clients, *self._workers]:
            process.start()

    def has_sent_since(self, moment: float) -> bool:
        """Tell whether a request that was made after the moment has sent."""
        return bool(self._sent_at.value > moment)

    def stop(self) -> list[Told]:
        """Have the requests end and the queue be emptied; return what the requests were told."""
        self._is_over.set()
        told: list[Told] = self._results.get()
        self._clients.join()
        self._is_drained.set()
        for worker in self._workers:
            worker.join()
        return told

    def kill(self) -> None:
        """Leave no process behind, if the benchmark is given up."""
        for process in [self._clients, *self._workers]:
            process.kill()

    def _send_in_threads(self, round_number: int) -> None:
        told: list[Told] = []

        def send_on(thread: int) -> None:
            numbers = count(round_number * NUMBERS_PER_ROUND)
            while not self._is_over.is_set():
                told.append(request(f"0101{thread}{next(numbers):06}", self._is_over.is_set))
                if told[-1].answers[-1] == OtpSend.Status.SENT:
                    self._sent_at.value = told[-1].began_at
                time.sleep(PAUSE_SECONDS)
            connections.close_all()

        threads = [threading.Thread(target=send_on, args=[thread]) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._results.put(told)

    def _send_queued(self) -> None:
        """Send what is queued. All workers get all of it: the row says who sends."""
        while True:
            keys = waiting()
            for pk in keys or ():
                send_queued(pk)
            if keys == [] and self._is_drained.is_set():
                break
            time.sleep(PAUSE_SECONDS)
        connections.close_all()


def waiting() -> list[int] | None:
    """Return the keys of some queued attempts, or ``None`` if the database is away."""
    try:
        queued = OtpSend.objects.filter(status=OtpSend.Status.QUEUED).order_by("pk")
        return [*queued.values_list("pk", flat=True)[:BATCH]]
    except Error:
        close_old_connections()
        return None


def request(phone_number: str, is_over: Callable[[], bool]) -> Told:
    """Ask for an OTP, and again with the same key until there is an answer.

    Every second number goes through the queue.
    """
    ask: Any = send_otp if int(phone_number) % 2 else enqueue_otp
    answers: list[str] = []
    while True:
        began_at = time.monotonic()
        answers.append(told_by(ask, phone_number))
        # As Django does at the end of each request.
        close_old_connections()
        is_answered = answers[-1] not in REPEATED and not answers[-1].startswith(FAILURE)
        if is_answered or answers.count(IdempotencyConflict.code) == CONFLICTS or is_over():
            return Told(phone_number, tuple(answers), began_at, time.monotonic())
        time.sleep(REPEAT_SECONDS)


def told_by(ask: Any, phone_number: str) -> str:
    """Return the status or the code that the request ended with, or the name of an error."""
    try:
        row: OtpSend = ask(phone_number, lang="en", idempotency_key=phone_number)
    except ValifyOtpError as error:
        return error.code
    except Exception as error:  # noqa: BLE001 (whatever it is, it is counted)
        return f"{FAILURE}{type(error).__name__}"
    return row.status
