"""What send_otp() promises to Python code."""

import logging
import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone, translation

from django_valify_otp import exceptions, outcomes, settlement
from django_valify_otp.exceptions import (
    InvalidPhoneNumber,
    OtpRejected,
    OutcomeUnknown,
    ValifyBusy,
    ValifyOtpError,
)
from django_valify_otp.models import OtpSend, OtpSendQuerySet, OtpVerification
from django_valify_otp.services import find_credential_problem, send_otp
from django_valify_otp.signals import otp_send_settled
from django_valify_otp.valify.client import ValifyClient
from tests.configuration import Configure
from tests.factories import NUMBER, make_send
from tests.failures import interrupt_answer_to
from tests.scripted_server import SEND_PATH, TOKEN_PATH, ScriptedServer, answer, sent

pytestmark = pytest.mark.django_db
Receiver = Callable[..., None]


def test_the_row_is_committed_before_the_call(valify: ScriptedServer) -> None:
    seen: list[OtpSend] = []
    real = ValifyClient.send_otp

    def look_first(self: ValifyClient, **kwargs: Any) -> Any:
        seen.extend(OtpSend.objects.all())
        return real(self, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ValifyClient, "send_otp", look_first)
        otp_send = send_otp(NUMBER)
    [row] = seen
    assert (row.pk, row.status, row.settled_at) == (otp_send.pk, OtpSend.Status.PENDING, None)
    assert row.called_at is not None
    assert row.duration is None


def test_defaults(valify: ScriptedServer, configure: Configure) -> None:
    configure(DEFAULT_LANG="ar")
    otp_send = send_otp(NUMBER)
    assert (otp_send.lang, otp_send.purpose, otp_send.user) == ("ar", "", None)
    assert (otp_send.caller, otp_send.ip_address) == ("system", None)


@pytest.mark.parametrize(
    ("default", "active", "lang"),
    [
        (None, "ar", "ar"),
        (None, "ar-eg", "ar"),
        (None, "en-gb", "en"),
        (None, "fr", "en"),
        (None, None, "en"),
        ("ar", "en", "ar"),
        ("en", "ar", "en"),
    ],
)
def test_the_language_of_the_message(
    valify: ScriptedServer,
    configure: Configure,
    default: str | None,
    active: str | None,
    lang: str,
) -> None:
    configure(DEFAULT_LANG=default)
    with translation.override(active):
        assert send_otp(NUMBER).lang == lang
        assert send_otp(NUMBER, lang="ar").lang == "ar"
    assert [call.json["lang"] for call in valify.at(SEND_PATH)] == [lang, "ar"]


def test_callers(valify: ScriptedServer, user: User) -> None:
    assert send_otp(NUMBER, user=user).caller == f"user:{user.pk}"
    assert send_otp(NUMBER, user=AnonymousUser()).caller == "anonymous"
    assert send_otp(NUMBER).caller == "system"
    assert list(OtpSend.objects.order_by("pk").values_list("user", flat=True)) == [
        user.pk,
        None,
        None,
    ]


def test_rows_outlive_their_user(valify: ScriptedServer, user: User) -> None:
    otp_send = send_otp(NUMBER, user=user)
    caller = otp_send.caller
    user.delete()
    otp_send.refresh_from_db()
    assert (otp_send.user, otp_send.caller) == (None, caller)


@pytest.mark.parametrize("text", ["", "0223456789", None, ["01012345678"]])
def test_a_bad_number_writes_no_row(valify: ScriptedServer, text: Any) -> None:
    with pytest.raises(InvalidPhoneNumber):
        send_otp(text)
    assert not OtpSend.objects.exists()
    assert valify.received == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"lang": "fr"},
        {"purpose": "sign up"},
        {"purpose": "x" * 33},
        {"purpose": "تسجيل"},
        {"purpose": "signup\n"},
        {"purpose": None},
        {"idempotency_key": 7},
        {"ip_address": "somewhere"},
    ],
)
def test_bad_arguments_write_no_row(valify: ScriptedServer, arguments: dict[str, Any]) -> None:
    [name] = arguments
    with pytest.raises(ValueError, match=name) as caught:
        send_otp(NUMBER, **arguments)
    assert not isinstance(caught.value, ValifyOtpError)
    assert not OtpSend.objects.exists()
    assert valify.received == []


