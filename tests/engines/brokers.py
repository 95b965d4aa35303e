"""The brokers: a Redis of the trial's own, which may be killed, and the machine's RabbitMQ."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

RABBITMQ_URL = os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
START_SECONDS = 30


class Redis:
    """A Redis that keeps nothing on disk, so whoever kills it takes its tasks."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._port = port
        self.start()

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--loglevel"]
        self._process = subprocess.Popen(
            ["redis-server", *options, "warning", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self._port)

    def kill(self) -> None:
        """End it with everything in it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def running_redis(folder: Path, port: int) -> Iterator[Redis]:
    """Run a Redis until the block ends."""
    redis = Redis(folder, port)
    try:
        yield redis
    finally:
        redis.kill()


@contextmanager
def queue_in_rabbitmq() -> Iterator[str]:
    """Return the name of a queue that nobody else uses. It is deleted at the end."""
    name = f"valify-otp-tests-{uuid4().hex}"
    try:
        yield name
    finally:
        _delete_queue(name)


def _delete_queue(name: str) -> None:
    for command in (f"queue.delete {name}", f"exchange.delete {name} 0"):
        subprocess.run(
            [sys.executable, "-m", "celery", "--broker", RABBITMQ_URL, "amqp", *command.split()],
            stdout=subprocess.DEVNULL,
            check=True,
        )


@contextmanager
def silent_server() -> Iterator[int]:
    """Return a port where the system takes connections, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


def wait_for_port(port: int) -> None:
    """Return when somebody listens there."""
    ends_at = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert time.monotonic() < ends_at, f"nobody listens on port {port}"
        time.sleep(0.05)
