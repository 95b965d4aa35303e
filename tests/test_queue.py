"""Attempts that wait for a worker: whatever the queue does, each is sent once or not at all."""

import importlib
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import CheckMessage, run_checks
from django.core.management import CommandError, call_command
from django.db import OperationalError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import handover, services, tasks
from django_valify_otp.checks import check_queue
from django_valify_otp.conf import TASK_PATH
from django_valify_otp.exceptions import (
    IdempotencyConflict,
    QueueExpired,
    SendForbidden,
    SendLimitReached,
)
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.services import enqueue_otp, hand_over_queued, send_otp, send_queued, sweep
from django_valify_otp.settlement import settle, settle_as_blocked, settle_if_overdue
from django_valify_otp.signals import otp_send_settled
from django_valify_otp.valify.answers import expired
from tests.clock import Clock
from tests.configuration import Configure
from tests.factories import NUMBER, client_of, make_send
from tests.processes import at_once
from tests.scripted_server import SEND_PATH, ScriptedServer, answer, hang_up
from tests.task_queue import TASKS, KeepingBackend

pytestmark = pytest.mark.django_db

OTHER = "01112345678"
KEY = "c0ffee"


@pytest.fixture(autouse=True)
def queue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[KeepingBackend]:
    """The task queue, which is empty and up."""
    settings.TASKS = TASKS
    monkeypatch.setattr(KeepingBackend, "handed_over", [])
    monkeypatch.setattr(KeepingBackend, "tries", [])
    monkeypatch.setattr(handover, "_queues", {})
    return KeepingBackend


@pytest.fixture
def background(valify: ScriptedServer, configure: Configure) -> ScriptedServer:
    """A site whose endpoints leave the sending to workers."""
    configure(SEND_IN_BACKGROUND=True)
    return valify


@pytest.fixture
def settled() -> Iterator[list[OtpSend]]:
    """The rows whose end was announced."""
    rows: list[OtpSend] = []

    def receive(otp_send: OtpSend, **_others: object) -> None:
        rows.append(otp_send)

    otp_send_settled.connect(receive)
    yield rows
    otp_send_settled.disconnect(receive)


def make_queued(**fields: Any) -> OtpSend:
    """Make an attempt that waits for a worker since a moment ago."""
    now = timezone.now()
    defaults = {
        "status": "queued",
        "called_at": None,
        "settled_at": None,
        "transaction_id": "",
        "created_at": now,
        "handed_over_at": now,
    }
    return make_send(**{**defaults, **fields})


def work(queue: type[KeepingBackend]) -> None:
    """Do what a worker does with all that it was given."""
    for pk in queue.handed_over:
        import_string(TASK_PATH).call(pk)


def test_a_queued_attempt_is_a_row_before_it_is_a_task(
    valify: ScriptedServer, queue: type[KeepingBackend]
) -> None:
    otp_send = enqueue_otp(NUMBER, purpose="signup")
    assert (otp_send.status, otp_send.calls, otp_send.called_at) == ("queued", 0, None)
    assert otp_send.handed_over_at == otp_send.created_at
    assert queue.handed_over == [otp_send.pk]
    assert not valify.at(SEND_PATH)


def test_a_worker_sends_it(
    valify: ScriptedServer, queue: type[KeepingBackend], settled: list[OtpSend]
) -> None:
    otp_send = enqueue_otp(NUMBER, lang="ar")
    assert settled == []
    work(queue)
    otp_send.refresh_from_db()
    assert (otp_send.status, otp_send.transaction_id, otp_send.calls) == ("sent", "T1", 1)
    assert otp_send.called_at
    assert otp_send.called_at >= otp_send.created_at
    assert valify.at(SEND_PATH)[0].json["phone_number"].endswith(NUMBER[1:])
    assert settled == [otp_send]


def test_ten_deliveries_make_one_call(
    valify: ScriptedServer, queue: type[KeepingBackend], settled: list[OtpSend]
) -> None:
    otp_send = enqueue_otp(NUMBER)
    queue.handed_over *= 10
    work(queue)
    assert len(valify.at(SEND_PATH)) == 1
    assert settled == [otp_send]


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_make_one_call(valify: ScriptedServer) -> None:
    pk = make_queued().pk
    at_once(lambda _number: send_queued(pk), processes=2, threads=4)
    assert len(valify.at(SEND_PATH)) == 1
    assert OtpSend.objects.get().status == "sent"