class Word(str, Enum):  # noqa: UP042 (StrEnum prints its value, this one does not)
    SIGNUP = "signup"
    ARABIC = "ar"


def test_members_of_enumerations_are_their_text(valify: ScriptedServer) -> None:
    send_otp(NUMBER, purpose=Word.SIGNUP, lang=Word.ARABIC, idempotency_key=Word.SIGNUP)
    row = OtpSend.objects.get()
    assert (row.purpose, row.lang) == ("signup", "ar")
    assert send_otp(NUMBER, purpose="signup", lang="ar", idempotency_key="signup").replayed


def test_an_empty_address_is_none(valify: ScriptedServer) -> None:
    assert send_otp(NUMBER, ip_address="").ip_address is None


def test_wrong_settings(configure: Configure) -> None:
    configure(DEADLINE=0)
    with pytest.raises(ImproperlyConfigured, match="DEADLINE"):
        send_otp(NUMBER)
    assert not OtpSend.objects.exists()


def test_inside_a_transaction(valify: ScriptedServer) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="non_atomic_requests"):
        send_otp(NUMBER)
    assert not OtpSend.objects.exists()
    assert valify.received == []


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_without_a_test_case(valify: ScriptedServer) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError):
        send_otp(NUMBER)
    assert valify.received == []
    assert send_otp(NUMBER).status == OtpSend.Status.SENT


@pytest.mark.django_db(transaction=True)
def test_without_autocommit(valify: ScriptedServer) -> None:
    """Nothing would be committed before the call."""
    transaction.set_autocommit(False)
    try:
        with pytest.raises(RuntimeError):
            send_otp(NUMBER)
    finally:
        transaction.set_autocommit(True)
    assert valify.received == []


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_during_the_call(valify: ScriptedServer) -> None:
    open_during_call: list[bool] = []
    real = ValifyClient.send_otp

    def look_first(self: ValifyClient, **kwargs: Any) -> Any:
        open_during_call.append(connection.in_atomic_block)
        return real(self, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ValifyClient, "send_otp", look_first)
        send_otp(NUMBER)
    assert open_during_call == [False]


