"""A process that does something to the database for as long as a test runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from tests.processes import fork

# Whoever waits for the event has a pause that ends with the test.
Work = Callable[[Any], None]


@contextmanager
def companion(work: Work) -> Iterator[None]:
    """Have ``work`` repeated, each time with the event that ends it, in a process of its own."""
    # Not a thread: a forked worker would close its connection too.
    connections.close_all()
    begun, ended = fork.Event(), fork.Event()
    process = fork.Process(target=_repeat, args=[work, begun, ended])
    process.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        ended.set()
        process.join()
    assert process.exitcode == 0


def _repeat(work: Work, begun: Any, ended: Any) -> None:
    while not ended.is_set():
        work(ended)
        begun.set()
    connections.close_all()
