"""The same work in many processes and threads at once, for what must hold between them."""

import threading
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

from django.db import connection, connections

fork = get_context("fork")


def at_once(work: Callable[[int], Any], *, processes: int = 4, threads: int = 16) -> list[Any]:
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
    for child in children:
        child.start()
    found = [results.get() for _ in range(processes * threads)]
    for child in children:
        child.join()
    return found


def _run(work: Callable[[int], Any], barrier: Any, results: Any, first: int, count: int) -> None:
    def run(number: int) -> None:
        barrier.wait()
        try:
            found = work(number)
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
