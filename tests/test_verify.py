"""What verify_otp() promises to Python code, over real sockets."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import DataError, IntegrityError, OperationalError, transaction
from django.utils import timezone, translation

from django_valify_otp import exceptions, tries
from django_valify_otp.exceptions import (
    CodeExpired,
    CodeRejected,
    NotVerifiable,
    OutcomeUnknown,
    TooManyTries,
    ValifyBusy,
    ValifyMisconfigured,
    ValifyOtpError,
    ValifyUnreachable,
)
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import send_otp, sweep, verify_otp
from django_valify_otp.signals import otp_verified
from django_valify_otp.valify.client import ValifyClient
from tests.configuration import Configure
from tests.factories import make_overdue_try, make_send
from tests.failures import interrupt_answer_to
from tests.scripted_server import (
    TOKEN_PATH,
    VERIFY_PATH,
    Answer,
    Received,
    ScriptedServer,
    answer,
    hang_up,
    raw,
    repeat,
    silence,
    token,
    verified,
)

pytestmark = pytest.mark.django_db

CODE = "482913"
WRONG = answer(422, {"message": "Wrong code", "error_code": 21})


def fail(error: type[ValifyOtpError], otp_send: OtpSend | None = None) -> OtpVerification:
    """The row of a try that must raise ``error``."""
    otp_send = otp_send or make_send()
    with pytest.raises(ValifyOtpError) as caught:
        verify_otp(otp_send, CODE)
    assert type(caught.value) is error
    verification = caught.value.verification
    assert verification is not None
    assert caught.value.otp_send == otp_send
    stored = OtpVerification.objects.get(pk=verification.pk)
    assert stored.code == verification.code == error.code
    assert stored.settled_at is not None
    assert stored.token == ""
    assert OtpSend.objects.get(pk=otp_send.pk).verified_at is None
    return stored


def refuse(error: type[ValifyOtpError], otp_send: OtpSend) -> None:
    """A try that must raise ``error`` before there is a row."""
    before = OtpVerification.objects.count()
    with pytest.raises(error) as caught:
        verify_otp(otp_send, CODE)
    assert (caught.value.otp_send, caught.value.verification) == (otp_send, None)
    assert OtpVerification.objects.count() == before


def test_verified(valify: ScriptedServer, user: User) -> None:
    otp_send = send_otp("+20 10 1234 5678", lang="ar", purpose="signup")
    verification = verify_otp(otp_send, "٤٨٢-٩١٣", user=user, ip_address="41.32.10.7")
    stored = OtpVerification.objects.get()
    assert stored == verification
    assert stored.status == verification.status == OtpVerification.Status.VERIFIED
    assert (stored.code, stored.reason, stored.http_status, stored.calls) == ("", "", 200, 1)
    assert (stored.user, stored.caller, stored.ip_address) == (
        user,
        f"user:{user.pk}",
        "41.32.10.7",
    )
    assert stored.otp_send == otp_send
    assert stored.created_at == stored.called_at
    assert stored.settled_at
    assert stored.duration == stored.settled_at - stored.created_at
    assert stored.token_fingerprint == otp_send.token_fingerprint
    assert otp_send.verified_at == stored.settled_at
    assert OtpSend.objects.get().verified_at == stored.settled_at
    [call] = valify.at(VERIFY_PATH)
    assert call.json == {
        "otp": CODE,
        "transaction_id": "T1",
        "bundle_key": "tests-bundle-key",
        "lang": "en",
    }
    assert call.token == "token-1"
    assert len(valify.at(TOKEN_PATH)) == 1


@pytest.mark.parametrize(
    ("arguments", "caller"),
    [({}, "system"), ({"user": AnonymousUser()}, "anonymous")],
)
def test_callers(valify: ScriptedServer, arguments: dict[str, Any], caller: str) -> None:
    verification = verify_otp(make_send(), CODE, **arguments)
    assert (verification.caller, verification.user) == (caller, None)


class Case(NamedTuple):
    """An answer of Valify's, what it makes of the try, and the row that is kept."""

    answer: Answer
    error: type[ValifyOtpError]
    status: str
    http_status: int | None
    reason: str


