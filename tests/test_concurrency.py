"""What holds between processes and threads, on whatever database this run has."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import limits
from django_valify_otp.exceptions import IdempotencyConflict
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock, Stripe
from django_valify_otp.retention import purge
from django_valify_otp.services import send_otp, sweep
from tests.processes import at_once, fork
from tests.scripted_server import SEND_PATH, Received, ScriptedServer, sent, silence, token
from tests.test_api import make_send

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

NUMBER = "01012345678"


def send(number: int, **arguments: Any) -> str:
    return send_otp(NUMBER, **arguments).status


@pytest.mark.parametrize(
    ("number_limits", "allowed"), [(["1/60s"], 1), (["5/1h"], 5), (["10/1h", "3/60s"], 3)]
)
def test_limits_hold_exactly(
    valify: ScriptedServer, settings: Settings, number_limits: list[str], allowed: int
) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "NUMBER_SEND_LIMITS": number_limits}
    found = Counter(at_once(send))
    assert found == {"sent": allowed, "SendLimitReached": 64 - allowed}
    assert len(valify.at(SEND_PATH)) == allowed
    assert OtpSend.objects.filter(status="sent").count() == allowed
    assert OtpSend.objects.filter(status="blocked").count() == 64 - allowed


def send_to_another_number(number: int) -> str:
    return send_otp(f"0111234{number:04}", ip_address="41.32.10.7").status


def test_limits_of_several_scopes_hold_exactly(valify: ScriptedServer, settings: Settings) -> None:
    settings.VALIFY_OTP = {
        **settings.VALIFY_OTP,
        "NUMBER_SEND_LIMITS": ["1/60s"],
        "IP_SEND_LIMITS": ["7/1h"],
        "GLOBAL_SEND_LIMITS": ["9/1h"],
    }
    found = Counter(at_once(send_to_another_number))
    assert found == {"sent": 7, "SendLimitReached": 57}
    assert len(valify.at(SEND_PATH)) == 7


def test_without_limits_everybody_sends(valify: ScriptedServer) -> None:
    assert Counter(at_once(send_to_another_number)) == {"sent": 64}
    assert OtpSend.objects.filter(status="sent").count() == 64


def post_with_one_key(number: int) -> tuple[int, str]:
    response = APIClient().post(
        "/otp/sends/",
        {"phone_number": NUMBER},
        format="json",
        headers={"Idempotency-Key": "c0ffee"},
    )
    return response.status_code, response.json()["id"]


def test_one_key_is_one_sms(valify: ScriptedServer, settings: Settings) -> None:
    open_to_all = ["rest_framework.permissions.AllowAny"]
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "PERMISSION_CLASSES": open_to_all}
    found = at_once(post_with_one_key, processes=4, threads=8)
    row = OtpSend.objects.get()
    assert {uuid for _, uuid in found} == {str(row.uuid)}
    assert {status for status, _ in found} <= {201, 409}
    assert (201, str(row.uuid)) in found
    assert len(valify.at(SEND_PATH)) == 1


def send_with_one_key(number: int) -> str:
    return str(send_otp(NUMBER, idempotency_key="c0ffee").uuid)


def test_the_constraint_alone_keeps_a_key_to_one_sms(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_lock", lambda *_args: None)
    at_once(send_with_one_key, processes=4, threads=8)
    assert OtpSend.objects.count() == 1
    assert len(valify.at(SEND_PATH)) == 1


def test_the_locks_are_made_by_many_at_once(valify: ScriptedServer, settings: Settings) -> None:
    Stripe.objects.all().delete()
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "NUMBER_SEND_LIMITS": ["1/60s"]}
    assert Counter(at_once(send_to_another_number)) == {"sent": 64}
    assert Stripe.objects.count() == Stripe.COUNT


def test_a_deadlock_is_tried_again(
    valify: ScriptedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "NUMBER_SEND_LIMITS": ["1/60s"]}
    failures = [OperationalError("deadlock")] * 2
    lock = limits._lock

    def fail_first(*args: Any) -> None:
        if failures:
            raise failures.pop()
        lock(*args)

    monkeypatch.setattr(limits, "_lock", fail_first)
    assert send_otp(NUMBER).status == "sent"
    failures.extend([OperationalError("deadlock")] * 3)
    with pytest.raises(OperationalError):
        send_otp("01112345678")
    assert OtpSend.objects.count() == 1


@pytest.mark.parametrize("key", [None, "c0ffee"])
def test_a_commit_that_was_done_is_not_done_again(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    admit_once = limits._admit_once

    def lose_the_answer(*args: Any) -> None:
        admit_once(*args)
        raise OperationalError("the connection was lost after the commit")

    monkeypatch.setattr(limits, "_admit_once", lose_the_answer)
    otp_send = send_otp(NUMBER, idempotency_key=key)
    assert (otp_send.status, otp_send.replayed) == ("sent", False)
    assert OtpSend.objects.get() == otp_send


def test_a_block_holds_in_every_process(valify: ScriptedServer) -> None:
    SendBlock.objects.create(scope="everything")
    assert Counter(at_once(send, processes=2, threads=2)) == {"SendingPaused": 4}
    assert valify.received == []


def make_overdue(**fields: Any) -> OtpSend:
    long_ago = timezone.now() - timedelta(seconds=36)
    defaults = {
        "status": "pending",
        "settled_at": None,
        "created_at": long_ago,
        "called_at": long_ago,
        "transaction_id": "",
    }
    return make_send(**{**defaults, **fields})


def sweep_at_once(_number: int) -> int:
    return sweep()


def test_sweeps_do_not_disturb_each_other() -> None:
    for _ in range(20):
        make_overdue()
    young = make_overdue(called_at=timezone.now() - timedelta(seconds=34))
    assert sum(at_once(sweep_at_once, processes=2, threads=4)) == 20
    assert OtpSend.objects.filter(status="unknown", code="outcome_unknown").count() == 20
    young.refresh_from_db()
    assert young.status == "pending"


@pytest.fixture
def killed(valify: ScriptedServer) -> Iterator[Callable[[], None]]:
    """A process that sends, and is killed in the middle of its call."""
    called = threading.Event()

    def answer_nothing(sock: Any, received: Received) -> None:
        called.set()
        silence(sock, received)

    valify.answer_send(answer_nothing)
    connections.close_all()
    child = fork.Process(target=send, args=[0], kwargs={"idempotency_key": "c0ffee"})
    child.start()
    assert called.wait(30)

    def kill() -> None:
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()

    yield kill
    child.kill()
    child.join()


def test_a_killed_process_leaves_its_row(
    valify: ScriptedServer, killed: Callable[[], None]
) -> None:
    killed()
    row = OtpSend.objects.get()
    assert (row.status, row.settled_at) == ("pending", None)
    assert sweep() == 0
    with pytest.raises(IdempotencyConflict):
        send_otp(NUMBER, idempotency_key="c0ffee")
    OtpSend.objects.update(called_at=timezone.now() - timedelta(seconds=36))
    assert sweep() == 1
    assert sweep() == 0
    row.refresh_from_db()
    assert (row.status, row.code, row.calls) == ("unknown", "outcome_unknown", 1)
    assert len(valify.at(SEND_PATH)) == 1


IDLE_ON_POSTGRESQL = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND state LIKE 'idle in transaction%'
"""
OPEN_ON_MARIADB = """
    SELECT count(*) FROM information_schema.innodb_trx t
    JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
    WHERE p.db = database() AND p.id <> connection_id()
"""
OPEN_TRANSACTIONS = {
    "postgresql": [IDLE_ON_POSTGRESQL],
    # The table is a copy, made anew if the last one is older than 0.1 seconds.
    "mysql": ["SELECT sleep(0.2)", OPEN_ON_MARIADB],
    # "database is locked" if anybody is in a transaction that has written.
    "sqlite": ["PRAGMA busy_timeout = 0", "BEGIN IMMEDIATE", "ROLLBACK", "SELECT 0"],
}


