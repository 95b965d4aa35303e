"""What asend_otp() and averify_otp() promise to async code."""

import asyncio
import inspect
import threading
import unittest
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from django.db import connections, transaction
from django.test import TestCase
from django.utils import translation

from django_valify_otp import services
from django_valify_otp.exceptions import CodeRejected, InvalidPhoneNumber, OtpRejected
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import asend_otp, averify_otp
from django_valify_otp.signals import otp_send_settled
from tests.factories import NUMBER, make_send
from tests.scripted_server import (
    SEND_PATH,
    VERIFY_PATH,
    Answer,
    HeldAnswer,
    ScriptedServer,
    answer,
    sent,
    verified,
)

# The thread of async code has a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)
REFUSAL = answer(422, {"message": "Not today", "error_code": 17})
Work = Callable[[], Coroutine[Any, Any, Any]]
Row = OtpSend | OtpVerification
Call = Callable[[OtpSend], Coroutine[Any, Any, Row]]


def as_in_a_request(work: Work) -> Any:
    """Run it in a loop, with a thread for the database, as Django runs a request under ASGI."""

    async def run() -> Any:
        async with ThreadSensitiveContext():
            try:
                return await work()
            finally:
                await sync_to_async(connections.close_all)()

    return asyncio.run(run())


async def let_others_run() -> None:
    """Return when each task that is ready has had its turn."""
    for _ in range(5):
        await asyncio.sleep(0)


async def cancelled(task: "asyncio.Task[Any]") -> bool:
    """Wait for the end of the task, and tell whether it is that of a cancelled one."""
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("name", ["send_otp", "verify_otp"])
def test_the_same_arguments(name: str) -> None:
    of_async = getattr(services, f"a{name}")
    assert inspect.signature(of_async) == inspect.signature(getattr(services, name))
    assert inspect.iscoroutinefunction(of_async)
    assert of_async.__name__ == f"a{name}"


def test_it_sends_and_verifies(valify: ScriptedServer, user: Any) -> None:
    arguments = {"lang": "ar", "ip_address": "41.32.10.7", "purpose": "signup"}

    async def work() -> OtpVerification:
        otp_send = await asend_otp(NUMBER, user=user, idempotency_key="key", **arguments)
        again = await asend_otp(NUMBER, user=user, idempotency_key="key", **arguments)
        assert (again, again.replayed) == (otp_send, True)
        return await averify_otp(otp_send, "123456", user=user, ip_address="41.32.10.8")

    verification = as_in_a_request(work)
    [row] = OtpSend.objects.all()
    assert (row.status, row.lang, row.purpose) == ("sent", "ar", "signup")
    assert (row.user, row.ip_address) == (user, "41.32.10.7")
    assert (verification.status, verification.ip_address) == ("verified", "41.32.10.8")
    assert verification.caller == row.caller


def test_the_thread_of_the_connections(valify: ScriptedServer) -> None:
    threads: list[int] = []

    def note(**_: Any) -> None:
        threads.append(threading.get_ident())

    async def work() -> int:
        otp_send_settled.connect(note)
        try:
            await asend_otp(NUMBER)
        finally:
            otp_send_settled.disconnect(note)
        return await sync_to_async(threading.get_ident)()

    assert as_in_a_request(work) == threads[0] != threading.get_ident()


def test_the_active_language(valify: ScriptedServer) -> None:
    async def work() -> tuple[OtpSend, OtpSend]:
        with translation.override("ar"):
            arabic = await asend_otp(NUMBER)
            await averify_otp(arabic, "123456")
        return arabic, await asend_otp(NUMBER)

    arabic, english = as_in_a_request(work)
    assert (arabic.lang, english.lang) == ("ar", "en")
    assert [received.json["lang"] for received in valify.at(VERIFY_PATH)] == ["ar"]


def test_two_tasks_with_languages_of_their_own(valify: ScriptedServer) -> None:
    async def send_in(lang: str) -> str:
        with translation.override(lang):
            return (await asend_otp(NUMBER)).lang

    async def work() -> list[str]:
        return [*await asyncio.gather(send_in("ar"), send_in("en"), send_in("ar"))]

    assert as_in_a_request(work) == ["ar", "en", "ar"]


def test_errors(valify: ScriptedServer) -> None:
    valify.answer_send(REFUSAL)
    valify.answer_verify(REFUSAL)
    otp_send = make_send()

    async def work() -> None:
        with pytest.raises(InvalidPhoneNumber):
            await asend_otp("nobody")
        with pytest.raises(OtpRejected) as refused:
            await asend_otp(NUMBER)
        assert refused.value.error_code == "17"
        with pytest.raises(CodeRejected) as wrong:
            await averify_otp(otp_send, "123456")
        assert wrong.value.tries_left == 4

    as_in_a_request(work)


def send_in_a_transaction() -> None:
    with transaction.atomic():
        async_to_sync(asend_otp)(NUMBER)


def verify_in_a_transaction() -> None:
    with transaction.atomic():
        async_to_sync(averify_otp)(make_send(), "123456")