VERIFIED = {"verified": True}
SENT = {"result": {"success": True}}
NOT_TRUE, NOT_THERE = "verified is not true", "no JSON that says verified"
FOUND = answer(302, VERIFIED, {"Location": "/"})
DRIPPING = raw(b"HTTP/1.1 200 OK\r\n\r\n", then=repeat(b" ", pause=0.05))
CASES = {
    "422": Case(WRONG, CodeRejected, "rejected", 422, ""),
    "false": Case(verified(is_verified=False), CodeRejected, "rejected", 200, NOT_TRUE),
    "null": Case(verified(is_verified=None), CodeRejected, "rejected", 200, NOT_TRUE),
    "text": Case(verified(is_verified="true"), CodeRejected, "rejected", 200, NOT_TRUE),
    "one": Case(verified(is_verified=1), CodeRejected, "rejected", 200, NOT_TRUE),
    "not there": Case(answer(200, {}), OutcomeUnknown, "unknown", 200, NOT_THERE),
    "a send's": Case(answer(200, SENT), OutcomeUnknown, "unknown", 200, NOT_THERE),
    "html": Case(answer(200, b"<html>"), OutcomeUnknown, "unknown", 200, NOT_THERE),
    "a list": Case(answer(200, [VERIFIED]), OutcomeUnknown, "unknown", 200, NOT_THERE),
    "201": Case(answer(201, VERIFIED), OutcomeUnknown, "unknown", 201, "HTTP 201"),
    "302": Case(FOUND, ValifyMisconfigured, "rejected", 302, "HTTP 302"),
    "400": Case(answer(400, VERIFIED), ValifyMisconfigured, "rejected", 400, "HTTP 400"),
    "401": Case(answer(401, VERIFIED), ValifyMisconfigured, "rejected", 401, "HTTP 401"),
    "403": Case(answer(403, VERIFIED), ValifyMisconfigured, "rejected", 403, "HTTP 403"),
    "404": Case(answer(404, VERIFIED), ValifyMisconfigured, "rejected", 404, "HTTP 404"),
    "415": Case(answer(415, VERIFIED), ValifyMisconfigured, "rejected", 415, "HTTP 415"),
    "429": Case(answer(429, VERIFIED), ValifyBusy, "rejected", 429, "HTTP 429"),
    "500": Case(answer(500, VERIFIED), OutcomeUnknown, "unknown", 500, "HTTP 500"),
    "closed": Case(hang_up, OutcomeUnknown, "unknown", None, "RemoteDisconnected"),
}


@pytest.mark.parametrize("name", CASES)
def test_answers(valify: ScriptedServer, name: str) -> None:
    case = CASES[name]
    valify.answer_token(token("token-1"), token("token-2"))
    valify.answer_verify(case.answer)
    stored = fail(case.error)
    assert (stored.status, stored.http_status) == (case.status, case.http_status)
    assert stored.reason == case.reason
    assert stored.calls == (2 if name == "403" else 1)


@pytest.mark.parametrize("never_ending", [silence, DRIPPING])
def test_no_answer_in_time(
    valify: ScriptedServer, configure: Configure, never_ending: Answer
) -> None:
    configure(READ_TIMEOUT=0.3, DEADLINE=0.7)
    valify.answer_verify(never_ending)
    stored = fail(OutcomeUnknown)
    assert (stored.status, stored.http_status) == ("unknown", None)
    assert (stored.reason, stored.calls) == ("TimeoutError", 1)


def test_what_valify_said_is_kept(valify: ScriptedServer) -> None:
    valify.answer_verify(WRONG)
    otp_send = make_send()
    stored = fail(CodeRejected, otp_send)
    assert (stored.error_code, stored.valify_message) == ("21", "Wrong code")
    with pytest.raises(CodeRejected) as caught:
        verify_otp(otp_send, CODE)
    assert (caught.value.error_code, caught.value.tries_left) == ("21", 3)


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_valify_is_asked_in_the_language_of_whoever_reads_the_answer(
    valify: ScriptedServer, configure: Configure, lang: str
) -> None:
    configure(DEFAULT_LANG="en")
    with translation.override(lang):
        verify_otp(make_send(lang="en"), CODE)
    [call] = valify.at(VERIFY_PATH)
    assert call.json["lang"] == lang


def test_busy_tells_when_to_come_back(valify: ScriptedServer) -> None:
    valify.answer_verify(answer(429, b"", {"Retry-After": "7"}))
    with pytest.raises(ValifyBusy) as caught:
        verify_otp(make_send(), CODE)
    assert caught.value.retry_after == 7


