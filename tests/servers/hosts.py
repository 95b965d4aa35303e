"""Hosts whose clocks are wrong: processes under Debian's faketime."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

PROJECT = Path(__file__).parents[2]
# Models can be imported once Django is set up.
PROGRAM = "import django; django.setup(); from tests.servers import host; host.main()"
# What the clock of each host is ahead, in seconds.
HOSTS = (-90, -2, 0, 45)


def run_on_hosts(work: str, arguments: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Have all hosts begin at once, each with its arguments, and return what they found.

    Each ends after some seconds, also if the test is given up: then that is waited for.
    """
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(_start(ahead, work, {"host": number, **given}))
            for number, (ahead, given) in enumerate(zip(HOSTS, arguments, strict=True))
        ]
        found_ahead = [float(host.stdout.readline()) for host in hosts if host.stdout]
        for host in hosts:
            assert host.stdin
            host.stdin.write("begin\n")
            host.stdin.flush()
        found = [json.loads(host.communicate()[0]) for host in hosts]
        assert [host.returncode for host in hosts] == [0] * len(HOSTS)
    for wanted, ahead in zip(HOSTS, found_ahead, strict=True):
        assert abs(ahead - wanted) < 1
    return found


def _start(ahead: int, work: str, arguments: dict[str, Any]) -> subprocess.Popen[str]:
    job = {"work": work, "arguments": arguments, "valify_otp": settings.VALIFY_OTP}
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {
        "DATABASE_URL": url.geturl(),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        # So that a clock that a host sets is read at once.
        "FAKETIME_NO_CACHE": "1",
    }
    # Waits are measured by the monotonic clock, which no host can set.
    faketime = ["faketime", "--exclude-monotonic", "-f", f"{ahead:+}s"]
    return subprocess.Popen(
        [*faketime, sys.executable, "-c", PROGRAM, json.dumps(job)],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
