"""Limits and blocks: what counts, for how long, and what is said."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp.exceptions import (
    SendForbidden,
    SendingPaused,
    SendLimitReached,
    ValifyMisconfigured,
    ValifyUnreachable,
)
from django_valify_otp.models import LimitLock, OtpSend, SendBlock
from django_valify_otp.services import send_otp
from django_valify_otp.signals import otp_send_settled
from tests.clock import Clock
from tests.configuration import Configure
from tests.factories import make_send
from tests.scripted_server import SEND_PATH, ScriptedServer, answer, hang_up

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"
OTHER = "01112345678"
PUBLIC = "41.32.10.7"


def refused(number: str = NUMBER, **arguments: Any) -> SendLimitReached:
    rows = OtpSend.objects.count()
    with pytest.raises(SendLimitReached) as caught:
        send_otp(number, **arguments)
    row = caught.value.otp_send
    assert row is not None
    assert OtpSend.objects.count() == rows + 1
    row.refresh_from_db()
    assert (row.status, row.code) == ("blocked", "send_limit_reached")
    assert row.settled_at == row.created_at
    assert (row.called_at, row.calls, row.duration) == (None, 0, None)
    return caught.value


def blocked_by(error: SendLimitReached) -> str:
    assert error.otp_send is not None
    return error.otp_send.blocked_by


def test_one_limit(valify: ScriptedServer, configure: Configure, clock: Clock) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    send_otp(NUMBER)
    clock.pass_seconds(10.5)
    error = refused()
    assert error.retry_after == 50
    assert blocked_by(error) == "NUMBER_SEND_LIMITS 1/60s"
    send_otp(OTHER)
    clock.pass_seconds(49.4)
    assert refused().retry_after == 1
    clock.pass_seconds(0.1)
    send_otp(NUMBER)
    assert len(valify.at(SEND_PATH)) == 3


def test_the_window_slides(valify: ScriptedServer, configure: Configure, clock: Clock) -> None:
    configure(NUMBER_SEND_LIMITS=["2/60s"])
    for wait in (0, 40):
        clock.pass_seconds(wait)
        send_otp(NUMBER)
    assert refused().retry_after == 20
    clock.pass_seconds(20)
    send_otp(NUMBER)
    assert refused().retry_after == 40


def test_the_longest_wait_is_told(
    valify: ScriptedServer, configure: Configure, clock: Clock, user: User
) -> None:
    configure(
        NUMBER_SEND_LIMITS=["1/60s", "1/1h", "1/30s"],
        USER_SEND_LIMITS=["1/10m"],
        GLOBAL_SEND_LIMITS=["1/s"],
    )
    send_otp(NUMBER, user=user)
    error = refused(user=user)
    assert (error.retry_after, blocked_by(error)) == (3600, "NUMBER_SEND_LIMITS 1/1h")
    error = refused(OTHER, user=user)
    assert (error.retry_after, blocked_by(error)) == (600, "USER_SEND_LIMITS 1/10m")


def test_the_default_limits(valify: ScriptedServer, settings: Settings, clock: Clock) -> None:
    names = ("NUMBER_SEND_LIMITS", "USER_SEND_LIMITS", "IP_SEND_LIMITS", "GLOBAL_SEND_LIMITS")
    settings.VALIFY_OTP = {k: v for k, v in settings.VALIFY_OTP.items() if k not in names}
    for limit in ["1/60s"] * 4 + ["5/1h"]:
        send_otp(NUMBER)
        assert blocked_by(refused()) == f"NUMBER_SEND_LIMITS {limit}"
        clock.pass_seconds(60)
    error = refused()
    assert (error.retry_after, blocked_by(error)) == (3300, "NUMBER_SEND_LIMITS 5/1h")


def test_users(valify: ScriptedServer, configure: Configure, user: User) -> None:
    configure(USER_SEND_LIMITS=["1/1h"])
    send_otp(NUMBER, user=user)
    assert blocked_by(refused(OTHER, user=user)) == "USER_SEND_LIMITS 1/1h"
    send_otp(NUMBER, user=User.objects.create_user("other"))
    for _ in range(2):
        send_otp(NUMBER)
        send_otp(NUMBER, user=AnonymousUser())


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (PUBLIC, PUBLIC, True),
        (PUBLIC, f"{PUBLIC}:5678", True),
        (PUBLIC, f"::ffff:{PUBLIC}", True),
        (PUBLIC, "41.32.10.8", False),
        ("2a00:1450::1", "2a00:1450:0:0:ffff::2", True),
        ("2a00:1450::1", "2a00:1450:0:1::1", False),
        ("10.0.0.1", "10.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("fd00::1", "fd00::1", False),
        ("", "", False),
        (None, None, False),
    ],
)
def test_addresses(
    valify: ScriptedServer, configure: Configure, first: str, second: str, *, same: bool
) -> None:
    configure(IP_SEND_LIMITS=["1/1h"])
    send_otp(NUMBER, ip_address=first)
    if same:
        assert blocked_by(refused(OTHER, ip_address=second)) == "IP_SEND_LIMITS 1/1h"
    else:
        send_otp(OTHER, ip_address=second)


def test_everything(valify: ScriptedServer, configure: Configure) -> None:
    configure(GLOBAL_SEND_LIMITS=["2/1h"])
    send_otp(NUMBER)
    send_otp(OTHER)
    assert blocked_by(refused("01212345678")) == "GLOBAL_SEND_LIMITS 2/1h"


@pytest.mark.parametrize(
    ("status", "code", "counts", "counts_for_user"),
    [
        ("sent", "", True, True),
        ("pending", "", True, True),
        ("queued", "", True, True),
        ("unknown", "outcome_unknown", True, True),
        ("rejected", "rejected", False, True),
        ("failed", "valify_unreachable", False, False),
        ("blocked", "send_limit_reached", False, False),
    ],
)
def test_what_counts(
    valify: ScriptedServer,
    configure: Configure,
    user: User,
    status: str,
    code: str,
    *,
    counts: bool,
    counts_for_user: bool,
) -> None:
    is_open = status in OtpSend.OPEN
    make_send(
        status=status,
        code=code,
        caller=f"user:{user.pk}",
        limited_network=PUBLIC,
        settled_at=None if is_open else timezone.now(),
    )
    arguments: dict[str, Any] = {"user": user, "ip_address": PUBLIC}
    for key, is_counted in (
        ("NUMBER_SEND_LIMITS", counts),
        ("GLOBAL_SEND_LIMITS", counts),
        ("USER_SEND_LIMITS", counts_for_user),
        ("IP_SEND_LIMITS", counts_for_user),
    ):
        configure(**{**dict.fromkeys(LIMIT_KEYS, ()), key: ["1/1h"]})
        if is_counted:
            assert blocked_by(refused(**arguments)) == f"{key} 1/1h"
        else:
            OtpSend.objects.get(pk=send_otp(NUMBER, **arguments).pk).delete()


LIMIT_KEYS = ("NUMBER_SEND_LIMITS", "USER_SEND_LIMITS", "IP_SEND_LIMITS", "GLOBAL_SEND_LIMITS")


def test_a_refusal_uses_up_nothing(
    valify: ScriptedServer, configure: Configure, user: User
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"], USER_SEND_LIMITS=["2/1h"])
    send_otp(NUMBER, user=user)
    for _ in range(5):
        refused(user=user)
    send_otp(OTHER, user=user)
    assert blocked_by(refused("01212345678", user=user)) == "USER_SEND_LIMITS 2/1h"


def test_a_failed_attempt_frees_its_place(valify: ScriptedServer, configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    valify.answer_token(hang_up)
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    valify.answer_token(answer(401))
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    assert OtpSend.objects.filter(status="failed").count() == 2


def test_receivers_hear_of_refusals(valify: ScriptedServer, configure: Configure) -> None:
    told: list[str] = []

    def receive(otp_send: OtpSend, **_kwargs: Any) -> None:
        told.append(otp_send.status)

    configure(NUMBER_SEND_LIMITS=["1/1h"])
    otp_send_settled.connect(receive)
    send_otp(NUMBER)
    refused()
    otp_send_settled.disconnect(receive)
    assert told == ["sent", "blocked"]


def test_locks_are_made_when_missing(valify: ScriptedServer, configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["5/1h"])
    LimitLock.objects.all().delete()
    send_otp(NUMBER)
    assert LimitLock.objects.count() == LimitLock.COUNT
    # Each number has one lock; that of some of these is among the missing.
    LimitLock.objects.filter(pk__lt=LimitLock.COUNT / 2).delete()
    for number in range(8):
        send_otp(f"0111234567{number}")
    assert LimitLock.objects.count() == LimitLock.COUNT


@pytest.mark.parametrize(("number", "status"), [(NUMBER, 429), (OTHER, 201)])
def test_the_endpoint_tells_when_to_come_back(
    valify: ScriptedServer, configure: Configure, api: APIClient, number: str, status: int
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    api.post("/otp/sends/", {"phone_number": NUMBER}, format="json")
    response = api.post("/otp/sends/", {"phone_number": number}, format="json")
    assert response.status_code == status
    if status == 429:
        assert 0 < int(response.headers["Retry-After"]) <= 60
        row = OtpSend.objects.get(status="blocked")
        assert response.json() == {
            "detail": f"Please wait {response.headers['Retry-After']} seconds"
            " before you ask for another code.",
            "code": "send_limit_reached",
            "id": str(row.uuid),
            "error_code": None,
        }


def test_a_forged_header_is_no_other_client(
    valify: ScriptedServer, configure: Configure, api: APIClient
) -> None:
    configure(IP_SEND_LIMITS=["1/1h"])
    statuses = [
        api.post(
            "/otp/sends/",
            {"phone_number": number},
            format="json",
            headers={"X-Forwarded-For": forged},
            REMOTE_ADDR=PUBLIC,
        ).status_code
        for number, forged in ((NUMBER, "9.9.9.9"), (OTHER, "8.8.8.8"))
    ]
    assert statuses == [201, 429]


BLOCKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"scope": "everything"}, {}),
    ({"scope": "number", "value": "+20 10 1234 5678"}, {}),
    ({"scope": "prefix", "value": "01"}, {}),
    ({"scope": "prefix", "value": "010-123"}, {}),
    ({"scope": "prefix", "value": "+20 101"}, {}),
    ({"scope": "prefix", "value": "٠١٠١"}, {}),
    ({"scope": "prefix", "value": "1012"}, {}),
    ({"scope": "ip_address", "value": "::ffff:41.32.10.0/120"}, {"ip_address": PUBLIC}),
    ({"scope": "prefix", "value": NUMBER}, {}),
    ({"scope": "ip_address", "value": PUBLIC}, {"ip_address": PUBLIC}),
    ({"scope": "ip_address", "value": f"{PUBLIC}/32"}, {"ip_address": PUBLIC}),
    ({"scope": "ip_address", "value": "41.32.10.9/24"}, {"ip_address": PUBLIC}),
    ({"scope": "ip_address", "value": "0.0.0.0/0"}, {"ip_address": PUBLIC}),
    ({"scope": "ip_address", "value": "2A00:1450::/32"}, {"ip_address": "2a00:1450::1"}),
    ({"scope": "ip_address", "value": "10.0.0.0/8"}, {"ip_address": "10.1.2.3"}),
]


@pytest.mark.parametrize(("block", "arguments"), BLOCKS)
def test_blocks(valify: ScriptedServer, block: dict[str, Any], arguments: dict[str, Any]) -> None:
    saved = SendBlock.objects.create(**block)
    error = SendingPaused if block["scope"] == "everything" else SendForbidden
    with pytest.raises(error) as caught:
        send_otp(NUMBER, **arguments)
    assert type(caught.value) is error
    row = OtpSend.objects.get()
    assert caught.value.otp_send == row
    assert (row.status, row.code) == ("blocked", error.code)
    assert row.blocked_by == f"SendBlock {saved.pk}"
    assert valify.received == []
    saved.delete()
    assert send_otp(NUMBER, **arguments).status == "sent"


@pytest.mark.parametrize(
    "block",
    [
        {"scope": "number", "value": OTHER},
        {"scope": "prefix", "value": "011"},
        {"scope": "ip_address", "value": "41.32.11.0/24"},
        {"scope": "everything", "ends_at": timezone.now() - timedelta(seconds=1)},
    ],
)
def test_blocks_of_others(valify: ScriptedServer, block: dict[str, Any]) -> None:
    SendBlock.objects.create(**block)
    assert send_otp(NUMBER, ip_address=PUBLIC).status == "sent"


def test_blocked_users(valify: ScriptedServer, user: User) -> None:
    block = SendBlock.objects.create(scope="user", user=user)
    with pytest.raises(SendForbidden):
        send_otp(NUMBER, user=user)
    assert send_otp(NUMBER).status == "sent"
    assert send_otp(NUMBER, user=AnonymousUser()).status == "sent"
    other = User.objects.create_user("other")
    assert send_otp(NUMBER, user=other).status == "sent"
    user.delete()
    block.refresh_from_db()
    assert block.user is None
    block.reason = "kept for the record"
    block.save()
    assert send_otp(NUMBER).status == "sent"


def test_a_changed_block_is_normalised_too(valify: ScriptedServer) -> None:
    block = SendBlock.objects.create(scope="number", value=OTHER)
    block.value = "+20 10 1234 5678"
    block.save()
    with pytest.raises(SendForbidden):
        send_otp(NUMBER)


def test_a_block_ends(valify: ScriptedServer, clock: Clock) -> None:
    SendBlock.objects.create(scope="everything", ends_at=clock.now + timedelta(minutes=1))
    with pytest.raises(SendingPaused):
        send_otp(NUMBER)
    clock.pass_seconds(60)
    assert send_otp(NUMBER).status == "sent"


def test_a_block_is_said_before_a_limit(valify: ScriptedServer, configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    send_otp(NUMBER)
    SendBlock.objects.create(scope="number", value=NUMBER)
    with pytest.raises(SendForbidden):
        send_otp(NUMBER)
    SendBlock.objects.create(scope="everything")
    with pytest.raises(SendingPaused):
        send_otp(NUMBER)


@pytest.mark.parametrize(
    ("scope", "status", "code"),
    [("number", 403, "send_forbidden"), ("everything", 503, "sending_paused")],
)
def test_the_endpoint_says_blocks(
    valify: ScriptedServer, api: APIClient, scope: str, status: int, code: str
) -> None:
    SendBlock.objects.create(scope=scope, value=NUMBER if scope == "number" else "")
    response = api.post("/otp/sends/", {"phone_number": NUMBER}, format="json")
    assert response.status_code == status
    assert response.json()["code"] == code
    assert response.json()["id"] == str(OtpSend.objects.get().uuid)
    assert "Retry-After" not in response.headers


@pytest.mark.parametrize(
    "block",
    [
        {"scope": "number", "value": ""},
        {"scope": "number", "value": "0223456789"},
        {"scope": "prefix", "value": ""},
        {"scope": "prefix", "value": "0"},
        {"scope": "prefix", "value": "02"},
        {"scope": "prefix", "value": "+966"},
        {"scope": "prefix", "value": "abc"},
        {"scope": "prefix", "value": "010123456789"},
        {"scope": "ip_address", "value": ""},
        {"scope": "ip_address", "value": "41.32.10"},
        {"scope": "ip_address", "value": "41.32.10.0/33"},
        {"scope": "everything", "value": NUMBER},
        {"scope": "user"},
        {"scope": "user", "value": NUMBER},
        {"scope": "nothing", "value": NUMBER},
    ],
)
def test_blocks_that_could_never_apply_are_refused(block: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SendBlock.objects.create(**block)


def test_only_a_user_s_block_has_a_user(user: User) -> None:
    with pytest.raises(ValidationError):
        SendBlock.objects.create(scope="number", value=NUMBER, user=user)


def test_blocks_do_not_show_the_number(user: User) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    assert NUMBER not in f"{block}{block!r}"
    assert NUMBER not in str(SendBlock.objects.create(scope="prefix", value=NUMBER))
    assert str(SendBlock.objects.create(scope="prefix", value="0101")) == "prefix 0101"
    assert str(SendBlock.objects.create(scope="everything")) == "everything"
