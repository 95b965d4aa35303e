"""Run the live check only where it is asked for, and only with an account."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.account import LiveAccount, why_not
from tests.live.customer import Customer
from tests.live.report import Report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the live check out of every run whose ``-m`` does not name it."""
    if is_wanted(config):
        return
    live = [item for item in items if item.get_closest_marker("live")]
    items[:] = [item for item in items if item not in live]
    config.hook.pytest_deselected(items=live)


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Say once why all of it will be skipped."""
    return (why_not(os.environ) or "") if is_wanted(config) else ""


def is_wanted(config: pytest.Config) -> bool:
    """Tell whether this run names the live check."""
    return "live" in config.option.markexpr


@pytest.fixture(scope="session")
def account() -> LiveAccount:
    """Return the account of the environment; without one, the test is skipped."""
    reason = why_not(os.environ)
    if reason:
        pytest.skip(reason)
    return LiveAccount.of(os.environ)


@pytest.fixture(scope="session")
def report(account: LiveAccount) -> Iterator[Report]:
    """Return the report, which is written at the end."""
    report = Report(account)
    yield report
    report.write(Path(os.environ.get("VALIFY_LIVE_REPORT", "live-report.json")))


@pytest.fixture(scope="session")
def customer(account: LiveAccount, report: Report) -> Customer:
    """Return a customer of Valify."""
    return Customer(account, report)
