"""The benchmark of the audit pages runs. PostgreSQL makes its rows."""

import pytest

from tests.benchmarking import run_benchmark

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(300)]


def test_audit() -> None:
    printed = run_benchmark("benchmarks.audit", "--rows=100", "--repeats=1", "--plans")
    assert "list: first page" in printed
    assert "100: purge of " in printed
    assert "Limit (actual time=" in printed