def open_transactions() -> int:
    """Transactions of other connections to this database, as it knows them itself."""
    with connection.cursor() as cursor:
        for statement in OPEN_TRANSACTIONS[connection.vendor]:
            cursor.execute(statement)
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("number_limits", [[], ["1/60s"]])
def test_no_transaction_is_open_during_a_call(
    valify: ScriptedServer, settings: Settings, number_limits: list[str]
) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "NUMBER_SEND_LIMITS": number_limits}
    found: list[int] = []

    def look(answer: Any) -> Any:
        def act(sock: Any, received: Received) -> None:
            found.append(open_transactions())
            connection.close()
            answer(sock, received)

        return act

    valify.answer_token(look(token()))
    valify.answer_send(look(sent()))
    assert send_otp(NUMBER).status == "sent"
    assert found == [0, 0]


OTHER_CONNECTIONS = {
    "postgresql": """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """,
    "mysql": """
        SELECT id FROM information_schema.processlist
        WHERE db = database() AND id <> connection_id()
    """,
    # A file has no server that could go away.
    "sqlite": "SELECT 0",
}
CUT = {
    "postgresql": "SELECT pg_terminate_backend(%s)",
    "mysql": "KILL %s",
    "sqlite": "SELECT %s",
}


def cut_other_connections() -> None:
    with connection.cursor() as cursor:
        cursor.execute(OTHER_CONNECTIONS[connection.vendor])
        for found in cursor.fetchall():
            cursor.execute(CUT[connection.vendor], found)


def test_a_database_that_went_away_during_the_call(valify: ScriptedServer) -> None:
    """And came back: the answer is on record all the same."""

    def cut_and_answer(sock: Any, received: Received) -> None:
        cut_other_connections()
        connection.close()
        sent()(sock, received)

    valify.answer_send(cut_and_answer)
    assert send_otp(NUMBER).status == "sent"
    assert OtpSend.objects.get().transaction_id == "T1"


def test_an_open_transaction_is_seen() -> None:
    found: list[int] = []

    def look() -> None:
        with suppress(OperationalError):  # "database is locked"
            found.append(open_transactions())
        connection.close()

    with transaction.atomic():
        make_send()
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == ([] if connection.vendor == "sqlite" else [1])


def purge_or_send(number: int) -> Any:
    if number % 8 == 0:
        return max([0, *(progress.sends for progress in purge(days=30))])
    return {send_otp(f"0111{number:03}{n:04}").status for n in range(5)}


def test_sends_go_on_while_two_purge(valify: ScriptedServer) -> None:
    then, count = timezone.now() - timedelta(days=40), 6000
    times = dict.fromkeys(("created_at", "settled_at"), then)
    columns = {"caller": "system", "lang": "en", "status": "failed", "phone_number": NUMBER}
    old = OtpSend.objects.bulk_create(OtpSend(**columns, **times) for _ in range(count))
    OtpVerification.objects.bulk_create(
        OtpVerification(otp_send=row, caller="system", status="rejected", **times) for row in old
    )
    found = at_once(purge_or_send, processes=4, threads=4)
    purged = [result for result in found if isinstance(result, int)]
    assert [result for result in found if not isinstance(result, int)] == [{"sent"}] * 14
    assert len(purged) == 2
    assert sum(purged) == count
    assert OtpSend.objects.filter(status="sent").count() == OtpSend.objects.count() == 70
    assert not OtpVerification.objects.exists()
