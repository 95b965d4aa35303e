"""A sandbox in this process, whose clock stands still."""

import threading
from collections.abc import Iterator

import pytest

from django_valify_otp.sandbox.api import Valify
from django_valify_otp.sandbox.server import SandboxServer
from tests.clock import Clock
from tests.sandbox.customer import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    clock = Clock()
    threads = set(threading.enumerate())
    with SandboxServer(Valify(clock=clock.monotonic), port=0) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        with Sandbox(server, clock) as running:
            yield running
        started = set(threading.enumerate()) - threads
        server.shutdown()
    for thread in started:
        thread.join()
