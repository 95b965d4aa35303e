"""What a host does whose clock may be wrong; each is a process of its own under faketime."""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import Any, SupportsIndex

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from django_valify_otp import database_clock
from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.services import send_otp, sweep, verify_otp

NUMBER, USERNAME, ADDRESS = "01012345678", "mona", "41.32.10.7"
JUMP_AFTER_SECONDS = 1


def main() -> None:
    """Say on standard output how far the clock is off; once told to begin, do the work."""
    job = json.loads(sys.argv[1])
    settings.VALIFY_OTP = job["valify_otp"]
    # Under faketime sleep() raises EINVAL if the monotonic clock is the true one.
    time.sleep = wait
    work = WORKS[job["work"]]
    print(seconds_ahead(), flush=True)
    sys.stdin.readline()
    with sweeping() as swept:
        found = work(**job["arguments"])
    print(json.dumps({**found, "swept": sum(swept), "seconds_ahead": seconds_ahead()}))


def wait(seconds: float | SupportsIndex) -> None:
    """Do nothing for so long."""
    threading.Event().wait(float(seconds))


def seconds_ahead() -> float:
    """Return how far this host's clock is ahead of the database's."""
    return (timezone.now() - database_clock.now("default")).total_seconds()


@contextmanager
def sweeping() -> Iterator[list[int]]:
    """Sweep all the time; the list gets how many rows each sweep settled."""
    swept: list[int] = []
    is_over = threading.Event()

    def sweep_on() -> None:
        while not is_over.wait(0.05):
            swept.append(sweep())
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        sweeper = pool.submit(sweep_on)
        try:
            yield swept
        finally:
            is_over.set()
        sweeper.result()


def send(*, host: int, seconds: float) -> dict[str, Any]:
    """Send for so long, and count what the sends were told."""
    told: Counter[str] = Counter()
    ends_at = time.monotonic() + seconds
    wanted = requests(host)
    while time.monotonic() < ends_at:
        told[outcome(next(wanted))] += 1
        wait(0.01)
    return {"told": told}


def requests(host: int) -> Iterator[dict[str, Any]]:
    """Return requests that have in common, in turn: the number, the user, the address, nothing."""
    user = User.objects.get(username=USERNAME)
    numbers = (f"0111{host}{number:06}" for number in count())
    while True:
        yield {"phone_number": NUMBER}
        yield {"phone_number": next(numbers), "user": user}
        yield {"phone_number": next(numbers), "ip_address": ADDRESS}
        yield {"phone_number": next(numbers)}


def outcome(request: dict[str, Any]) -> str:
    """Send, and return the status or the code that it ended with."""
    try:
        return send_otp(**request).status
    except ValifyOtpError as error:
        return error.code


def call_slowly(*, host: int, jumps_to: str) -> dict[str, Any]:
    """Send and verify, and meanwhile set the clock; return how long the calls of each row took."""
    jump = threading.Timer(JUMP_AFTER_SECONDS, os.environ.update, [{"FAKETIME": jumps_to}])
    jump.start()
    began = time.monotonic()
    otp_send = send_otp(f"0111000000{host}")
    sent = time.monotonic()
    verification = verify_otp(otp_send, "482913")
    verified = time.monotonic()
    jump.join()
    return {"took": {str(otp_send.uuid): sent - began, str(verification.uuid): verified - sent}}


WORKS: dict[str, Callable[..., dict[str, Any]]] = {"send": send, "call_slowly": call_slowly}
