"""Start a trial: its vendor, its broker's address, and a process with the engine's settings."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.ports import free_port
from benchmarks.vendor import running_vendor
from tests.engines.brokers import RABBITMQ_URL, queue_in_rabbitmq, silent_server
from tests.engines.engines import Engine

PROJECT = Path(__file__).parents[2]
# Models can be imported once Django is set up.
PROGRAM = "import django; django.setup(); from tests.engines import trial; trial.main()"
DELAY_MILLISECONDS = 50
# The trials by name.
SEND, KILL_WORKERS, STOP_REDIS = "send", "kill workers", "stop redis"
ASK_CLOSED, ASK_SILENT = "closed port", "silent broker"


def trials_of(engine: Engine, *, undisturbed: int, disturbed: int) -> list[tuple[str, int]]:
    """Return the trials that an engine can be put to, with so many attempts."""
    trials = [(SEND, undisturbed), (KILL_WORKERS, disturbed)]
    if engine.broker == "redis":
        trials.append((STOP_REDIS, disturbed))
    return trials


def run_trials(engine: Engine, trials: list[tuple[str, int]], *, seed: str) -> list[dict[str, Any]]:
    """Return what came of each trial, which is a name with a number of attempts.

    ``ASK_CLOSED`` and ``ASK_SILENT`` each stand alone: then the broker is dead.
    """
    first = trials[0][0]
    with (
        tempfile.TemporaryDirectory() as folder,
        running_vendor(folder) as vendor,
        broker_of(engine, first) as (broker_url, queue_name, redis_port),
    ):
        job = {
            "engine": engine.name,
            "folder": folder,
            "queue_name": queue_name,
            "redis_port": redis_port,
            "seed": seed,
            "trials": trials,
            "vendor": asdict(vendor),
        }
        environment = {
            "DJANGO_SETTINGS_MODULE": "tests.engines.settings",
            "ENGINE": engine.name,
            "ENGINE_BROKER": broker_url,
            "ENGINE_DATABASE": re.sub(r"\W", "_", f"{engine.name} {first}"),
            "ENGINE_QUEUE": queue_name,
            "ENGINE_VALIFY": vendor.url(tls=False, delay=DELAY_MILLISECONDS),
        }
        printed = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(job)],
            cwd=PROJECT,
            env={**os.environ, **environment},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    found: list[dict[str, Any]] = json.loads(printed.splitlines()[-1])
    return found


@contextmanager
def broker_of(engine: Engine, first_trial: str) -> Iterator[tuple[str, str, int]]:
    """Return the URL of its broker, the name of its queue, and the port of a Redis to start."""
    schemes = {"redis": "redis://127.0.0.1:{}/0", "rabbitmq": "amqp://guest:guest@127.0.0.1:{}//"}
    url = schemes.get(engine.broker, "")
    if first_trial == ASK_SILENT:
        with silent_server() as port:
            yield url.format(port), "default", 0
    elif first_trial == ASK_CLOSED:
        yield url.format(free_port()), "default", 0
    elif engine.broker == "rabbitmq":
        with queue_in_rabbitmq() as name:
            yield RABBITMQ_URL, name, 0
    else:
        port = free_port()
        yield url.format(port), "default", port if engine.broker else 0
