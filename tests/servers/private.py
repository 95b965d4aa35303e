"""The site of a test on PostgreSQL servers that the test has started."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from django.core.management import call_command
from django.db import connections

from benchmarks.cluster import DATABASE, USER, Server


@contextmanager
def site_on(places: dict[str, Server]) -> Iterator[None]:
    """Have the connections of these names lead to these servers; ``default`` gets its tables."""
    with ExitStack() as stack:
        stack.callback(_connect_anew, places)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for alias, server in places.items():
            place = {"HOST": "127.0.0.1", "PORT": server.port, "NAME": DATABASE, "USER": USER}
            patch.setitem(connections.settings, alias, {**connections.settings[alias], **place})
        _connect_anew(places)
        call_command("migrate", verbosity=0)
        call_command("flush", verbosity=0, interactive=False)
        yield


def _connect_anew(places: dict[str, Server]) -> None:
    """Have this thread's connections read their settings again."""
    for alias in places:
        connections[alias].close()
        del connections[alias]
