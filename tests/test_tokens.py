"""Which access token makes which call."""

import time
from collections.abc import Callable

import pytest

from django_valify_otp.exceptions import OutcomeUnknown, ValifyMisconfigured, ValifyUnreachable
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify.tokens import AccessToken
from tests.configuration import Configure
from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    Answer,
    ScriptedServer,
    answer,
    hang_up,
    sent,
    token,
)

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"
FORBIDDEN = answer(403, {"message": "Forbidden"})


def numbered_tokens(count: int) -> list[Answer]:
    return [token(f"token-{number}") for number in range(1, count + 1)]


def tokens_used(valify: ScriptedServer) -> list[str]:
    return [call.token for call in valify.at(SEND_PATH)]


def test_each_token_is_used_up(valify: ScriptedServer) -> None:
    valify.answer_token(*numbered_tokens(3))
    valify.answer_send(*[sent(trials_remaining=left) for left in (2, 1, 0, 2, 1, 0, 2)])
    rows = [send_otp(NUMBER) for _ in range(7)]
    assert tokens_used(valify) == ["token-1"] * 3 + ["token-2"] * 3 + ["token-3"]
    fingerprints = [row.token_fingerprint for row in rows]
    assert len(set(fingerprints)) == 3
    assert len(set(fingerprints[:3])) == 1
    assert not [print_ for print_ in fingerprints if "token" in print_]


def test_token_uses(valify: ScriptedServer, configure: Configure) -> None:
    configure(TOKEN_USES=1)
    valify.answer_token(*numbered_tokens(2))
    send_otp(NUMBER)
    send_otp(NUMBER)
    assert tokens_used(valify) == ["token-1", "token-2"]


@pytest.mark.parametrize(
    ("trials", "calls"), [("0", 1), (0, 1), ("1", 2), ("2", 3), ("30", 3), ("none", 3)]
)
def test_valify_s_count_overrules_ours_downwards(
    valify: ScriptedServer, trials: object, calls: int
) -> None:
    valify.answer_token(*numbered_tokens(2))
    valify.answer_send(sent(trials_remaining=trials), sent(trials_remaining=None))
    for _ in range(4):
        send_otp(NUMBER)
    assert tokens_used(valify).count("token-1") == calls


@pytest.mark.parametrize(
    ("expires_in", "calls"),
    [
        (600, 3),
        ("600", 3),
        (10**400, 3),
        (11, 3),
        (5, 1),
        (0, 1),
        ("0", 1),
        (-1, 3),
        (None, 3),
        ("soon", 3),
        ([600], 3),
    ],
)
def test_expires_in(valify: ScriptedServer, expires_in: object, calls: int) -> None:
    """What makes no sense is the documented ten minutes: a 403 would put it right."""
    valify.answer_token(token("token-1", expires_in=expires_in), token("token-2"))
    for _ in range(3):
        send_otp(NUMBER)
    assert tokens_used(valify).count("token-1") == calls


def test_expired_tokens_are_not_used(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    valify.answer_token(*numbered_tokens(2))
    send_otp(NUMBER)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 600)
    send_otp(NUMBER)
    assert tokens_used(valify) == ["token-1", "token-2"]


def test_a_refused_token_is_replaced_once(valify: ScriptedServer) -> None:
    valify.answer_token(*numbered_tokens(2))
    valify.answer_send(FORBIDDEN, sent())
    otp_send = send_otp(NUMBER)
    assert tokens_used(valify) == ["token-1", "token-2"]
    assert (otp_send.status, otp_send.calls) == (OtpSend.Status.SENT, 2)
    assert otp_send.token_fingerprint == AccessToken("token-2").fingerprint


def test_a_refused_token_is_not_used_again(valify: ScriptedServer) -> None:
    valify.answer_token(*numbered_tokens(2))
    valify.answer_send(FORBIDDEN, sent())
    for _ in range(3):
        send_otp(NUMBER)
    assert tokens_used(valify) == ["token-1", "token-2", "token-2", "token-2"]


def test_the_replacement_is_a_fresh_token(valify: ScriptedServer) -> None:
    """A token that was fetched before the refusal may have been revoked with the refused one."""
    valify.answer_token(*numbered_tokens(3))
    valify.answer_send(sent(), FORBIDDEN, sent(), FORBIDDEN, sent())
    send_otp(NUMBER)
    send_otp(NUMBER)
    send_otp(NUMBER)
    assert tokens_used(valify) == ["token-1", "token-1", "token-2", "token-2", "token-3"]


