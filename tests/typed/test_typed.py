"""What type checkers read as a site's use of the public API also works."""

import json
import unittest
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from django.urls import resolve
from pytest_django import Settings

from django_valify_otp import exceptions, handover
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.sandbox.process import ValifySandbox
from tests.factories import NUMBER, make_send, make_try
from tests.task_queue import TASKS, KeepingBackend
from tests.typed import refused, usage

pytestmark = pytest.mark.django_db


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Return what the site's receivers saw."""
    monkeypatch.setattr(usage, "SEEN", [])
    usage.listen()
    yield usage.SEEN
    usage.listen_no_more()


def test_send_and_verify(valify_sandbox: ValifySandbox, user: User, seen: list[str]) -> None:
    otp_send = usage.send(user)
    usage.read_send(otp_send)
    [message] = valify_sandbox.inbox(NUMBER)
    assert usage.verify(otp_send, message.code, user) == NUMBER
    assert seen == ["sent", "verified"]
    assert usage.find() == [otp_send]


def test_async_views(valify_sandbox: ValifySandbox) -> None:
    request = RequestFactory().get("/")
    answered = async_to_sync(usage.send_in_a_view)(request, NUMBER)
    otp_send = OtpSend.objects.get(uuid=json.loads(answered.content)["id"])
    [message] = valify_sandbox.inbox(NUMBER)
    answered = async_to_sync(usage.verify_in_a_view)(request, otp_send, message.code)
    assert otp_send.verifications.get().token == json.loads(answered.content)["token"]


def test_blocks(user: User) -> None:
    assert usage.block(user).scope == SendBlock.Scope.USER


def test_errors() -> None:
    otp_send = make_send(error_code="17")
    wrong = exceptions.CodeRejected(verification=make_try(otp_send))
    wrong.tries_left = 4
    explained = {
        "wait 7": exceptions.SendLimitReached(retry_after=7),
        "refused 17": exceptions.OtpRejected(otp_send=otp_send),
        "wrong, 4 left": wrong,
        "outcome_unknown": exceptions.OutcomeUnknown(),
        "a bug": ImproperlyConfigured(),
    }
    assert {usage.explain(error): error for error in explained.values()} == explained
    with pytest.raises(KeyError):
        usage.explain(KeyError())


def test_the_queue(
    valify_sandbox: ValifySandbox, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKS = TASKS
    monkeypatch.setattr(KeepingBackend, "handed_over", [])
    monkeypatch.setattr(handover, "_queues", {})
    assert usage.work_off_the_queue() == 0
    assert len(KeepingBackend.handed_over) == 1


def test_what_tests_use(valify_sandbox: ValifySandbox) -> None:
    assert len(usage.with_the_fixture(valify_sandbox)) == 6
    assert valify_sandbox.inbox() == []
    assert usage.with_the_process().startswith("http://127.0.0.1:")
    suite = unittest.TestLoader().loadTestsFromTestCase(usage.SignUpTests)
    result = unittest.TextTestRunner().run(suite)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_the_classes_that_a_site_derives(settings: Settings) -> None:
    assert usage.FILTER.cleanse_setting("ID", settings.VALIFY_OTP["CLIENT_ID"]) != "tests-client-id"
    view = usage.SendViewSet.as_view({"get": "list"})
    assert view(RequestFactory().get("/")).status_code == HTTPStatus.FORBIDDEN
    assert (
        resolve("/otp/sends/", urlconf=usage.__name__).view_name
        == "django_valify_otp:otp-send-list"
    )


def test_nothing_of_what_must_be_refused_is_run() -> None:
    assert not hasattr(refused, "otp_send")
