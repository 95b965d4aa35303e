"""Measure the requests of many clients to the site under gunicorn."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from benchmarks.variants import LIMITS, NO_LIMITS, new_numbers, valify_settings
from benchmarks.vendor import Vendor

NAME = "gunicorn, 2 x 8 threads, 0 ms, 16 clients"
GUNICORN = ("gunicorn", "--workers=2", "--threads=8", "--log-level=warning", "benchmarks.wsgi")
CLIENTS = 16
# So that every thread of both servers has its connections.
WARM_UP_REQUESTS = 64
REQUESTS_PER_SEND = 4
REQUEST = (
    "POST {url} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
)


def measure_gunicorn(vendor: Vendor, *, rounds: int, sends: int) -> dict[str, Any]:
    """Return the requests per second of each round and view."""
    with (
        running_gunicorn(vendor, NO_LIMITS) as without_limits,
        running_gunicorn(vendor, LIMITS) as with_limits,
    ):
        servers = {
            "bare view": (without_limits, "/bare/sends/"),
            "sample": (without_limits, "/sample/sends/"),
            "endpoint, limits off": (without_limits, "/otp/sends/"),
            "endpoint, limits on": (with_limits, "/otp/sends/"),
        }
        requests = sends * REQUESTS_PER_SEND
        for port, url in servers.values():
            requests_per_second(port, url, min(WARM_UP_REQUESTS, requests))
        figures = [
            {
                name: requests_per_second(port, url, requests)
                for name, (port, url) in servers.items()
            }
            for _ in range(rounds)
        ]
    return {"name": NAME, "rounds": figures}


def requests_per_second(port: int, url: str, requests: int) -> float:
    """Return how many requests were answered in a second."""
    numbers = new_numbers(requests)
    start = time.perf_counter()
    asyncio.run(request_all(port, url, numbers))
    return requests / (time.perf_counter() - start)


async def request_all(port: int, url: str, numbers: list[str]) -> None:
    """Have each client request one send after the other, until no number is left."""

    async def request_some() -> None:
        while numbers:
            await request_send(port, url, numbers.pop())

    await asyncio.gather(*(request_some() for _ in range(CLIENTS)))


async def request_send(port: int, url: str, number: str) -> None:
    """Request a send on a connection of its own, as a proxy in front of gunicorn does."""
    body = json.dumps({"phone_number": number})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST.format(url=url, length=len(body), body=body).encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 201 "), answer


@contextmanager
def running_gunicorn(vendor: Vendor, limits: dict[str, list[str]]) -> Iterator[int]:
    """Serve the site from the database of the benchmark, on the port that is returned."""
    options = valify_settings(vendor.url(tls=False, delay=0), limits)
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {
        **os.environ,
        "BENCHMARK_VALIFY_OTP": json.dumps(options),
        "DATABASE_URL": url.geturl(),
    }
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
        command = [sys.executable, "-m", *GUNICORN, f"--bind=fd://{listener.fileno()}"]
        with subprocess.Popen(
            command, env=environment, pass_fds=[listener.fileno()], stdout=sys.stderr
        ) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process.terminate()
