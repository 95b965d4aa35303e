"""No number, OTP, key or token in what error trackers and error pages show of our frames."""

import asyncio
import json
import logging
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import sentry_sdk
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.views.debug import ExceptionReporter
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport as SentryTransport

from django_valify_otp import services, statements, verification_tokens
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import (
    asend_otp,
    averify_otp,
    read_verification_token,
    redeem_verification_token,
    send_otp,
    verify_otp,
)
from django_valify_otp.valify.transport import Transport
from tests.configuration import Configure
from tests.factories import make_send
from tests.scripted_server import ScriptedServer, token

NUMBER = "01012345678"
OTP = "482913"
KEY = "key-that-nobody-may-see"
TOKEN = "token-that-nobody-may-see"
SECRETS = (NUMBER[1:], OTP, KEY, TOKEN, "tests-password", "tests-client-secret")


class KeptEvents(SentryTransport):
    """What Sentry would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events.append(envelope.get_event())


@pytest.fixture
def sentry() -> Iterator[KeptEvents]:
    kept = KeptEvents()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=kept,
        include_local_variables=True,
        max_value_length=100_000,
    )
    yield kept
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


def fail_with(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        seen = (args, kwargs, NUMBER, OTP, KEY, TOKEN)
        assert seen
        raise error

    return fail


def send(**arguments: Any) -> Any:
    return send_otp(NUMBER, **{"idempotency_key": KEY, **arguments})


def send_in_a_transaction() -> Any:
    with transaction.atomic():
        return send()


def guess(otp: str = OTP, **arguments: Any) -> Any:
    return verify_otp(make_send(), otp, **arguments)


# What goes wrong before there is a row.
BAD_CALLS: dict[str, Callable[[], Any]] = {
    "a number": lambda: send_otp(f"{NUMBER}0", idempotency_key=KEY),
    "a number that is none": lambda: send_otp(f"{NUMBER}x"),
    "lang": lambda: send(lang="fr"),
    "purpose": lambda: send(purpose="?"),
    "an address": lambda: send(ip_address="41"),
    "a key": lambda: send(idempotency_key=f"{KEY} "),
    "an OTP": lambda: guess(f"{OTP}x"),
    "the address of a try": lambda: guess(ip_address="41"),
    "a token to redeem": lambda: redeem_verification_token(TOKEN),
    "a token to read": lambda: read_verification_token(TOKEN),
}


def caught_from(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 (whatever it is)
        call()
    return caught.value


def frames_outside_of_tests(event: Any) -> list[Any]:
    frames = [
        frame
        for value in event["exception"]["values"]
        for frame in value.get("stacktrace", {"frames": []})["frames"]
        if "/tests/" not in frame["abs_path"]
    ]
    assert frames, "no frame of ours was reported"
    return frames


def assert_clean(error: BaseException, sentry: KeptEvents) -> None:
    sentry_sdk.capture_exception(error)
    [event] = sentry.events
    texts = [value["value"] for value in event["exception"]["values"]]
    shown = json.dumps([frames_outside_of_tests(event), texts])
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    for frame in reporter.get_traceback_frames():
        if "/tests/" not in frame["filename"]:
            shown += repr(frame["vars"])
    shown += "".join(traceback.format_exception(error))
    assert not [secret for secret in SECRETS if secret in shown.replace(f'"{OTP}x"', "")]


async def send_async() -> Any:
    return await asend_otp(NUMBER, idempotency_key=KEY)


async def send_async_to_nobody() -> Any:
    return await asend_otp(f"{NUMBER}0", idempotency_key=KEY)


async def guess_async(otp: str = OTP) -> Any:
    return await averify_otp(await sync_to_async(make_send)(), otp)


async def guess_async_badly() -> Any:
    return await guess_async(f"{OTP}x")


async def cancel_async() -> Any:
    task = asyncio.create_task(send_async())
    await asyncio.sleep(0)
    task.cancel()
    await task


# With what the call to Valify raises, and what comes of it.
ASYNC_CALLS = [
    (send_async, TypeError("a bug"), TypeError),
    (guess_async, TypeError("a bug"), TypeError),
    (send_async_to_nobody, None, InvalidPhoneNumber),
    (guess_async_badly, None, ValueError),
    (cancel_async, None, asyncio.CancelledError),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("call", "error", "outcome"), ASYNC_CALLS)
def test_async_functions(
    valify: ScriptedServer,
    sentry: KeptEvents,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[], Coroutine[Any, Any, Any]],
    error: Exception | None,
    outcome: type[BaseException],
) -> None:
    valify.answer_token(token(TOKEN))
    if error:
        monkeypatch.setattr(Transport, "post", fail_with(error))
    caught = caught_from(async_to_sync(call))
    assert type(caught) is outcome
    sentry.events.clear()
    assert_clean(caught, sentry)


@pytest.mark.django_db
def test_where_it_was_raised_is_logged_once_for_async_code(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Transport, "post", fail_with(TypeError("a bug")))
    with pytest.raises(TypeError):
        async_to_sync(send_async)()
    assert caplog.text.count("TypeError was raised at:") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_arguments(valify: ScriptedServer, sentry: KeptEvents, name: str) -> None:
    assert_clean(caught_from(BAD_CALLS[name]), sentry)


@pytest.mark.django_db(transaction=True)
def test_a_transaction(valify: ScriptedServer, sentry: KeptEvents) -> None:
    error = caught_from(send_in_a_transaction)
    assert isinstance(error, RuntimeError)
    assert_clean(error, sentry)


@pytest.mark.django_db
@pytest.mark.parametrize("call", [send, guess])
def test_wrong_settings(configure: Configure, sentry: KeptEvents, call: Callable[[], Any]) -> None:
    configure(DEADLINE=0)
    error = caught_from(call)
    assert isinstance(error, ImproperlyConfigured)
    assert_clean(error, sentry)


ERRORS: list[BaseException] = [SystemExit(1), KeyboardInterrupt(), TypeError("a bug")]
STAGES: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "the admission of a send": (send, statements, "insert"),
    "the settings": (send, services, "get_settings"),
    "the call": (send, Transport, "post"),
    "the record": (send, OtpSend, "settle"),
    "the admission of a try": (guess, statements, "insert"),
    "the call of a try": (guess, Transport, "post"),
    "the record of a try": (guess, OtpVerification, "settle"),
    "a token": (lambda: redeem_verification_token(TOKEN), verification_tokens, "unsign"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_whatever_is_raised(
    valify: ScriptedServer,
    sentry: KeptEvents,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    error: BaseException,
) -> None:
    configure(NUMBER_SEND_LIMITS=["5/1h"])
    valify.answer_token(token(TOKEN))
    call, owner, name = STAGES[stage]
    monkeypatch.setattr(owner, name, fail_with(error))
    caught = caught_from(call)
    assert caught is error
    monkeypatch.undo()
    sentry.events.clear()
    assert_clean(caught, sentry)


@pytest.mark.django_db
def test_where_it_was_raised_is_logged(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(statements, "insert", fail_with(TypeError(f"a bug with {NUMBER}")))
    with caplog.at_level(logging.ERROR, "django_valify_otp"), pytest.raises(TypeError):
        send()
    assert "TypeError was raised at:" in caplog.text
    assert "statements.insert(row, using=using, first=first)" in caplog.text
    assert NUMBER not in caplog.text


def test_an_attempt_of_somebody_else_is_no_matter_for_the_log(
    user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """Any caller could fill an error tracker with them."""
    theirs = make_send(caller="user:0")
    for name in (theirs.uuid, "nope"):
        with pytest.raises(OtpSend.DoesNotExist):
            services.get_send(name, user=user)
    assert caplog.text == ""
