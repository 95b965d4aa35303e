"""The ages of rows are judged by the database's clock, whatever this host's says."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from django.utils.timezone import now as true_now

from django_valify_otp.audit.periods import local
from django_valify_otp.audit.retention import purge
from django_valify_otp.audit.statistics import keep_daily_totals
from django_valify_otp.exceptions import (
    CodeExpired,
    InvalidVerificationToken,
    SendForbidden,
    SendLimitReached,
)
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from django_valify_otp.services import (
    get_send,
    read_verification_token,
    redeem_verification_token,
    retrieve_send,
    send_otp,
    sweep,
    verify_otp,
)
from tests.configuration import Configure
from tests.factories import NUMBER, make_try
from tests.history import kept_days, opened, send
from tests.scripted_server import ScriptedServer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("wrong_clock"),
]

# How old a row is may be off by the time that the test takes.
MARGIN = 30
LIFETIME, DEADLINE, PATIENCE = 600, 25, 35


@pytest.fixture(params=[timedelta(days=-2), timedelta(days=2)], ids=["behind", "ahead"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set this host's clock wrong."""
    monkeypatch.setattr(timezone, "now", lambda: true_now() + request.param)


def seconds_ago(seconds: float) -> datetime:
    """Return the moment so many seconds ago; the database's clock is right."""
    return true_now() - timedelta(seconds=seconds)


def is_now(moment: datetime | None) -> bool:
    """Tell whether the moment is of this test."""
    return moment is not None and abs(moment - true_now()) < timedelta(seconds=MARGIN)


def verification_of(seconds: float) -> OtpVerification:
    """Make a try that verified its send so many seconds ago."""
    then = seconds_ago(seconds)
    times = dict.fromkeys(("created_at", "called_at", "settled_at"), then)
    otp_send = send(then, verified_at=then)
    return make_try(otp_send, status="verified", code="", **times)


def overdue_try(seconds: float) -> OtpVerification:
    """Make a try whose call began so many seconds ago, and has no answer."""
    then = seconds_ago(seconds)
    times: dict[str, Any] = {"created_at": then, "called_at": then, "settled_at": None}
    return make_try(send(then), status="pending", code="", **times)


def test_when_a_row_was_made_and_settled(valify: ScriptedServer) -> None:
    otp_send = send_otp(NUMBER)
    verification = verify_otp(otp_send, "482913")
    assert is_now(otp_send.verified_at)
    for row in (otp_send, verification):
        assert row.created_at == row.called_at
        assert is_now(row.created_at)
        assert is_now(row.settled_at)


def test_how_long_a_limit_counts(valify: ScriptedServer, configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/10m"])
    send(seconds_ago(LIFETIME - MARGIN))
    with pytest.raises(SendLimitReached) as refused:
        send_otp(NUMBER)
    assert refused.value.retry_after
    assert 0 < refused.value.retry_after <= MARGIN
    OtpSend.objects.update(created_at=seconds_ago(LIFETIME + 1))
    assert send_otp(NUMBER).status == "sent"


def test_how_long_an_otp_lives(valify: ScriptedServer) -> None:
    old, young = (send(seconds_ago(LIFETIME + more)) for more in (1, -MARGIN))
    with pytest.raises(CodeExpired):
        verify_otp(old, "482913")
    assert verify_otp(young, "482913").status == "verified"


@pytest.mark.parametrize("use", [read_verification_token, redeem_verification_token])
def test_how_long_a_verification_token_lives(use: Callable[[str], str]) -> None:
    old, young = (verification_of(LIFETIME + more) for more in (1, -MARGIN))
    with pytest.raises(InvalidVerificationToken):
        use(old.token)
    assert use(young.token) == NUMBER


def test_when_a_token_was_redeemed() -> None:
    verification = verification_of(0)
    redeem_verification_token(verification.token)
    verification.refresh_from_db()
    assert is_now(verification.redeemed_at)


def test_how_long_holders_may_look() -> None:
    old, young = (send(seconds_ago(LIFETIME + more), caller="anonymous") for more in (1, -MARGIN))
    with pytest.raises(OtpSend.DoesNotExist):
        retrieve_send(old.uuid, user=AnonymousUser())
    assert retrieve_send(young.uuid, user=AnonymousUser()) == young


def test_how_long_a_block_holds(valify: ScriptedServer) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER, ends_at=seconds_ago(-MARGIN))
    with pytest.raises(SendForbidden):
        send_otp(NUMBER)
    block.ends_at = seconds_ago(1)
    block.save()
    assert send_otp(NUMBER).status == "sent"


@pytest.mark.parametrize("make", [lambda seconds: opened(seconds_ago(seconds)), overdue_try])
def test_which_calls_a_sweep_takes_for_lost(
    configure: Configure, make: Callable[[float], OtpSend | OtpVerification]
) -> None:
    configure(DEADLINE=DEADLINE)
    dead, live = make(PATIENCE + 1), make(PATIENCE - MARGIN)
    assert sweep() == 1
    dead.refresh_from_db()
    live.refresh_from_db()
    assert (dead.status, live.status) == ("unknown", "pending")
    assert is_now(dead.settled_at)


def test_which_call_a_read_takes_for_lost(configure: Configure) -> None:
    configure(DEADLINE=DEADLINE)
    dead, live = (opened(seconds_ago(PATIENCE + more)) for more in (1, -MARGIN))
    assert get_send(dead.uuid).status == "unknown"
    assert get_send(live.uuid).status == "pending"


def test_what_is_still_needed_when_all_of_a_number_is_purged(configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    needed = send(seconds_ago(3600 - MARGIN), status="unknown", transaction_id="")
    send(seconds_ago(3700), status="unknown", transaction_id="")
    assert [done.sends for done in purge(phone_number=NUMBER, anonymise=True)][-1] == 1
    assert OtpSend.objects.get(phone_number=NUMBER) == needed


def test_which_rows_are_old_enough_for_a_purge() -> None:
    week = 7 * 24 * 3600
    kept = send(seconds_ago(week - MARGIN))
    send(seconds_ago(week + 1))
    assert [done.sends for done in purge(days=7, phone_number=NUMBER, anonymise=True)][-1] == 1
    assert OtpSend.objects.get(phone_number=NUMBER) == kept


def test_which_days_are_closed() -> None:
    before_yesterday, today = (send(seconds_ago(days * 24 * 3600)) for days in (2, 0))
    keep_daily_totals()
    assert local(before_yesterday.created_at).date() in kept_days()
    assert local(today.created_at).date() not in kept_days()
