"""The benchmark of the purge runs."""

import re

import pytest

from benchmarks.purge import TITLES
from tests.benchmarking import run_benchmark

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]


def test_it_compares_sizes() -> None:
    printed = run_benchmark("benchmarks.purge", "--rows", "200", "400")
    assert printed.count("growth\n") == len(TITLES)
    for name in ("dry run", "first run: all", "purge", "bare DELETE", "anonymise", "bare UPDATE"):
        found = re.findall(rf"^{name} +\d+\.\d\d +\d+\.\d\d +\d+\.\d\dx$", printed, re.MULTILINE)
        assert len(found) == len(TITLES)
