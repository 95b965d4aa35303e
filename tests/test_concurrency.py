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
from rest_framework.test import APIClient

from django_valify_otp import admission, limit_locks, tallies
from django_valify_otp.audit.retention import purge
from django_valify_otp.exceptions import IdempotencyConflict, SiteBusy
from django_valify_otp.limits import Scope
from django_valify_otp.models import LimitLock, LimitTally, OtpSend, OtpVerification, SendBlock
from django_valify_otp.services import send_otp, sweep
from tests.configuration import Configure
from tests.crowds import (
    check_tallies,
    everything,
    extend,
    make_attempts,
    of_address,
    recount,
    seconds_before,
)
from tests.databases import cut_other_connections, lose_answers_of_commits, open_transactions
from tests.factories import NUMBER, make_overdue, make_send
from tests.processes import CALLERS, MANY_PROCESSES, at_once, fork
from tests.scripted_server import SEND_PATH, Received, ScriptedServer, sent, silence, token

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]


def send(number: int, **arguments: Any) -> str:
    return send_otp(NUMBER, **arguments).status


@pytest.mark.parametrize(
    ("number_limits", "allowed"), [(["1/60s"], 1), (["5/1h"], 5), (["10/1h", "3/60s"], 3)]
)
def test_limits_hold_exactly(
    valify: ScriptedServer, configure: Configure, number_limits: list[str], allowed: int
) -> None:
    configure(NUMBER_SEND_LIMITS=number_limits)
    found = Counter(at_once(send))
    assert found == {"sent": allowed, "SendLimitReached": CALLERS - allowed}
    assert len(valify.at(SEND_PATH)) == allowed
    assert OtpSend.objects.filter(status="sent").count() == allowed
    assert OtpSend.objects.filter(status="blocked").count() == CALLERS - allowed


def send_to_another_number(number: int) -> str:
    return send_otp(f"0111234{number:04}", ip_address="41.32.10.7").status


def test_limits_of_several_scopes_hold_exactly(
    valify: ScriptedServer, configure: Configure
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"], IP_SEND_LIMITS=["7/1h"], GLOBAL_SEND_LIMITS=["9/1h"])
    found = Counter(at_once(send_to_another_number))
    assert found == {"sent": 7, "SendLimitReached": CALLERS - 7}
    assert len(valify.at(SEND_PATH)) == 7


@pytest.mark.parametrize("scope", [everything("1000/1h"), of_address("1000/1h")])
def test_the_last_places_of_a_crowded_limit_are_given_once(
    valify: ScriptedServer, configure: Configure, scope: Scope
) -> None:
    configure(**{scope.key: ["1000/1h"]})
    limit_locks.make("default")
    now = timezone.now()
    make_attempts(seconds_before(now, 990))
    extend(scope, now=now)
    assert Counter(at_once(send_to_another_number)) == {
        "sent": 10,
        "SendLimitReached": CALLERS - 10,
    }
    assert len(valify.at(SEND_PATH)) == 10
    check_tallies(scope, now)
    assert recount(scope, now - timedelta(hours=1)) == 1000


def extend_twice(_number: int) -> str:
    for _ in range(2):
        extend(everything("1000/1h"), now=timezone.now())
    return "extended"


def test_many_make_tallies_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "STEP", 20)
    limit_locks.make("default")
    now = timezone.now()
    moments = seconds_before(now, 3000)
    make_attempts(moments[:1500])
    extend(everything("1000/1h"), now=now)
    make_attempts(moments[1500:])
    assert Counter(at_once(extend_twice, threads=4)) == {"extended": 16}
    assert LimitTally.objects.count() == 1 + 3000 // 20
    check_tallies(everything("1000/1h"), now)


def test_without_limits_everybody_sends(valify: ScriptedServer) -> None:
    assert Counter(at_once(send_to_another_number)) == {"sent": CALLERS}
    assert OtpSend.objects.filter(status="sent").count() == CALLERS


def post_with_one_key(number: int) -> tuple[int, str]:
    response = APIClient().post(
        "/otp/sends/",
        {"phone_number": NUMBER},
        format="json",
        headers={"Idempotency-Key": "c0ffee"},
    )
    return response.status_code, response.json()["id"]


def test_one_key_is_one_sms(valify: ScriptedServer, configure: Configure) -> None:
    open_to_all = ["rest_framework.permissions.AllowAny"]
    configure(PERMISSION_CLASSES=open_to_all)
    answers = at_once(post_with_one_key, processes=4, threads=8)
    # On a machine that is busy, some may be told so: for them, nothing was sent.
    found = [(status, uuid) for status, uuid in answers if status != 503]
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
    monkeypatch.setattr(admission, "_lock_keys", lambda *_args: set())
    at_once(send_with_one_key, processes=4, threads=8)
    assert OtpSend.objects.count() == 1
    assert len(valify.at(SEND_PATH)) == 1


def test_the_locks_are_made_by_many_at_once(valify: ScriptedServer, configure: Configure) -> None:
    LimitLock.objects.all().delete()
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    assert Counter(at_once(send_to_another_number)) == {"sent": CALLERS}
    assert LimitLock.objects.count() == LimitLock.COUNT


def test_a_deadlock_is_tried_again(
    valify: ScriptedServer, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    failures = [OperationalError("deadlock")] * 2
    lock = limit_locks.statement

    def fail_first(*args: Any) -> str:
        if failures:
            raise failures.pop()
        return lock(*args)

    monkeypatch.setattr(limit_locks, "statement", fail_first)
    assert send_otp(NUMBER).status == "sent"
    failures.extend([OperationalError("deadlock")] * 3)
    with pytest.raises(SiteBusy):
        send_otp("01112345678")
    assert OtpSend.objects.count() == 1


@pytest.mark.parametrize("key", [None, "c0ffee"])
def test_a_commit_that_was_done_is_not_done_again(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    lose_answers_of_commits(monkeypatch)
    otp_send = send_otp(NUMBER, idempotency_key=key)
    assert (otp_send.status, otp_send.replayed) == ("sent", False)
    assert OtpSend.objects.get() == otp_send


def test_a_block_holds_in_every_process(valify: ScriptedServer) -> None:
    SendBlock.objects.create(scope="everything")
    assert Counter(at_once(send, processes=2, threads=2)) == {"SendingPaused": 4}
    assert valify.received == []


def sweep_at_once(_number: int) -> int:
    return sweep()


def test_sweeps_do_not_disturb_each_other() -> None:
    for _ in range(20):
        make_overdue()
    # By far, as on a busy machine this takes seconds.
    young = make_overdue(called_at=timezone.now())
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


@pytest.mark.parametrize("number_limits", [[], ["1/60s"]])
def test_no_transaction_is_open_during_a_call(
    valify: ScriptedServer, configure: Configure, number_limits: list[str]
) -> None:
    configure(NUMBER_SEND_LIMITS=number_limits)
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