INTERRUPTIONS = [KeyboardInterrupt, SystemExit, GeneratorExit]


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_call_is_unknown(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    interrupt_answer_to(monkeypatch, SEND_PATH, interruption)
    with pytest.raises(interruption):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.reason, row.calls) == ("unknown", interruption.__name__, 1)


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_attempt_interrupted_before_its_call_has_sent_nothing(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    interrupt_answer_to(monkeypatch, TOKEN_PATH, interruption)
    with pytest.raises(interruption):
        send_otp(NUMBER, idempotency_key="c0ffee")
    row = OtpSend.objects.get()
    assert (row.status, row.code, row.calls) == ("failed", "valify_unreachable", 0)
    assert (row.reason, row.idempotency_hash) == (interruption.__name__, None)
    assert valify.at(SEND_PATH) == []


@pytest.fixture
def settled() -> Any:
    """What the signal told."""
    told: list[OtpSend] = []

    def receive(sender: type[OtpSend], otp_send: OtpSend, **_kwargs: Any) -> None:
        assert sender is OtpSend
        told.append(otp_send)

    otp_send_settled.connect(receive)
    yield told
    otp_send_settled.disconnect(receive)


def test_receivers_are_told_once(valify: ScriptedServer, settled: list[OtpSend]) -> None:
    otp_send = send_otp(NUMBER)
    valify.answer_send(answer(422, {"message": "no"}))
    with pytest.raises(OtpRejected) as caught:
        send_otp(NUMBER)
    assert settled == [otp_send, caught.value.otp_send]
    assert [row.status for row in settled] == ["sent", "rejected"]


def test_a_receiver_that_raises_harms_nothing(
    valify: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_kwargs: Any) -> None:
        raise LookupError("broken receiver")

    otp_send_settled.connect(fail)
    try:
        assert send_otp(NUMBER).status == OtpSend.Status.SENT
    finally:
        otp_send_settled.disconnect(fail)
    assert "broken receiver" in caplog.text


def test_a_late_answer_changes_nothing(
    valify: ScriptedServer,
    settled: list[OtpSend],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    real = ValifyClient.send_otp

    def settle_first(self: ValifyClient, **kwargs: Any) -> Any:
        found = real(self, **kwargs)
        OtpSend.objects.get().settle(
            status=OtpSend.Status.UNKNOWN, code="outcome_unknown", settled_at=timezone.now()
        )
        return found

    monkeypatch.setattr(ValifyClient, "send_otp", settle_first)
    with pytest.raises(OutcomeUnknown) as caught:
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.transaction_id) == (OtpSend.Status.UNKNOWN, "")
    assert caught.value.otp_send is not None
    assert caught.value.otp_send.status == OtpSend.Status.UNKNOWN
    assert settled == []
    assert "transaction_id=T1" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_an_answer_that_was_written_though_it_did_not_seem_so(
    valify: ScriptedServer, settled: list[OtpSend], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [OperationalError("the connection was lost after the commit")]
    settle = OtpSend.settle

    def lose_the_answer_once(self: OtpSend, **fields: Any) -> bool:
        won = settle(self, **fields)
        if failures:
            raise failures.pop()
        return won

    monkeypatch.setattr(OtpSend, "settle", lose_the_answer_once)
    otp_send = send_otp(NUMBER)
    assert settled == [otp_send]


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_deleted_during_the_call(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = ValifyClient.send_otp

    def delete_first(self: ValifyClient, **kwargs: Any) -> Any:
        OtpSend.objects.all().delete()
        return real(self, **kwargs)

    monkeypatch.setattr(ValifyClient, "send_otp", delete_first)
    with pytest.raises(OtpSend.DoesNotExist):
        send_otp(NUMBER)
    assert "not settled: status=sent transaction_id=T1" in caplog.text


@pytest.mark.parametrize("model", [OtpSend, OtpVerification])
def test_who_settles_in_the_same_microsecond_has_not_won(
    settled: list[OtpSend], model: type[Any]
) -> None:
    now = timezone.now()
    row: Any = make_send(status="pending", settled_at=None)
    if model is OtpVerification:
        row = row.verifications.create(status="pending", caller="system", created_at=now)
    rows = model.objects.get(), model.objects.get()
    assert [settlement.settle_as_lost(row, at=now) for row in rows] == [True, False]
    assert len(settled) == (model is OtpSend)


class FlakyDatabase:
    """``OtpSend.settle`` that fails in the given ways first."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *failures: type[Exception] | Exception
    ) -> None:
        self.seen: list[dict[str, Any]] = []
        self.failures = list(failures)
        real = OtpSend.settle
        flaky = self

        def settle(self: OtpSend, **fields: Any) -> bool:
            flaky.seen.append(fields)
            if flaky.failures:
                raise flaky.failures.pop(0)
            return real(self, **fields)

        monkeypatch.setattr(OtpSend, "settle", settle)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", [OperationalError, InterfaceError])
def test_a_lost_connection_is_opened_again(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    FlakyDatabase(monkeypatch, failure, failure)
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert OtpSend.objects.get().transaction_id == "T1"


@pytest.mark.parametrize(
    "refusal", [DataError("value too long"), OperationalError(1366, "Incorrect string value")]
)
def test_texts_that_the_database_refuses_are_left_out(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    valify.answer_send(sent(message="odd", error_code="odd"))
    FlakyDatabase(monkeypatch, refusal)
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    row = OtpSend.objects.get()
    assert (row.transaction_id, row.valify_message, row.error_code) == ("T1", "", "")


def test_an_answer_that_the_database_refuses_is_unknown(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FlakyDatabase(monkeypatch, DataError, DataError)
    with pytest.raises(OutcomeUnknown):
        send_otp(NUMBER)
    assert OtpSend.objects.get().status == OtpSend.Status.UNKNOWN
    assert "cannot store: status=sent transaction_id=T1" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", [OperationalError, DataError])
def test_a_database_that_went_away_leaves_the_transaction_in_the_log(
    valify: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: type[Exception],
) -> None:
    FlakyDatabase(monkeypatch, *[failure] * 5)
    with pytest.raises(failure):
        send_otp(NUMBER)
    [record] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    row = OtpSend.objects.get()
    assert record.getMessage() == (
        f"otp_send id={row.uuid} not settled: status=sent transaction_id=T1"
    )
    assert row.status == OtpSend.Status.PENDING


def test_rows_do_not_show_the_number(valify: ScriptedServer) -> None:
    otp_send = send_otp(NUMBER)
    assert repr(otp_send) == f"<OtpSend sent {otp_send.uuid}>"
    assert otp_send.masked_phone_number == "010*****678"


def test_a_settled_row_is_not_settled_again(valify: ScriptedServer) -> None:
    otp_send = send_otp(NUMBER)
    settled_at = otp_send.settled_at
    assert otp_send.settle(status=OtpSend.Status.FAILED, settled_at=timezone.now()) is False
    assert (otp_send.status, otp_send.settled_at) == (OtpSend.Status.SENT, settled_at)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "sent", "settled_at": timezone.now(), "transaction_id": ""},
        {"status": "sent", "transaction_id": "T1"},
        {"status": "pending", "settled_at": timezone.now()},
        {"status": "blocked"},
        {"status": "lost", "settled_at": timezone.now()},
    ],
)
def test_the_database_refuses_what_cannot_be(fields: dict[str, Any]) -> None:
    row = {"phone_number": NUMBER, "lang": "en", "caller": "system", "created_at": timezone.now()}
    with pytest.raises(IntegrityError):
        OtpSend.objects.create(**{**row, **fields})


ERRORS = [
    error
    for error in vars(exceptions).values()
    if isinstance(error, type) and issubclass(error, ValifyOtpError) and error is not ValifyOtpError
]


@pytest.mark.parametrize("error", ERRORS)
def test_exceptions_survive_pickling(error: type[ValifyOtpError]) -> None:
    found = pickle.loads(pickle.dumps(error()))
    assert type(found) is error
    assert str(found) == error.message
    assert found.otp_send is None


def test_codes_are_unique_and_each_has_its_exception() -> None:
    assert len({error.code for error in ERRORS}) == len(ERRORS)
    assert set(exceptions.BY_CODE) == {error.code for error in ERRORS}
    assert set(exceptions.BY_CODE) > {*OtpSend.Code.values, *OtpVerification.Code.values}


def test_each_code_has_its_words() -> None:
    without_answer = {"invalid", "invalid_verification_token"}
    assert set(outcomes.TEXTS) == set(exceptions.BY_CODE) - without_answer


def test_an_error_without_a_row_has_no_error_code() -> None:
    assert OtpRejected().error_code == ""
    assert ValifyBusy().retry_after is None


def test_credentials(valify: ScriptedServer) -> None:
    assert find_credential_problem() is None
    valify.answer_token(answer(401, {"error": "invalid_client"}))
    assert find_credential_problem() == (
        "valify_misconfigured: token call: HTTP 401 invalid_client. Valify does not accept"
        " VALIFY_OTP['CLIENT_ID'] or VALIFY_OTP['CLIENT_SECRET'] (invalid_client)."
    )
    assert not OtpSend.objects.exists()


def test_the_queryset_has_verbs() -> None:
    assert isinstance(OtpSend.objects.all(), OtpSendQuerySet)