@pytest.mark.parametrize("work", [send_in_a_transaction, verify_in_a_transaction])
def test_no_transaction_may_be_open(valify: ScriptedServer, work: Callable[[], None]) -> None:
    async def in_async_code() -> None:
        await sync_to_async(work)()

    for run in (work, lambda: as_in_a_request(in_async_code)):
        with pytest.raises(RuntimeError, match=r"must not run inside transaction\.atomic"):
            run()
    assert (valify.received, OtpSend.objects.count()) == ([], 0)


class Tests(TestCase):
    """A site's own tests, which Django runs in a transaction."""

    __test__ = False

    async def test_it_sends(self) -> None:
        otp_send = await asend_otp(NUMBER)
        await averify_otp(otp_send, "123456")
        assert await OtpSend.objects.filter(verified_at=None).acount() == 0


@pytest.mark.django_db
def test_it_works_in_a_test_case(valify: ScriptedServer) -> None:
    suite = unittest.TestLoader().loadTestsFromTestCase(Tests)
    result = unittest.TextTestRunner().run(suite)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def send(_: OtpSend) -> Coroutine[Any, Any, OtpSend]:
    return asend_otp(NUMBER)


def verify(otp_send: OtpSend) -> Coroutine[Any, Any, OtpVerification]:
    return averify_otp(otp_send, "123456")


CALLS = pytest.mark.parametrize(
    ("call", "path", "success", "model"),
    [(send, SEND_PATH, sent(), OtpSend), (verify, VERIFY_PATH, verified(), OtpVerification)],
)


def status_of_newest(model: type[Row]) -> str:
    """Return the status of the newest attempt or try."""
    return str(model._default_manager.latest("pk").status)


@CALLS
def test_a_cancelled_task_waits_for_the_end(
    valify: ScriptedServer, call: Call, path: str, success: Answer, model: type[Row]
) -> None:
    otp_send = make_send()
    held = HeldAnswer(success)
    valify.answers[path] = [held]

    async def work() -> None:
        task = asyncio.create_task(call(otp_send))
        await asyncio.to_thread(held.began.wait)
        task.cancel()
        await let_others_run()
        assert not task.done()
        held.released.set()
        assert await cancelled(task)

    as_in_a_request(work)
    assert status_of_newest(model) in {"sent", "verified"}
    assert len(valify.at(path)) == 1


@CALLS
def test_a_task_that_is_cancelled_before_its_thread_is_free(
    valify: ScriptedServer, call: Call, path: str, success: Answer, model: type[Row]
) -> None:
    otp_send = make_send()
    busy = threading.Event()

    async def work() -> None:
        other = asyncio.create_task(sync_to_async(busy.wait)())
        task = asyncio.create_task(call(otp_send))
        await let_others_run()
        task.cancel()
        await let_others_run()
        busy.set()
        assert await cancelled(task)
        assert await other

    as_in_a_request(work)
    assert status_of_newest(model) in {"sent", "verified"}
    assert len(valify.at(path)) == 1


@pytest.mark.parametrize(("reply", "status"), [(sent(), "sent"), (REFUSAL, "rejected")])
def test_a_task_that_is_cancelled_twice_does_not_wait(
    valify: ScriptedServer, reply: Answer, status: str
) -> None:
    held = HeldAnswer(reply)
    valify.answer_send(held)
    complaints: list[dict[str, Any]] = []

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, seen: complaints.append(seen))
        task = asyncio.create_task(asend_otp(NUMBER))
        await asyncio.to_thread(held.began.wait)
        for _ in range(2):
            task.cancel()
            await let_others_run()
        assert await cancelled(task)
        assert not held.released.is_set()
        held.released.set()

    as_in_a_request(work)
    assert status_of_newest(OtpSend) == status
    assert complaints == []


def test_a_timeout_waits_for_the_end(valify: ScriptedServer) -> None:
    held = HeldAnswer(sent())
    valify.answer_send(held)

    async def work() -> None:
        asyncio.get_running_loop().call_later(0.05, held.released.set)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asend_otp(NUMBER), 0.01)
        assert await OtpSend.objects.aget() == await OtpSend.objects.aget(status="sent")

    as_in_a_request(work)


def test_a_loop_that_ends_lets_the_call_end(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process is stopped, which cancels all tasks and joins all threads."""
    held = HeldAnswer(sent())
    valify.answer_send(held)
    tasks = []
    threads = ThreadPoolExecutor(1)
    monkeypatch.setattr(SyncToAsync, "single_thread_executor", threads)

    async def work() -> None:
        tasks.append(asyncio.create_task(asend_otp(NUMBER)))
        await asyncio.to_thread(held.began.wait)

    asyncio.run(work())
    assert tasks[0].cancelled()
    assert status_of_newest(OtpSend) == "pending"
    held.released.set()
    threads.submit(connections.close_all)
    threads.shutdown()
    assert status_of_newest(OtpSend) == "sent"
