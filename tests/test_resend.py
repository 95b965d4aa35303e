"""``resend_at`` is the moment from which the next send is admitted, and not one before it."""

import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from django_valify_otp import tallies
from django_valify_otp.exceptions import (
    OtpRejected,
    OutcomeUnknown,
    SendingPaused,
    SendLimitReached,
    ValifyMisconfigured,
    ValifyOtpError,
)
from django_valify_otp.limits import MOST_ROWS_COUNTED, Scope
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.services import send_otp
from tests.clock import NOW, Clock
from tests.configuration import Configure
from tests.crowds import (
    extend,
    make_attempts,
    make_random_attempts,
    of_caller,
    of_number,
    recount,
    seconds_before,
    settle_some,
)
from tests.factories import NUMBER
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up

pytestmark = pytest.mark.django_db

HOUR = 3600
NO_LIMITS: dict[str, list[str]] = {"NUMBER_SEND_LIMITS": [], "USER_SEND_LIMITS": []}
MakeScope = Callable[..., Scope]
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tallies of some ten attempts, and none that another test has read."""
    monkeypatch.setattr(tallies, "STEP", 10)
    monkeypatch.setattr(tallies, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(tallies, "_chains", {})


def waited(otp_send: OtpSend) -> float:
    """Return the seconds until the next send is allowed, as the row tells."""
    otp_send.refresh_from_db()
    assert otp_send.resend_at is not None
    return (otp_send.resend_at - otp_send.created_at).total_seconds()


def check_moment(clock: Clock, **arguments: Any) -> OtpSend | None:
    """Send, and compare what the row tells with what happens then; ``None`` if none is sent."""
    try:
        otp_send = send_otp(NUMBER, **arguments)
    except SendLimitReached:
        return None
    in_memory = otp_send.resend_at
    otp_send.refresh_from_db()
    assert otp_send.resend_at is not None
    assert otp_send.resend_at == in_memory
    assert otp_send.resend_at >= otp_send.created_at
    if otp_send.resend_at > otp_send.created_at:
        clock.now = otp_send.resend_at - MICROSECOND
        with pytest.raises(SendLimitReached):
            send_otp(NUMBER, **arguments)
    clock.now = otp_send.resend_at
    return send_otp(NUMBER, **arguments)


def random_limits(chance: random.Random, counts: Iterable[int], seconds: int) -> list[str]:
    return [f"{count}/{chance.randint(1, seconds)}s" for count in counts]


@pytest.mark.parametrize("seed", range(12))
def test_the_next_send_is_admitted_then_and_not_before(
    valify: ScriptedServer, configure: Configure, clock: Clock, user: User, seed: int
) -> None:
    chance = random.Random(seed)
    make_random_attempts(chance, clock.now - timedelta(seconds=300), seconds=299, count=80)
    OtpSend.objects.filter(caller="user:1").update(caller=f"user:{user.pk}")
    admitted = 0
    for _ in range(12):
        number = random_limits(chance, chance.choices(range(1, 60), k=3), 300)
        of_user = random_limits(chance, chance.choices(range(1, 60), k=2), 300)
        configure(NUMBER_SEND_LIMITS=number, USER_SEND_LIMITS=of_user)
        admitted += check_moment(clock, user=chance.choice([user, None])) is not None
        clock.pass_seconds(chance.randint(0, 20))
    assert admitted


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_tallied", [False, True])
@pytest.mark.parametrize("make", [of_number, of_caller])
def test_limits_that_tallies_count(
    valify: ScriptedServer,
    configure: Configure,
    clock: Clock,
    user: User,
    make: MakeScope,
    seed: int,
    *,
    is_tallied: bool,
) -> None:
    chance = random.Random(seed)
    start = NOW - timedelta(seconds=HOUR + 300)
    make_random_attempts(
        chance, start, seconds=HOUR + 299, count=1200, statuses=["sent", "sent", "pending"]
    )
    settle_some(chance)
    OtpSend.objects.filter(caller="user:1").update(caller=f"user:{user.pk}")
    value = NUMBER if make is of_number else f"user:{user.pk}"
    attempts = recount(make("1/1h", value=value), NOW - timedelta(seconds=HOUR))
    # One more place is left after this send, none, and there was none.
    for places in (2, 1, 0):
        scope = make(f"{attempts + places}/1h", value=value)
        configure(**{**NO_LIMITS, scope.key: [scope.limits[0].text]})
        if is_tallied:
            extend(scope, now=NOW)
        clock.now = NOW
        kept = {*OtpSend.objects.values_list("pk", flat=True)}
        found = check_moment(clock, user=user)
        assert (found is None) == (places == 0)
        if found:
            first = OtpSend.objects.exclude(pk__in=kept).earliest("pk")
            assert (waited(first) > 0) == (places == 1)
        OtpSend.objects.exclude(pk__in=kept).delete()
    assert attempts > MOST_ROWS_COUNTED


@pytest.mark.parametrize("count", range(19, 24))
def test_limits_at_the_edge_of_what_is_read_at_once(
    valify: ScriptedServer, configure: Configure, clock: Clock, count: int
) -> None:
    make_attempts(seconds_before(NOW, 60))
    for seconds in (count - 1, count, count + 1):
        configure(NUMBER_SEND_LIMITS=[f"{count}/{seconds}s", "300/1d"])
        clock.now = NOW
        found = check_moment(clock)
        assert (found is None) == (seconds > count)
        OtpSend.objects.filter(created_at__gte=NOW).delete()


def test_of_limits_with_the_same_count_the_longest_decides(
    valify: ScriptedServer, configure: Configure, clock: Clock
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s", "2/10m", "2/1h", "2/5m"])
    assert waited(send_otp(NUMBER)) == 60
    clock.pass_seconds(100)
    assert waited(send_otp(NUMBER)) == HOUR - 100


def test_limits_that_others_use_up_are_not_told(
    valify: ScriptedServer, configure: Configure, clock: Clock
) -> None:
    configure(IP_SEND_LIMITS=["1/1h"], GLOBAL_SEND_LIMITS=["1/1h"])
    assert waited(send_otp(NUMBER, ip_address="41.32.10.7")) == 0


def test_whoever_is_not_logged_in_has_no_limit_of_a_user(
    valify: ScriptedServer, configure: Configure, user: User
) -> None:
    configure(USER_SEND_LIMITS=["1/1h"])
    assert waited(send_otp(NUMBER)) == 0
    assert waited(send_otp(NUMBER, user=user)) == HOUR


@pytest.mark.parametrize(
    ("reply", "error", "is_told"),
    [
        (answer(422, {"message": "No", "error_code": 7}), OtpRejected, False),
        (answer(401), ValifyMisconfigured, False),
        (hang_up, OutcomeUnknown, True),
    ],
)
def test_rows_that_sent_nothing_have_no_moment(
    valify: ScriptedServer,
    configure: Configure,
    reply: Answer,
    error: type[ValifyOtpError],
    *,
    is_told: bool,
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    valify.answer_send(reply)
    with pytest.raises(error) as caught:
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert caught.value.otp_send
    assert (row.resend_at is not None) == is_told
    assert caught.value.otp_send.resend_at == row.resend_at


def test_refused_attempts_have_no_moment(valify: ScriptedServer, configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    send_otp(NUMBER)
    with pytest.raises(SendLimitReached):
        send_otp(NUMBER)
    SendBlock.objects.create(scope="everything")
    with pytest.raises(SendingPaused):
        send_otp(NUMBER)
    assert [row.resend_at for row in OtpSend.objects.filter(status="blocked")] == [None, None]


def test_a_repeated_request_is_told_the_moment_of_the_first(
    valify: ScriptedServer, configure: Configure, clock: Clock
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    first = send_otp(NUMBER, idempotency_key="c0ffee")
    clock.pass_seconds(7)
    assert send_otp(NUMBER, idempotency_key="c0ffee").resend_at == first.resend_at


def test_a_page_can_count_down(
    valify: ScriptedServer, configure: Configure, clock: Clock, api: APIClient
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    body = api.post("/otp/sends/", {"phone_number": NUMBER}, format="json").json()
    assert body["created_at"] == "2026-11-23T14:30:00+02:00"
    assert body["resend_at"] == "2026-11-23T14:31:00+02:00"
    clock.pass_seconds(30)
    assert api.get(f"/otp/sends/{body['id']}/").json() == body
