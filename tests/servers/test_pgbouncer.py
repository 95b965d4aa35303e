"""Behind PgBouncer in transaction mode, with fewer connections than workers."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import connection, connections, transaction

from django_valify_otp.exceptions import SiteBusy
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from tests.factories import NUMBER
from tests.processes import MANY_PROCESSES, at_once
from tests.scripted_server import ScriptedServer
from tests.servers.pgbouncer import pgbouncer
from tests.stress.scenario import Scenario, compare, sweep_everything

pytestmark = [
    pytest.mark.pgbouncer,
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]


def through(port: int) -> dict[str, Any]:
    """Return what leads to the database of this run through PgBouncer."""
    return {
        **connection.settings_dict,
        "HOST": "127.0.0.1",
        "PORT": port,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {"prepare_threshold": None},
    }


def test_stress(limited: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario.prepare(limited)
    with pgbouncer(connection.settings_dict, tmp_path, pool_size=4) as port:
        monkeypatch.setitem(connections.settings, "default", through(port))
        found = scenario.run(processes=4, threads=4)
    assert sweep_everything() == 0
    compare(scenario, found)


def test_a_pool_that_has_no_connection_to_give_ends_in_site_busy(
    limited: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_held, is_over = Event(), Event()

    def hold(number: int) -> str:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            is_held.set()
            is_over.wait(60)
        return "held"

    def send(number: int) -> str:
        is_held.wait(60)
        try:
            status = send_otp(NUMBER).status
        except SiteBusy as busy:
            status = busy.code
        is_over.set()
        return status

    with pgbouncer(connection.settings_dict, tmp_path, pool_size=1, wait_seconds=1) as port:
        monkeypatch.setitem(connections.settings, "default", through(port))
        found = at_once(lambda number: (hold, send)[number](number), processes=1, threads=2)
    assert sorted(found) == ["held", "site_busy"]
    assert limited.received == []
    assert not OtpSend.objects.exists()
