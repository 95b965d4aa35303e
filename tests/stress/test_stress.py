"""What holds while sends, guesses, sweeps and purges are at work at once.

``VALIFY_STRESS_SIZE`` multiplies their number, and ``VALIFY_STRESS_SEED`` gives another mix, or
with ``fresh`` a new one in each run.
"""

from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.processes import MANY_PROCESSES
from tests.scripted_server import ScriptedServer
from tests.stress.scenario import Scenario, compare, sweep_everything

SCENARIO = "tests.stress.scenario"

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
    *MANY_PROCESSES,
]


def test_on_one_database(limited: ScriptedServer) -> None:
    scenario = Scenario.prepare(limited)
    found = scenario.run()
    # No process has died.
    assert sweep_everything() == 0
    compare(scenario, found)


def copy_users() -> None:
    User.objects.using("replica").bulk_create(User.objects.using("default"))


@pytest.mark.parametrize("router", ["AppRouter", "PrimaryReplicaRouter"])
def test_with_a_replica_that_is_far_behind(
    limited: ScriptedServer, settings: Settings, router: str
) -> None:
    scenario = Scenario.prepare(limited)
    copy_users()
    settings.DATABASE_ROUTERS = [f"tests.routers.{router}"]
    scenario.users = [User.objects.get(pk=user.pk) for user in scenario.users]
    found = scenario.run()
    sweep_everything()
    compare(scenario, found)


def fail(*_args: Any, **_kwargs: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("broken", ["django_valify_otp.services.send_otp", f"{SCENARIO}.sweep"])
def test_what_breaks_is_seen(
    limited: ScriptedServer, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    scenario = Scenario.prepare(limited)
    monkeypatch.setattr(broken, fail)
    found = scenario.run(processes=1, threads=2)
    with pytest.raises(AssertionError, match="500, 'ZeroDivisionError"):
        compare(scenario, found)
