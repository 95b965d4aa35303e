"""Attempts on real task queues, whose workers and brokers are killed, and a vendor that counts.

``VALIFY_ENGINES_SEED`` chooses whom they kill and when, with ``fresh`` anew in each run.
``benchmarks.engines`` does the same with more attempts, and prints the figures.
"""

from typing import Any

import pytest

from benchmarks.engines import COLUMNS
from tests.benchmarking import run_benchmark
from tests.engines.engines import Engine, supported
from tests.engines.launch import ASK_SILENT, KILL_WORKERS, SEND, STOP_REDIS, run_trials
from tests.seeds import seed_of

SEED = seed_of("VALIFY_ENGINES_SEED")
UNDISTURBED, DISTURBED, ASKED = 150, 100, 60

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def check(found: dict[str, Any], *, attempts: int) -> None:
    """Check what holds whatever was killed."""
    print(f"seed {SEED}", {**found, "log": ""}, found["log"], sep="\n")
    wrong = ("open", "without_row", "twice", "unsent", "other")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert found["rows"] == attempts
    assert found["secrets"] == []


@pytest.mark.parametrize("engine", supported(), ids=lambda engine: engine.name)
def test_each_attempt_is_sent_once_whoever_is_killed(engine: Engine) -> None:
    trials = [(SEND, UNDISTURBED), (KILL_WORKERS, DISTURBED)]
    undisturbed, disturbed = run_trials(engine, trials, seed=SEED)
    check(undisturbed, attempts=UNDISTURBED)
    # At once, without a sweep.
    assert (undisturbed["sent"], undisturbed["again"]) == (UNDISTURBED, 0)
    assert undisturbed["tokens"] <= 0.36
    assert undisturbed["connections"] <= 0.05
    check(disturbed, attempts=DISTURBED)
    assert disturbed["kills"] >= 2


@pytest.mark.parametrize(
    "engine",
    [engine for engine in supported() if engine.broker == "redis"],
    ids=lambda engine: engine.name,
)
def test_each_attempt_is_sent_once_if_redis_is_killed_too(engine: Engine) -> None:
    [found] = run_trials(engine, [(STOP_REDIS, DISTURBED)], seed=SEED)
    check(found, attempts=DISTURBED)
    assert found["kills"] >= 2
    # What Redis had is lost, and half of the attempts never reached it.
    assert found["again"] >= DISTURBED // 2


@pytest.mark.parametrize(
    "engine", [engine for engine in supported() if engine.broker], ids=lambda engine: engine.name
)
def test_a_broker_that_never_answers_is_asked_once(engine: Engine) -> None:
    [found] = run_trials(engine, [(ASK_SILENT, ASKED)], seed=SEED)
    assert found["statuses"] == {"202": ASKED}
    assert found["queued"] == ASKED
    # By one request. The others do not wait for its end.
    assert found["reports"] == 1


def test_the_benchmark() -> None:
    printed = run_benchmark("benchmarks.engines", "--attempts=6", "--engines=fennel")
    tried, title, *lines, closed, silent = printed.splitlines()
    assert tried.startswith("task queues that are tried: django-tasks-db ")
    assert title.split()[: len(COLUMNS) - 2] == [*COLUMNS[:6], "no"]
    assert [line[:33].rstrip() for line in lines] == [
        "django-tasks-fennel send",
        "django-tasks-fennel kill workers",
    ]
    for line in lines:
        assert line.split()[-5:-2] == ["0", "0", "0"]
    for found, name in ((closed, "closed port"), (silent, "silent broker")):
        assert found.startswith(f"django-tasks-fennel, {name}: {{'202': 60}}, the slowest in ")
