"""No secret and no whole number where people and machines look when something went wrong."""

import re
import sys
import traceback
from contextlib import suppress
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest
from django.utils import timezone
from django.views.debug import ExceptionReporter
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import limits, services, tries
from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.phone_numbers import ascii_digits
from django_valify_otp.services import send_otp, verify_otp
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up, sent, token
from tests.test_api import make_send

NUMBER = "01012345678"
TOKEN = "token-that-nobody-may-see"
SECRETS = (
    TOKEN,
    "tests-bundle-key",
    "tests-password",
    "tests-client-secret",
    NUMBER,
    NUMBER[1:],
)


def assert_clean(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text]


def assert_exception_clean(error: BaseException) -> None:
    assert error.__cause__ is error.__context__ is None
    assert_clean(f"{error} {error!r} {error.args!r}")
    assert_clean("".join(traceback.format_exception(error)))


ECHO = {"message": f"{SECRETS}", "error_code": f"{SECRETS}", "transaction_id": TOKEN}
ANSWERS: dict[str, Answer] = {
    "sent to a token": answer(200, {"result": {"success": True}, **ECHO}),
    "rejected": answer(422, ECHO),
    "bad request": answer(400, ECHO),
    "forbidden": answer(403, ECHO),
    "busy": answer(429, ECHO),
    "error": answer(500, ECHO),
    "closed": hang_up,
    "redirect": answer(302, ECHO, {"Location": f"http://127.0.0.1/{TOKEN}"}),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", ANSWERS)
def test_exceptions_and_rows(valify: ScriptedServer, name: str) -> None:
    valify.answer_token(token(TOKEN))
    valify.answer_send(ANSWERS[name])
    with pytest.raises(ValifyOtpError) as caught:
        send_otp(NUMBER)
    assert_exception_clean(caught.value)
    row = OtpSend.objects.get()
    columns = {field.attname: getattr(row, field.attname) for field in row._meta.fields}
    assert columns.pop("phone_number") == NUMBER
    assert_clean(f"{columns}")


@pytest.mark.django_db
def test_exceptions_of_a_token_call_that_echoes(valify: ScriptedServer) -> None:
    valify.answer_token(answer(400, {"error": "x", "error_description": f"{SECRETS[1:4]}"}))
    with pytest.raises(ValifyOtpError) as caught:
        send_otp(NUMBER)
    assert_exception_clean(caught.value)
    assert_clean(OtpSend.objects.get().valify_message)


@pytest.mark.django_db
def test_a_refused_token_is_a_secret_still(valify: ScriptedServer) -> None:
    valify.answer_token(token(TOKEN), token("another-token-of-ours"))
    forbidden = answer(403, {"message": "Forbidden"})
    valify.answer_send(forbidden, answer(422, {"message": f"{TOKEN} another-token-of-ours"}))
    with pytest.raises(ValifyOtpError):
        send_otp(NUMBER)
    assert OtpSend.objects.get().valify_message == "*** ***"
    valify.answer_token(answer(400, {"error": "another-token-of-ours is gone"}))
    valify.answer_send(forbidden)
    with pytest.raises(ValifyOtpError):
        send_otp(NUMBER)
    assert OtpSend.objects.latest("pk").valify_message == "*** is gone"


SPELLINGS = ("482913", "482 913", "4-8-2-9-1-3", "٤٨٢٩١٣", "code:482913.", "T482913T")


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_code_that_valify_repeats_is_on_no_record(valify: ScriptedServer, spelling: str) -> None:
    echo = {"message": f"{SECRETS} {spelling}", "error_code": spelling, "otp": spelling}
    valify.answer_token(token(TOKEN))
    valify.answer_verify(answer(422, echo))
    with pytest.raises(ValifyOtpError) as caught:
        verify_otp(make_send(), "482913")
    assert_exception_clean(caught.value)
    row = OtpVerification.objects.get()
    columns = {field.attname: getattr(row, field.attname) for field in row._meta.fields}
    assert_clean(f"{columns}")
    kept = f"{row.valify_message} {row.error_code} {caught.value!r} {caught.value.args}"
    assert "482913" not in re.sub(r"\D", "", ascii_digits(kept))


SAYS_THE_CODE = {
    "sent": (sent(message="Your code is 482-913", error_code="٤٨٢٩١٣"), "Your code is ***", "***"),
    "unknown": (
        answer(500, {"message": "482913: 01012345678"}),
        "***",
        "",
    ),
    "rejected": (answer(422, {"message": "Case 482913"}), "Case 482913", ""),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", SAYS_THE_CODE)
def test_a_code_that_valify_tells_us_is_on_no_record(valify: ScriptedServer, name: str) -> None:
    given, message, error_code = SAYS_THE_CODE[name]
    valify.answer_send(given)
    with suppress(ValifyOtpError):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.valify_message, row.error_code) == (name, message, error_code)


def assert_no_code_in_our_frames(error: BaseException) -> None:
    ours = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "/django_valify_otp/" in frame.f_code.co_filename
    ]
    assert ours
    assert "482913" not in repr(ours)


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["admit", "settle"])
def test_tracebacks_of_a_try_hold_no_code(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def fail(*_args: Any, **_fields: Any) -> None:
        raise IntegrityError(f"Failing row contains ({NUMBER})")

    monkeypatch.setattr(
        *{"admit": (tries, "admit"), "settle": (OtpVerification, "settle")}[stage], fail
    )
    with pytest.raises(IntegrityError) as caught:
        verify_otp(make_send(), "482913")
    assert_exception_clean(caught.value)
    assert_no_code_in_our_frames(caught.value)


@pytest.mark.django_db
def test_a_refused_try_holds_no_code(valify: ScriptedServer) -> None:
    with pytest.raises(ValifyOtpError) as caught:
        verify_otp(make_send(verified_at=timezone.now()), "482913")
    assert_no_code_in_our_frames(caught.value)


def fail_to_settle(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(_row: OtpSend, **fields: Any) -> bool:
        params = (*fields.values(), NUMBER)
        assert params
        raise error

    monkeypatch.setattr(OtpSend, "settle", fail)


def fail_to_admit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(request: Any, *_args: Any, **_kwargs: Any) -> None:
        params = (request.phone_number, NUMBER)
        assert params
        raise error

    monkeypatch.setattr(limits, "admit", fail)


FAILURES = [
    OperationalError("server closed the connection"),
    DataError(f"value too long: {NUMBER}"),
    IntegrityError(f"Failing row contains ({NUMBER})"),
]


@pytest.mark.django_db
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("fail", [fail_to_admit, fail_to_settle])
@pytest.mark.parametrize("error", FAILURES)
def test_error_pages_and_mails(
    valify: ScriptedServer,
    settings: Settings,
    api: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    fail: Any,
    *,
    debug: bool,
) -> None:
    """The page of DEBUG shows the variables of every frame, and so does the HTML of a mail."""
    mails: list[str] = []

    def write_mail(request: HttpRequest, **_kwargs: Any) -> None:
        kind, error, trace = sys.exc_info()
        reporter = ExceptionReporter(request, kind, error, trace, is_email=True)
        mails.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    settings.DEBUG = debug
    valify.answer_token(token(TOKEN))
    fail(monkeypatch, error)
    api.raise_request_exception = False
    got_request_exception.connect(write_mail)
    response = api.post("/otp/sends/", {"phone_number": NUMBER}, format="json")
    got_request_exception.disconnect(write_mail)
    assert response.status_code == 500
    page = response.content.decode()
    assert ("send_otp" in page) == debug
    assert len(mails) == 2
    for text in (page, *mails):
        assert type(error).__name__ in text or text == page
        assert_clean(text)


def test_wrong_settings_show_no_secret(settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "DEADLINE": 0}
    with pytest.raises(Exception, match="DEADLINE") as caught:
        services.find_credential_problem()
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "django_valify_otp" in frame.f_code.co_filename:
            assert_clean(repr(frame.f_locals))
