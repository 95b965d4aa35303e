"""Beside a standby that is some seconds behind: it shows attempts, and decides nothing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from benchmarks.cluster import Server, servers, until
from django_valify_otp.models import OtpSend
from tests.configuration import Configure
from tests.factories import NUMBER, client_of, staff
from tests.pages import EXPORT, SENDS, found, page_of, url_of
from tests.processes import MANY_PROCESSES
from tests.scripted_server import SEND_PATH, ScriptedServer
from tests.servers.private import site_on
from tests.stress.scenario import Scenario, compare, sweep_everything

pytestmark = [
    pytest.mark.clusters,
    pytest.mark.django_db(transaction=True, databases=["default", "replica"]),
    pytest.mark.timeout(300),
    *MANY_PROCESSES,
]

DELAY = "recovery_min_apply_delay = '5s'\n"
# More than the delay, on a busy machine.
PATIENCE_SECONDS = 60


class Pair(NamedTuple):
    """A primary and its standby."""

    primary: Server
    standby: Server


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two servers, of which the second follows the first five seconds later."""
    with servers(2) as (primary, standby):
        primary.make()
        primary.start()
        standby.copy(primary, settings=DELAY)
        standby.start()
        primary.wait_for_standby(synchronous=False)
        yield Pair(primary, standby)


@pytest.fixture
def site(pair: Pair, transactional_db: None, settings: Settings) -> Iterator[Pair]:
    """A site that writes to the primary, and reads this app's rows from the standby."""
    settings.DATABASE_ROUTERS = ["tests.routers.AppRouter"]
    with site_on({"default": pair.primary, "replica": pair.standby}):
        yield pair


def catch_up(pair: Pair) -> None:
    """Wait until the standby has all that the primary has now."""
    position = pair.primary.query("SELECT pg_current_wal_lsn()")
    replayed = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
    until(lambda: pair.standby.query(replayed), PATIENCE_SECONDS)


def test_stress(site: Pair, limited: ScriptedServer) -> None:
    scenario = Scenario.prepare(limited)
    results = scenario.run()
    assert sweep_everything() == 0
    compare(scenario, results)


def test_what_is_decided_and_what_is_shown(
    site: Pair, valify: ScriptedServer, configure: Configure
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"], VERIFY_TRIES=1)
    catch_up(site)
    site.standby.query("SELECT pg_wal_replay_pause()")
    inspector = staff("view_otpsend", "view_phone_number")
    desk, api = client_of(inspector), client_of(inspector)

    def post(key: str) -> Any:
        headers = {"Idempotency-Key": key}
        return api.post(SENDS, {"phone_number": NUMBER}, format="json", headers=headers)

    first = post("c0ffee")
    assert first.status_code == 201
    otp_send = OtpSend.objects.using("default").get()
    # The standby knows nothing of it.
    assert (post("c0ffee").json(), post("7ea").status_code) == (first.json(), 429)
    assert api.get(url_of(otp_send)).json() == first.json()
    assert api.post(f"{url_of(otp_send)}verify/", {"otp": "482913"}, format="json").json()[
        "verified"
    ]
    assert len(valify.at(SEND_PATH)) == 1
    assert api.get(SENDS).json()["results"] == []
    assert found(desk) == []
    site.standby.query("SELECT pg_wal_replay_resume()")
    catch_up(site)
    assert [row["status"] for row in api.get(SENDS).json()["results"]] == ["blocked", "sent"]
    assert [row.status for row in found(desk)] == ["blocked", "sent"]
    assert shown(desk, page_of(otp_send)).count(NUMBER)
    assert shown(desk, EXPORT).count(NUMBER) == 2
    assert shown(desk, reverse("admin:otp-send-summary"))


def shown(desk: Client, url: str) -> str:
    """Return what a page says, which may be streamed."""
    response: Any = desk.get(url)
    assert response.status_code == 200
    return b"".join(response).decode()
