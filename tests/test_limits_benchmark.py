"""The benchmark of limits runs."""

import pytest

from benchmarks.limits import SCENARIOS
from tests.benchmarking import run_benchmark

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]

TINY = ("--rounds=1", "--sends=1", "--rows=10")


def test_limits() -> None:
    title, *lines = run_benchmark("benchmarks.limits", *TINY).splitlines()
    assert title.split() == ["floor,", "ms", "own,", "ms", "floors", "to", "empty"]
    wanted = [(scenario.name, way) for scenario in SCENARIOS for way in ("admitted", "refused")]
    assert [(line[:31].rstrip(), line[32:40].rstrip()) for line in lines] == wanted
    assert [line.split()[-1] for line in lines[:2]] == ["1.00", "1.00"]


def test_limits_measures_only_what_is_asked_for() -> None:
    printed = run_benchmark("benchmarks.limits", *TINY, "--scenarios=refused attempts of a number")
    names = {line[:31].rstrip() for line in printed.splitlines()[1:]}
    assert names == {"empty table", "refused attempts of a number"}