def test_refused_again(valify: ScriptedServer) -> None:
    valify.answer_token(*numbered_tokens(3))
    valify.answer_send(FORBIDDEN)
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.calls, row.http_status) == (OtpSend.Status.REJECTED, 2, 403)
    assert tokens_used(valify) == ["token-1", "token-2"]
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    assert tokens_used(valify)[2:] == ["token-3"]


def test_the_same_token_again_is_not_repeated(valify: ScriptedServer) -> None:
    valify.answer_send(FORBIDDEN)
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    assert OtpSend.objects.get().calls == 1
    assert len(valify.at(TOKEN_PATH)) == 2
    valify.answer_send(sent())
    send_otp(NUMBER)
    assert len(valify.at(TOKEN_PATH)) == 3, "a refused token was kept"


@pytest.mark.parametrize(
    ("second", "error"),
    [(answer(401), ValifyMisconfigured), (hang_up, ValifyUnreachable)],
)
def test_no_fresh_token_after_a_refusal(
    valify: ScriptedServer, second: Answer, error: type[Exception]
) -> None:
    valify.answer_token(token(), second)
    valify.answer_send(FORBIDDEN)
    with pytest.raises(error):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.calls) == (OtpSend.Status.FAILED, 1)
    assert row.token_fingerprint == AccessToken("token-1").fingerprint


def test_an_unknown_outcome_after_a_refusal_is_not_repeated(valify: ScriptedServer) -> None:
    valify.answer_token(*numbered_tokens(3))
    valify.answer_send(FORBIDDEN, hang_up)
    with pytest.raises(OutcomeUnknown):
        send_otp(NUMBER)
    assert OtpSend.objects.get().calls == 2
    assert len(valify.at(SEND_PATH)) == 2


SUPPLIED: list[object] = []


def supply() -> object:
    found = SUPPLIED.pop(0)
    if isinstance(found, Exception):
        raise found
    return found


@pytest.fixture
def supplied(valify: ScriptedServer, configure: Configure) -> Callable[..., ScriptedServer]:
    """The scripted Valify, with tokens from a callable of the site's."""
    SUPPLIED.clear()
    configure(ACCESS_TOKEN_CALLABLE="tests.test_tokens.supply")

    def supply_these(*tokens: object) -> ScriptedServer:
        SUPPLIED.extend(tokens)
        return valify

    return supply_these


def test_supplied_tokens_make_no_token_call(supplied: Callable[..., ScriptedServer]) -> None:
    valify = supplied("one", "two")
    send_otp(NUMBER)
    send_otp(NUMBER)
    assert tokens_used(valify) == ["one", "two"]
    assert valify.at(TOKEN_PATH) == []


def test_a_refused_supplied_token_is_replaced_once(
    supplied: Callable[..., ScriptedServer],
) -> None:
    valify = supplied("one", "two")
    valify.answer_send(FORBIDDEN, sent())
    assert send_otp(NUMBER).calls == 2
    assert tokens_used(valify) == ["one", "two"]


def test_the_same_supplied_token_is_not_repeated(
    supplied: Callable[..., ScriptedServer],
) -> None:
    valify = supplied("one", "one")
    valify.answer_send(FORBIDDEN)
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    assert tokens_used(valify) == ["one"]
    assert OtpSend.objects.get().status == OtpSend.Status.REJECTED


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (KeyError("secret"), "ACCESS_TOKEN_CALLABLE raised KeyError"),
        (None, "ACCESS_TOKEN_CALLABLE returned no token"),
        ("", "ACCESS_TOKEN_CALLABLE returned no token"),
        (b"token", "ACCESS_TOKEN_CALLABLE returned no token"),
        ("two words", "ACCESS_TOKEN_CALLABLE returned no token"),
    ],
)
def test_no_supplied_token(
    supplied: Callable[..., ScriptedServer], found: object, reason: str
) -> None:
    valify = supplied(found)
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.calls, row.reason) == (OtpSend.Status.FAILED, 0, reason)
    assert valify.received == []


def test_a_token_does_not_show_itself() -> None:
    assert "hush" not in repr(AccessToken("hush"))