def test_a_refused_token_is_replaced(valify: ScriptedServer) -> None:
    valify.answer_token(token("token-1"), token("token-2"))
    valify.answer_verify(answer(403), verified())
    verification = verify_otp(make_send(), CODE)
    assert (verification.status, verification.calls) == ("verified", 2)
    assert [call.token for call in valify.at(VERIFY_PATH)] == ["token-1", "token-2"]


@pytest.mark.parametrize(
    "status", ["queued", "pending", "rejected", "failed", "unknown", "blocked"]
)
def test_only_what_was_sent_can_be_verified(valify: ScriptedServer, status: str) -> None:
    settled_at = None if status in OtpSend.OPEN else timezone.now()
    refuse(NotVerifiable, make_send(status=status, settled_at=settled_at))
    assert valify.received == []


def test_once(valify: ScriptedServer) -> None:
    otp_send = make_send()
    verify_otp(otp_send, CODE)
    refuse(NotVerifiable, otp_send)
    assert len(valify.at(VERIFY_PATH)) == 1


def test_the_row_in_the_database_is_what_counts(valify: ScriptedServer) -> None:
    otp_send = make_send()
    OtpSend.objects.update(verified_at=timezone.now())
    refuse(NotVerifiable, otp_send)


def test_a_row_that_was_deleted(valify: ScriptedServer) -> None:
    otp_send = make_send()
    OtpSend.objects.filter(pk=otp_send.pk).delete()
    with pytest.raises(NotVerifiable):
        verify_otp(otp_send, CODE)
    assert valify.received == []


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "is_expired"), [(599, False), (601, True)])
def test_the_lifetime_of_a_code(valify: ScriptedServer, seconds: int, *, is_expired: bool) -> None:
    otp_send = make_send(settled_at=timezone.now() - timedelta(seconds=seconds))
    if is_expired:
        refuse(CodeExpired, otp_send)
    else:
        verify_otp(otp_send, CODE)
    assert len(valify.at(VERIFY_PATH)) == (not is_expired)


def test_tries_are_counted(valify: ScriptedServer, configure: Configure) -> None:
    configure(VERIFY_TRIES=3)
    valify.answer_verify(WRONG, answer(500), answer(401), verified())
    otp_send = make_send()
    for error in (CodeRejected, OutcomeUnknown, ValifyMisconfigured):
        fail(error, otp_send)
    refuse(TooManyTries, otp_send)
    assert len(valify.at(VERIFY_PATH)) == 3
    assert verify_otp(make_send(), CODE).status == "verified"


def test_a_try_that_did_not_arrive_is_given_back(
    valify: ScriptedServer, configure: Configure
) -> None:
    configure(VERIFY_TRIES=1)
    valify.answer_token(answer(401), answer(503), answer(503), token())
    otp_send = make_send()
    assert fail(ValifyMisconfigured, otp_send).status == "failed"
    assert fail(ValifyUnreachable, otp_send).status == "failed"
    assert valify.at(VERIFY_PATH) == []
    assert verify_otp(otp_send, CODE).status == "verified"


def test_a_try_that_arrived_is_not_given_back(valify: ScriptedServer, configure: Configure) -> None:
    """Though there was no token to repeat it with."""
    configure(VERIFY_TRIES=1)
    valify.answer_token(token(), answer(401))
    valify.answer_verify(answer(403))
    otp_send = make_send()
    row = fail(ValifyMisconfigured, otp_send)
    assert (row.status, row.calls) == ("failed", 1)
    refuse(TooManyTries, otp_send)
    assert len(valify.at(VERIFY_PATH)) == 1


@pytest.mark.parametrize("otp", ["12345", "", None, 123456, "12345x"])
def test_what_is_no_code_is_no_try(valify: ScriptedServer, otp: Any) -> None:
    with pytest.raises(ValueError, match="six digits") as caught:
        verify_otp(make_send(), otp)
    assert not isinstance(caught.value, ValifyOtpError)
    assert not OtpVerification.objects.exists()


def test_a_bad_address_is_no_try(valify: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="ip_address"):
        verify_otp(make_send(), CODE, ip_address="somewhere")
    assert not OtpVerification.objects.exists()


def test_inside_a_transaction(valify: ScriptedServer) -> None:
    otp_send = make_send()
    with transaction.atomic(), pytest.raises(RuntimeError, match="verify_otp"):
        verify_otp(otp_send, CODE)
    assert not OtpVerification.objects.exists()
    assert valify.received == []