@pytest.mark.parametrize("status", ["sent", "rejected", "failed", "unknown", "blocked"])
def test_a_late_delivery_of_a_settled_attempt_does_nothing(
    valify: ScriptedServer, status: str, settled: list[OtpSend]
) -> None:
    otp_send = make_send(status=status)
    send_queued(otp_send.pk)
    send_queued(otp_send.pk + 1)
    assert not valify.at(SEND_PATH)
    assert settled == []


def test_an_attempt_that_waited_too_long_is_not_sent(
    valify: ScriptedServer, settled: list[OtpSend]
) -> None:
    otp_send = make_queued(created_at=timezone.now() - timedelta(seconds=121))
    send_queued(otp_send.pk)
    otp_send.refresh_from_db()
    assert (otp_send.status, otp_send.code, otp_send.calls) == ("failed", "queue_expired", 0)
    assert otp_send.reason == "too long in the queue"
    assert settled == [otp_send]
    assert not valify.at(SEND_PATH)


def test_a_block_stops_what_is_queued_and_a_limit_does_not(
    valify: ScriptedServer,
    queue: type[KeepingBackend],
    configure: Configure,
    settled: list[OtpSend],
) -> None:
    blocked, limited = enqueue_otp(NUMBER), enqueue_otp(OTHER)
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    configure(GLOBAL_SEND_LIMITS=["1/1d"])
    work(queue)
    blocked.refresh_from_db()
    limited.refresh_from_db()
    assert (blocked.status, blocked.code) == ("blocked", "send_forbidden")
    assert (blocked.blocked_by, blocked.called_at) == (f"SendBlock {block.pk}", None)
    assert limited.status == "sent"
    assert settled == [blocked, limited]


