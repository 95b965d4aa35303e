"""The same work in many processes and threads at once, for what must hold between them."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from typing import Any

import pytest
from django.db import connection, connections

from django_valify_otp.exceptions import SiteBusy

fork = get_context("fork")

PROCESSES, THREADS = 4, 16
CALLERS = PROCESSES * THREADS

# Who is told that the database is busy, as on a machine that is, asks again: nothing was sent.
ASKED = 10

# For tests with processes and threads of their own: they are not run beside each other.
MANY_PROCESSES = (
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.xdist_group("many processes"),
)


def at_once(
    work: Callable[[int], Any], *, processes: int = PROCESSES, threads: int = THREADS
) -> list[Any]:
    """What each call of ``work`` returned, or the name of what it raised.

    Each gets a number of its own, and all begin at the same moment.
    """
    connections.close_all()
    barrier = fork.Barrier(processes * threads)
    results = fork.SimpleQueue()
    children = [
        fork.Process(target=_run, args=[work, barrier, results, number * threads, threads])
        for number in range(processes)
    ]
    with ExitStack() as stack:
        for child in children:
            child.start()
            # If the test is given up meanwhile, the next one must not find them at work.
            stack.callback(child.kill)
        found = [results.get() for _ in range(processes * threads)]
        for child in children:
            child.join()
    return found


def _run(work: Callable[[int], Any], barrier: Any, results: Any, first: int, count: int) -> None:
    def run(number: int) -> None:
        barrier.wait()
        try:
            found = _until_not_busy(work, number)
        except Exception as error:  # noqa: BLE001 (whatever it is, its name is the result)
            found = type(error).__name__
        finally:
            connection.close()
        results.put(found)

    threads = [threading.Thread(target=run, args=[first + n]) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _until_not_busy(work: Callable[[int], Any], number: int) -> Any:
    for _ in range(ASKED):
        with suppress(SiteBusy):
            return work(number)
    raise AssertionError("the database was busy all the time")
