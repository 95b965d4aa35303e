"""No secret and no whole number where people and machines look when something went wrong."""

import html
import re
import sys
import traceback
import unicodedata
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pytest
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest
from django.utils import timezone
from django.views.debug import ExceptionReporter
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import services
from django_valify_otp.exceptions import InvalidVerificationToken, ValifyOtpError
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import (
    read_verification_token,
    redeem_verification_token,
    send_otp,
    verify_otp,
)
from django_valify_otp.valify.transport import Transport
from tests.configuration import Configure
from tests.factories import MASKED, make_send
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up, sent, token

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


SPELLINGS: tuple[Any, ...] = (
    "482913",
    "482 913",
    "4-8-2-9-1-3",
    "٤٨٢٩١٣",
    "code:482913.",
    "T482913T",
    "482 --- 913",
    "482\n\n\n\n\n913",
    "482&nbsp;913",
    "4&#56;2913",
    "<b>4</b><b>8</b><i>2</i>913",
    "%34%38%32%39%31%33",
    "④⑧②⑨①③",
    ["4", "8", "2", "9", "1", "3"],
    [[4, 8, 2], [9, 1, 3]],
)


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_code_that_valify_repeats_is_on_no_record(valify: ScriptedServer, spelling: Any) -> None:
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
    plain = unicodedata.normalize("NFKC", html.unescape(unquote(kept)))
    assert "482913" not in re.sub(r"\D", "", re.sub("<[^>]*>", "", plain))


@pytest.mark.django_db
def test_the_right_code_is_not_told_to_who_types_another(valify: ScriptedServer) -> None:
    valify.answer_verify(answer(422, {"message": "Expected 482913", "error_code": 100401}))
    with pytest.raises(ValifyOtpError):
        verify_otp(make_send(), "111111")
    row = OtpVerification.objects.get()
    assert (row.valify_message, row.error_code) == ("Expected ***", "100401")


TELLINGS = (
    "Your code is 482913 (10 min)",
    "2026-11-23 20:19 482913",
    "482913 / 10 minutes",
    "code 482 913, 3 tries",
    "T482913-1",
    "48-29-13",
    "4 8 2 9 1 3",
    "<b>482</b>913",
    "④⑧②⑨①③",
)


@pytest.mark.django_db
@pytest.mark.parametrize("telling", TELLINGS)
def test_a_code_in_any_telling(valify: ScriptedServer, telling: str) -> None:
    valify.answer_send(sent(message=telling))
    message = send_otp(NUMBER).valify_message
    plain = unicodedata.normalize("NFKC", message)
    assert "482913" not in re.sub(r"\D", "", plain)
    assert "***" in message


SAYS_THE_CODE = {
    "sent": (sent(message="Your code is 482-913", error_code="٤٨٢٩١٣"), "Your code is ***", "***"),
    "unknown": (
        answer(500, {"message": "482913: 01012345678"}),
        MASKED,
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


def frames_of_ours(error: BaseException) -> list[dict[str, Any]]:
    """The variables of this app's frames, of which there is one at least."""
    ours = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "/django_valify_otp/" in frame.f_code.co_filename
    ]
    assert ours
    return ours


def assert_no_code_in_our_frames(error: BaseException) -> None:
    assert "482913" not in repr(frames_of_ours(error))


@pytest.mark.django_db
@pytest.mark.parametrize("stage", ["admit_try", "settle", "post"])
def test_tracebacks_of_a_try_hold_no_code(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def fail(*_args: Any, **_fields: Any) -> None:
        raise IntegrityError("as a database, or as anything else")

    owner: Any = {"admit_try": services, "settle": OtpVerification, "post": Transport}[stage]
    monkeypatch.setattr(owner, stage, fail)
    with pytest.raises(IntegrityError) as caught:
        verify_otp(make_send(), "482913")
    assert_exception_clean(caught.value)
    assert_no_code_in_our_frames(caught.value)


@pytest.mark.django_db
@pytest.mark.parametrize("otp", ["482913.", "482913x", 482913])
def test_what_is_no_code_does_not_show_either(otp: Any) -> None:
    with pytest.raises(ValueError, match="six digits") as caught:
        verify_otp(make_send(), otp)
    assert_exception_clean(caught.value)
    assert_no_code_in_our_frames(caught.value)


@pytest.mark.django_db
@pytest.mark.parametrize("use", [redeem_verification_token, read_verification_token])
@pytest.mark.parametrize("stage", ["purpose", "database"])
def test_tracebacks_of_a_token_do_not_hold_it(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, use: Any, stage: str
) -> None:
    def fail(*_args: Any) -> None:
        raise OperationalError("server closed the connection")

    good = verify_otp(make_send(), "482913").token
    if stage == "database":
        monkeypatch.setattr(services, "_redeemable", fail)
    with pytest.raises((InvalidVerificationToken, OperationalError)) as caught:
        use(good, purpose="" if stage == "database" else "another")
    assert_exception_clean(caught.value)
    assert good not in repr(frames_of_ours(caught.value))
    monkeypatch.undo()


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

    monkeypatch.setattr(services, "admit_send", fail)


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
    assert_clean(page)
    for mail in mails:
        assert type(error).__name__ in mail
        assert_clean(mail)


def test_wrong_settings_show_no_secret(configure: Configure) -> None:
    configure(DEADLINE=0)
    with pytest.raises(Exception, match="DEADLINE") as caught:
        services.find_credential_problem()
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if "django_valify_otp" in frame.f_code.co_filename:
            assert_clean(repr(frame.f_locals))