@pytest.mark.parametrize(
    ("path", "status", "calls"), [(VERIFY_PATH, "unknown", 1), (TOKEN_PATH, "failed", 0)]
)
def test_an_interrupted_try(
    valify: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    status: str,
    calls: int,
) -> None:
    otp_send = make_send()
    interrupt_answer_to(monkeypatch, path, SystemExit)
    with pytest.raises(SystemExit):
        verify_otp(otp_send, CODE)
    row = OtpVerification.objects.get()
    assert (row.status, row.reason, row.calls) == (status, "SystemExit", calls)
    assert tries.look(otp_send, deadline=25, using="default").spent == calls


@pytest.fixture
def told() -> Iterator[list[tuple[OtpSend, OtpVerification]]]:
    """What the signal told."""
    found: list[tuple[OtpSend, OtpVerification]] = []

    def receive(
        sender: type[OtpVerification],
        otp_send: OtpSend,
        verification: OtpVerification,
        **_kwargs: Any,
    ) -> None:
        found.append((otp_send, verification))

    otp_verified.connect(receive)
    yield found
    otp_verified.disconnect(receive)


Told = list[tuple[OtpSend, OtpVerification]]


def test_receivers_are_told_of_what_was_verified(valify: ScriptedServer, told: Told) -> None:
    valify.answer_verify(WRONG, verified())
    otp_send = make_send()
    fail(CodeRejected, otp_send)
    assert told == []
    verification = verify_otp(otp_send, CODE)
    assert told == [(otp_send, verification)]
    [(told_of, _)] = told
    assert told_of.verified_at == otp_send.verified_at == verification.settled_at


def test_a_receiver_that_raises_harms_nothing(valify: ScriptedServer) -> None:
    def refuse_to_listen(**_kwargs: Any) -> None:
        raise LookupError("broken receiver")

    otp_verified.connect(refuse_to_listen)
    try:
        assert verify_otp(make_send(), CODE).status == "verified"
    finally:
        otp_verified.disconnect(refuse_to_listen)


def meanwhile(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], object]) -> None:
    """Have this happen between the call and the record of its answer."""
    real = ValifyClient.verify_otp

    def verify(self: ValifyClient, **kwargs: Any) -> Any:
        found = real(self, **kwargs)
        happen()
        return found

    monkeypatch.setattr(ValifyClient, "verify_otp", verify)