def test_limits_and_blocks_refuse_before_the_queue(
    valify: ScriptedServer, queue: type[KeepingBackend], configure: Configure
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    enqueue_otp(NUMBER)
    with pytest.raises(SendLimitReached) as reached:
        enqueue_otp(NUMBER)
    assert reached.value.retry_after == 60
    SendBlock.objects.create(scope="everything")
    with pytest.raises(SendForbidden):
        enqueue_otp(OTHER)
    assert len(queue.handed_over) == 1
    assert {row.handed_over_at for row in OtpSend.objects.filter(status="blocked")} == {None}


def test_what_a_worker_cannot_send_is_on_the_row(
    valify: ScriptedServer, queue: type[KeepingBackend]
) -> None:
    valify.answer_send(answer(422, {"message": "no", "error_code": "7"}), hang_up)
    rows = [enqueue_otp(NUMBER), enqueue_otp(OTHER)]
    work(queue)
    assert [OtpSend.objects.get(pk=row.pk).code for row in rows] == ["rejected", "outcome_unknown"]


def test_a_worker_without_a_database_leaves_the_attempt_in_the_queue(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    otp_send = make_queued()

    def fail(*_args: object) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(OtpSend, "claim", fail)
    send_queued(otp_send.pk)
    assert f"otp_send pk={otp_send.pk}: a worker could not send it: OperationalError" in caplog.text
    assert OtpSend.objects.get().status == "queued"


def test_a_claimed_attempt_is_not_settled_as_expired(valify: ScriptedServer) -> None:
    """A sweep that read the row before a worker took it."""
    otp_send = make_queued()
    stale = OtpSend.objects.get()
    assert otp_send.claim(timezone.now())
    assert not stale.claim(timezone.now())
    assert not settle(stale, expired(), at=timezone.now())
    assert OtpSend.objects.get().status == "pending"


def test_a_broker_that_is_down_loses_nothing(
    background: ScriptedServer,
    queue: type[KeepingBackend],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    user: User,
    clock: Clock,
) -> None:
    monkeypatch.setattr(time, "monotonic", clock.monotonic)
    monkeypatch.setattr(queue, "is_down", True)
    caplog.set_level(logging.INFO)
    api = client_of(user)
    answers = [post(api, phone_number=number) for number in (NUMBER, OTHER, NUMBER)]
    assert [response.status_code for response in answers] == [202] * 3
    # The others left it alone.
    assert len(queue.tries) == 1
    assert caplog.text.count("the task queue does not take attempts (BrokerDown)") == 1
    assert "hunter2" not in caplog.text
    monkeypatch.setattr(queue, "is_down", False)
    assert hand_over_queued() == 0
    clock.pass_seconds(10)
    assert hand_over_queued() == 3
    work(queue)
    assert set(OtpSend.objects.values_list("status", flat=True)) == {"sent"}


def test_who_waits_for_another_thread_waits_for_half_a_second_only(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, queue: type[KeepingBackend]
) -> None:
    monkeypatch.setattr(handover, "WAIT_SECONDS", 0.01)
    own = handover._queue_of_process()
    with own.lock:
        otp_send = enqueue_otp(NUMBER)
    assert (otp_send.status, queue.tries) == ("queued", [])


def test_a_queued_attempt_is_handed_over_again_after_10_20_and_40_seconds(
    valify: ScriptedServer, queue: type[KeepingBackend], clock: Clock
) -> None:
    otp_send = enqueue_otp(NUMBER)
    again = []
    for second in range(1, 120):
        clock.pass_seconds(1)
        if hand_over_queued():
            again.append(second)
    assert again == [10, 30, 70]
    assert queue.handed_over == [otp_send.pk] * 4


def test_two_sweeps_note_one_handover(valify: ScriptedServer) -> None:
    make_queued(created_at=timezone.now() - timedelta(seconds=11))
    first, second = OtpSend.objects.get(), OtpSend.objects.get()
    first.handed_over_at = second.handed_over_at = OtpSend.objects.get().handed_over_at
    assert first.note_handover(timezone.now())
    assert not second.note_handover(timezone.now())


def test_the_sweep_settles_what_is_too_old(
    valify: ScriptedServer, queue: type[KeepingBackend], clock: Clock
) -> None:
    otp_send = enqueue_otp(NUMBER)
    clock.pass_seconds(121)
    assert sweep() == 1
    otp_send.refresh_from_db()
    assert otp_send.code == "queue_expired"
    assert hand_over_queued() == 0


def test_whoever_looks_at_an_expired_attempt_settles_it(
    background: ScriptedServer, clock: Clock, user: User
) -> None:
    api = client_of(user)
    first = post(api)
    clock.pass_seconds(121)
    shown = api.get(first.headers["Location"]).json()
    assert (shown["status"], shown["code"]) == ("failed", "queue_expired")
    assert shown["detail"] == "The code could not be sent in time. Please ask for another."


def post(api: APIClient, **body: Any) -> Any:
    key = body.pop("key", None)
    headers = {"Idempotency-Key": key} if key else {}
    data = {"phone_number": NUMBER, **body}
    return api.post("/otp/sends/", data, format="json", headers=headers)


def test_the_endpoint_answers_202_and_says_where_to_look(
    background: ScriptedServer, queue: type[KeepingBackend], api: APIClient
) -> None:
    response = post(api)
    assert response.status_code == 202
    body = response.json()
    assert (body["status"], body["code"], body["transaction_id"]) == ("queued", None, None)
    assert response.headers["Location"] == f"http://testserver/otp/sends/{body['id']}/"
    work(queue)
    assert api.get(response.headers["Location"]).json()["status"] == "sent"


def test_a_repeated_request_gets_202_again_whatever_came_of_it(
    background: ScriptedServer, queue: type[KeepingBackend], api: APIClient
) -> None:
    background.answer_send(hang_up)
    first, second = post(api, key=KEY), post(api, key=KEY)
    work(queue)
    third = post(api, key=KEY)
    assert {response.status_code for response in (first, second, third)} == {202}
    assert [response.json()["status"] for response in (first, second, third)] == [
        "queued",
        "queued",
        "unknown",
    ]
    assert third.headers["Idempotency-Replayed"] == "true"
    assert third.headers["Location"] == first.headers["Location"]
    assert post(api, key=KEY, phone_number=OTHER).status_code == 409
    assert len(queue.handed_over) == 1


def test_a_repeated_request_after_the_queue_has_expired(
    valify: ScriptedServer, clock: Clock
) -> None:
    first = enqueue_otp(NUMBER, idempotency_key=KEY)
    clock.pass_seconds(121)
    with pytest.raises(QueueExpired) as caught:
        enqueue_otp(NUMBER, idempotency_key=KEY)
    assert caught.value.otp_send == first
    assert enqueue_otp(NUMBER, idempotency_key=KEY) != first


def test_a_send_that_must_be_done_now_is_not_answered_by_a_queued_one(
    valify: ScriptedServer, queue: type[KeepingBackend]
) -> None:
    queued = enqueue_otp(NUMBER, idempotency_key=KEY)
    with pytest.raises(IdempotencyConflict) as caught:
        send_otp(NUMBER, idempotency_key=KEY)
    assert caught.value.otp_send == queued
    work(queue)
    assert send_otp(NUMBER, idempotency_key=KEY) == queued


def test_a_queued_send_is_answered_by_one_that_was_sent_at_once(valify: ScriptedServer) -> None:
    sent = send_otp(NUMBER, idempotency_key=KEY)
    assert enqueue_otp(NUMBER, idempotency_key=KEY) == sent


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_nothing_is_queued(valify: ScriptedServer) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match=r"enqueue_otp\(\) must not run"):
        enqueue_otp(NUMBER)
    assert not OtpSend.objects.exists()


def messages_of(configure: Configure) -> list[CheckMessage]:
    """What the checks say of the queue."""
    configure(SEND_IN_BACKGROUND=True)
    ids = {"django_valify_otp.E007", "django_valify_otp.W008", "django_valify_otp.W009"}
    found = run_checks(databases=["default"])
    return [message for message in found if message.id in ids]


def test_a_queue_with_workers_passes_the_checks(configure: Configure) -> None:
    assert messages_of(configure) == []


OWN = "tests.task_queue.KeepingBackend"


@pytest.mark.parametrize(
    ("site", "queue_name", "alias"),
    [
        ({"default": {"BACKEND": OWN}}, "default", "default"),
        ({"default": {"BACKEND": OWN, "QUEUES": ["b", "a"]}}, "a", "default"),
        ({"default": {"BACKEND": OWN, "QUEUES": []}}, "default", "default"),
        ({"default": {"BACKEND": OWN}, "valify_otp": {"BACKEND": OWN}}, "default", "valify_otp"),
        ({"valify_otp": {"BACKEND": OWN, "QUEUES": ["sms"]}}, "sms", "valify_otp"),
    ],
)
def test_the_task_fits_any_site(
    settings: Settings, site: dict[str, Any], queue_name: str, alias: str
) -> None:
    settings.TASKS = site
    task = import_string(TASK_PATH)
    assert (task.queue_name, task.backend) == (queue_name, alias)
    assert task.module_path == TASK_PATH


@pytest.mark.parametrize(
    ("site", "reason"),
    [
        ({"other": {"BACKEND": OWN}}, "default"),
        ({"default": {"BACKEND": "nowhere.Backend"}}, "nowhere"),
    ],
)
def test_a_site_without_a_queue_is_told_so_if_it_wants_one(
    settings: Settings, configure: Configure, site: dict[str, Any], reason: str
) -> None:
    settings.TASKS = site
    # Alone: Django's own check raises, where the backend cannot be imported.
    assert check_queue(None) == []
    configure(SEND_IN_BACKGROUND=True)
    [error] = check_queue(None)
    assert error.id == "django_valify_otp.E007"
    assert "SEND_IN_BACKGROUND needs a task queue" in error.msg
    assert reason in error.msg
    assert "TASKS['valify_otp']" in str(error.hint)


@pytest.mark.parametrize("name", ["immediate.ImmediateBackend", "dummy.DummyBackend"])
def test_a_queue_without_workers_is_warned_of(
    settings: Settings, configure: Configure, name: str
) -> None:
    settings.TASKS = {"default": {"BACKEND": f"{tasks.FRAMEWORK}.backends.{name}"}}
    [warning] = messages_of(configure)
    assert warning.id == "django_valify_otp.W008"
    assert name.rpartition(".")[2] in warning.msg


def test_a_queue_that_lacks_its_app_is_an_error(settings: Settings, configure: Configure) -> None:
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
    [error] = messages_of(configure)
    assert error.id == "django_valify_otp.E007"
    assert "Insert 'django_tasks_db' in INSTALLED_APPS" in error.msg


@pytest.mark.parametrize("pause", ["0", "-1", "0.5", "nan", "1e9", "soon"])
def test_a_loop_needs_a_pause(pause: str) -> None:
    with pytest.raises(CommandError, match="give seconds, from 1 to 3600"):
        call_command("valify_sweep", f"--loop={pause}")


def test_a_queue_that_nobody_sweeps_is_warned_of(configure: Configure) -> None:
    make_queued(created_at=timezone.now() - timedelta(seconds=179))
    assert messages_of(configure) == []
    make_queued(created_at=timezone.now() - timedelta(seconds=181))
    [warning] = messages_of(configure)
    assert warning.id == "django_valify_otp.W009"
    assert "valify_sweep" in str(warning.hint)


def test_the_module_of_the_task_has_no_other_surprise() -> None:
    with pytest.raises(AttributeError):
        _ = tasks.send_something_else


def test_a_worker_that_imports_the_module_has_the_task(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's take no other tasks."""
    made = []
    make = KeepingBackend.task_class.__post_init__

    def make_and_note(self: Any) -> None:
        made.append(self.module_path)
        make(self)

    monkeypatch.setattr(KeepingBackend.task_class, "__post_init__", make_and_note)
    importlib.reload(tasks)
    assert made == [TASK_PATH]
    settings.TASKS = {"other": {"BACKEND": OWN}}
    importlib.reload(tasks)
    assert made == [TASK_PATH]


def test_nobody_waits_for_another_thread_that_imports_the_engine(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, queue: type[KeepingBackend]
) -> None:
    own = handover._queue_of_process()
    is_locked = []

    def find_task(path: str) -> Any:
        is_locked.append(own.lock.locked())
        return import_string(path)

    monkeypatch.setattr(handover, "import_string", find_task)
    otp_send = enqueue_otp(NUMBER)
    assert is_locked == [False]
    assert queue.handed_over == [otp_send.pk]


def test_a_site_without_a_queue_leaves_its_attempts_to_the_sweep(
    valify: ScriptedServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TASKS = {"other": {"BACKEND": OWN}}
    assert enqueue_otp(NUMBER).status == "queued"
    assert "the task queue does not take attempts (InvalidTaskBackend" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_sweep_in_a_loop_outlives_the_database(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [OperationalError("gone")]
    pauses: list[float] = []

    def sweep_once() -> int:
        if errors:
            raise errors.pop()
        return 3

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    command = "django_valify_otp.management.commands.valify_sweep"
    monkeypatch.setattr(f"{command}.sweep", sweep_once)
    monkeypatch.setattr(f"{command}.time.sleep", pause)
    out, err = StringIO(), StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("valify_sweep", "--loop", "10", stdout=out, stderr=err)
    assert err.getvalue() == "OperationalError: the next sweep will try again\n"
    assert out.getvalue() == "settled: 3\nhanded over: 0\ndays totalled: 0\n"
    assert pauses == [10, 10]


def test_a_row_that_is_not_queued_is_not_handed_over(valify: ScriptedServer) -> None:
    otp_send = make_send(handed_over_at=timezone.now() - timedelta(hours=1))
    assert not otp_send.is_due_for_handover(timezone.now())
    settle_if_overdue(otp_send)
    assert otp_send.status == "sent"
    assert services.hand_over_queued() == 0


def test_a_block_comes_too_late_for_an_attempt_that_is_settled(settled: list[OtpSend]) -> None:
    otp_send = make_send()
    settle_as_blocked(otp_send, code="send_forbidden", blocked_by="SendBlock 1", at=timezone.now())
    assert (otp_send.status, otp_send.blocked_by, settled) == ("sent", "", [])
