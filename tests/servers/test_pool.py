"""With psycopg's pool, while the server ends connections."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp, verify_otp
from tests.databases import OTHERS_ON_POSTGRESQL
from tests.factories import make_send
from tests.processes import MANY_PROCESSES, at_once
from tests.scripted_server import Received, ScriptedServer, sent, verified
from tests.servers.companion import companion
from tests.stress.scenario import SEED, Scenario, compare, sweep_everything

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

NUMBER = "01012345678"


def use_pool(monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Have the connections that are yet to be opened come from a pool."""
    pooled = {**connection.settings_dict, "CONN_MAX_AGE": 0, "OPTIONS": {"pool": options}}
    monkeypatch.setitem(connections.settings, "default", pooled)


def end_some(ended: Any) -> None:
    """End one connection of others, and at times all."""
    with connection.cursor() as cursor:
        cursor.execute(OTHERS_ON_POSTGRESQL)
        pids = [pid for (pid,) in cursor.fetchall()]
        chosen = pids if random.random() < 0.05 else random.sample(pids, min(1, len(pids)))
        for pid in chosen:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    ended.wait(0.03)


def test_stress(limited: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario.prepare(limited)
    random.seed(SEED)
    with companion(end_some):
        use_pool(monkeypatch, min_size=2, max_size=8)
        found = scenario.run(processes=1, threads=16)
    sweep_everything()
    compare(scenario, found, are_cut=True)


Blink = Callable[[], None]


@pytest.fixture
def blink() -> Blink:
    """End every connection but the one that asks for it, past the pool."""
    copy = connection.copy

    def end_all() -> None:
        direct = copy()
        with direct.cursor() as cursor:
            others = f"({OTHERS_ON_POSTGRESQL}) AS others"
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM {others}")
        direct.close()

    return end_all


def fill_pool() -> None:
    connection.ensure_connection()
    connection.close()
    pool: Any = connection
    pool.pool.wait()


SIZES = pytest.mark.parametrize("size", [2, 4, 8])


@SIZES
def test_a_blink_during_a_call_loses_no_answer(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, blink: Blink, size: int
) -> None:
    def blink_and_answer(sock: Any, received: Received) -> None:
        blink()
        sent()(sock, received)

    def send(number: int) -> str:
        fill_pool()
        return send_otp(NUMBER).status

    valify.answer_send(blink_and_answer)
    use_pool(monkeypatch, min_size=size, max_size=size)
    assert at_once(send, processes=1, threads=1) == ["sent"]
    assert OtpSend.objects.get().transaction_id == "T1"


@SIZES
def test_a_blink_during_a_guess_loses_no_answer(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, blink: Blink, size: int
) -> None:
    def blink_and_answer(sock: Any, received: Received) -> None:
        blink()
        verified()(sock, received)

    def guess(number: int) -> str:
        fill_pool()
        return verify_otp(OtpSend.objects.get(), "482913").status

    make_send()
    valify.answer_verify(blink_and_answer)
    use_pool(monkeypatch, min_size=size, max_size=size)
    assert at_once(guess, processes=1, threads=1) == ["verified"]
    assert OtpSend.objects.get().verified_at


@SIZES
def test_a_blink_before_an_attempt_does_not_stop_it(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, blink: Blink, size: int
) -> None:
    def attempt(number: int) -> tuple[str, str]:
        otp_send = OtpSend.objects.get()
        connection.close()
        fill_pool()
        blink()
        status = send_otp(NUMBER).status
        connection.close()
        fill_pool()
        blink()
        return status, verify_otp(otp_send, "482913").status

    make_send()
    use_pool(monkeypatch, min_size=size, max_size=size)
    assert at_once(attempt, processes=1, threads=1) == [("sent", "verified")]
