"""A synchronous standby that is away, or takes the place of a primary that was killed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from benchmarks.cluster import servers, until
from django_valify_otp import locking
from django_valify_otp.services import send_otp
from tests.benchmarking import run_benchmark
from tests.factories import NUMBER
from tests.processes import MANY_PROCESSES
from tests.scripted_server import ScriptedServer
from tests.servers.private import site_on

pytestmark = [
    pytest.mark.clusters,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    *MANY_PROCESSES,
]

PATIENCE_SECONDS = 60
# A commit that waits for the standby, for longer than any statement may take.
WAITS_FOR_STANDBY = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '2 seconds'
"""


def test_no_call_is_made_before_the_standby_has_the_row(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No timeout ends the wait, since PostgreSQL would then say that the commit was done."""

    def send() -> str:
        try:
            return send_otp(NUMBER).status
        finally:
            connection.close()

    monkeypatch.setattr(locking, "LONGEST_WAIT_SECONDS", 1)
    with ThreadPoolExecutor(1) as pool, servers(2) as (primary, standby):
        primary.make()
        primary.start()
        standby.copy(primary)
        standby.start()
        primary.wait_for_standby(synchronous=True)
        with site_on({"default": primary}):
            standby.kill()
            sending = pool.submit(send)
            until(lambda: primary.query(WAITS_FOR_STANDBY) == 1, PATIENCE_SECONDS)
            assert valify.received == []
            standby.start()
            assert sending.result(PATIENCE_SECONDS) == "sent"


def test_two_failovers() -> None:
    printed = run_benchmark(
        "benchmarks.failover", "--rounds=2", "--seconds=1", "--modes=synchronous"
    )
    _, title, header, first, second, total = printed.rsplit("\n", 6)[-7:-1]
    assert title == "synchronous standby"
    names = header.split()
    for number, line in (("1", first), ("2", second), ("all", total)):
        figures = dict(zip(names, line.split(), strict=True))
        assert figures["round"] == number
        assert int(figures["sms"]) > 0
        # Errors after a call are possible, as a row may be out of reach then.
        for wrong in ("early", "lost", "twice", "crossed", "open"):
            assert (wrong, figures[wrong]) == (wrong, "0")