def test_of_two_right_tries_one_wins(
    valify: ScriptedServer, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = timezone.now() - timedelta(seconds=1)
    meanwhile(monkeypatch, lambda: OtpSend.objects.update(verified_at=earlier))
    otp_send = make_send()
    with pytest.raises(NotVerifiable) as caught:
        verify_otp(otp_send, CODE)
    row = OtpVerification.objects.get()
    assert caught.value.verification == row
    assert (row.status, row.code) == ("rejected", "not_verifiable")
    assert row.reason == "another try has verified the send"
    assert OtpSend.objects.get().verified_at == earlier
    assert told == []


def settle_as_unknown() -> None:
    OtpVerification.objects.get().settle(
        status=OtpVerification.Status.UNKNOWN, code="outcome_unknown", settled_at=timezone.now()
    )


def test_a_late_answer_verifies_nothing(
    valify: ScriptedServer,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    meanwhile(monkeypatch, settle_as_unknown)
    assert fail(OutcomeUnknown).status == "unknown"
    assert told == []
    assert "late answer: status=verified" in caplog.text


def flaky_settle(monkeypatch: pytest.MonkeyPatch, *failures: Exception, after: bool) -> None:
    """``OtpVerification.settle`` that fails in the given ways first, before or after its work."""
    left = list(failures)
    real = OtpVerification.settle

    def settle(self: OtpVerification, **fields: Any) -> bool:
        if left and not after:
            raise left.pop()
        won = real(self, **fields)
        if left:
            raise left.pop()
        return won

    monkeypatch.setattr(OtpVerification, "settle", settle)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [False, True])
def test_a_lost_connection_loses_nothing(
    valify: ScriptedServer, told: Told, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    flaky_settle(monkeypatch, OperationalError("the connection was lost"), after=after)
    otp_send = make_send()
    verification = verify_otp(otp_send, CODE)
    assert verification.status == "verified"
    assert otp_send.verified_at == verification.settled_at
    assert len(told) == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_went_away(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flaky_settle(monkeypatch, *[OperationalError("away")] * 5, after=False)
    with pytest.raises(OperationalError):
        verify_otp(make_send(), CODE)
    row = OtpVerification.objects.get()
    assert f"otp_verification id={row.uuid} not settled: status=verified" in caplog.text
    assert row.status == "pending"


def test_texts_that_the_database_refuses_are_left_out(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    valify.answer_verify(verified(message="odd"))
    flaky_settle(monkeypatch, DataError("value too long"), after=False)
    assert verify_otp(make_send(), CODE).valify_message == ""


@pytest.mark.usefixtures("clock")
def test_the_sweep_settles_tries() -> None:
    otp_send = make_send()
    dead, young = make_overdue_try(otp_send), make_overdue_try(otp_send, seconds=34)
    assert sweep() == 1
    assert sweep() == 0
    dead.refresh_from_db()
    young.refresh_from_db()
    assert (dead.status, dead.code, dead.calls) == ("unknown", "outcome_unknown", 1)
    assert young.status == "pending"


def test_who_meets_a_dead_try_settles_it(valify: ScriptedServer, configure: Configure) -> None:
    configure(VERIFY_TRIES=2)
    otp_send = make_send()
    dead = make_overdue_try(otp_send)
    verify_otp(otp_send, CODE)
    dead.refresh_from_db()
    assert dead.status == "unknown"


def test_a_row_that_vanishes_does_not_stop_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    sends = [make_send() for _ in range(3)]
    for otp_send in sends:
        make_overdue_try(otp_send)
    real = OtpVerification.settle

    def settle(self: OtpVerification, **fields: Any) -> bool:
        OtpSend.objects.filter(pk=sends[1].pk).delete()
        return real(self, **fields)

    monkeypatch.setattr(OtpVerification, "settle", settle)
    assert sweep() == 2
    assert not OtpVerification.objects.filter(status="pending").exists()


@pytest.mark.django_db(transaction=True)
def test_housekeeping_that_fails_fails_nothing(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead try is left to a sweep."""
    otp_send = make_send()
    dead = make_overdue_try(otp_send)
    flaky_settle(monkeypatch, *[OperationalError("away")] * 5, after=False)
    assert verify_otp(otp_send, CODE).status == "verified"
    dead.refresh_from_db()
    assert dead.status == "pending"
    assert sweep() == 1


def test_a_dead_try_counts(valify: ScriptedServer, configure: Configure) -> None:
    configure(VERIFY_TRIES=1)
    otp_send = make_send()
    make_overdue_try(otp_send)
    refuse(TooManyTries, otp_send)


def test_who_tries_a_dead_send_settles_it(valify: ScriptedServer) -> None:
    long_ago = timezone.now() - timedelta(seconds=36)
    otp_send = make_send(status="pending", settled_at=None, called_at=long_ago, transaction_id="")
    refuse(NotVerifiable, otp_send)
    assert OtpSend.objects.get().status == "unknown"


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "verified"},
        {"status": "pending", "settled_at": timezone.now()},
        {"status": "sent", "settled_at": timezone.now()},
    ],
)
def test_the_database_refuses_what_cannot_be(fields: dict[str, Any]) -> None:
    otp_send = make_send()
    now = timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        OtpVerification.objects.create(otp_send=otp_send, caller="system", created_at=now, **fields)


def test_rows_show_no_more_than_their_id(valify: ScriptedServer) -> None:
    verification = verify_otp(make_send(), CODE)
    assert repr(verification) == f"<OtpVerification verified {verification.uuid}>"


def test_a_rejected_code_without_a_row_has_no_error_code() -> None:
    assert (CodeRejected().error_code, CodeRejected().tries_left) == ("", None)
    assert issubclass(exceptions.InvalidVerificationToken, ValueError)


def test_the_scripted_valify_has_its_eyes_open(valify: ScriptedServer) -> None:
    """The code is in the body of the call and nowhere else."""
    seen: list[Received] = []

    def look(sock: Any, received: Received) -> None:
        seen.append(received)
        verified()(sock, received)

    valify.answer_verify(look)
    verify_otp(make_send(), CODE)
    [received] = seen
    assert CODE.encode() in received.body
    assert CODE not in f"{received.path} {received.headers}"
