"""The ways to send and to verify that are measured beside each other."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.utils import timezone

from benchmarks.floor import (
    BUNDLE_KEY,
    CREDENTIALS,
    Floor,
    send_as_sample,
    session_without_environment,
)
from benchmarks.known_user import USER
from benchmarks.models import FloorSend
from benchmarks.site import IP_ADDRESS, post, shared_floor
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp, verify_otp

NO_LIMITS: dict[str, list[str]] = {
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "GLOBAL_SEND_LIMITS": [],
}
# Every kind of limit. None is reached: each send has a new number.
LIMITS = {
    "NUMBER_SEND_LIMITS": ["1/60s", "5/1h", "10/1d"],
    "USER_SEND_LIMITS": ["1000000/1h", "1000000/1d"],
    "IP_SEND_LIMITS": ["1000000/1h"],
    "GLOBAL_SEND_LIMITS": ["1000000/1h"],
}
OTP = "123456"
numbers = (f"0100{number:07}" for number in count())


def new_numbers(sends: int) -> list[Any]:
    """Return numbers that nothing was sent to."""
    return [next(numbers) for _ in range(sends)]


def floor_sends(sends: int) -> list[Any]:
    """Return rows of the floor's table that were sent."""
    now = timezone.now()
    return FloorSend.objects.bulk_create(
        FloorSend(
            uuid=uuid.uuid4(),
            phone_number=number,
            status="sent",
            transaction_id=uuid.uuid4().hex,
            created_at=now,
            settled_at=now,
        )
        for number in new_numbers(sends)
    )


def otp_sends(sends: int) -> list[Any]:
    """Return rows of the app's table that were sent by the user."""
    now = timezone.now()
    return OtpSend.objects.bulk_create(
        OtpSend(
            status="sent",
            phone_number=number,
            lang="en",
            user=USER,
            caller=f"user:{USER.pk}",
            transaction_id=uuid.uuid4().hex,
            created_at=now,
            called_at=now,
            settled_at=now,
        )
        for number in new_numbers(sends)
    )


@dataclass(frozen=True)
class Variant:
    """One way: ``floor`` names the variant that it is compared with."""

    name: str
    run: Callable[[Any], object]
    floor: str = "floor"
    limits: dict[str, list[str]] = field(default_factory=lambda: NO_LIMITS)
    items: Callable[[int], list[Any]] = new_numbers
    # Only what a send costs changes with the vendor's delay.
    is_delayed: bool = True


def valify_settings(base_url: str, limits: dict[str, list[str]]) -> dict[str, Any]:
    """Return ``VALIFY_OTP``."""
    account = {key.upper(): value for key, value in CREDENTIALS.items()}
    return {**account, "BUNDLE_KEY": BUNDLE_KEY, "BASE_URL": base_url, **limits}


def all_variants(base_url: str) -> list[Variant]:
    """Return the ways, each floor before those that are compared with it."""
    floor, site = shared_floor(base_url), WSGIHandler()
    leaner_floor = Floor(base_url, session_without_environment())

    def send(number: str) -> object:
        return send_otp(number, user=USER, ip_address=IP_ADDRESS)

    def send_with_key(number: str) -> object:
        return send_otp(number, user=USER, ip_address=IP_ADDRESS, idempotency_key=number)

    def verify(otp_send: OtpSend) -> object:
        return verify_otp(otp_send, OTP, user=USER, ip_address=IP_ADDRESS)

    def request_send(prefix: str) -> Callable[[str], None]:
        return lambda number: post(site, f"/{prefix}/sends/", {"phone_number": number})

    def request_verify(prefix: str) -> Callable[[Any], None]:
        return lambda row: post(site, f"/{prefix}/sends/{row.uuid}/verify/", {"otp": OTP})

    return [
        Variant("floor", floor.send),
        Variant("floor with the ORM", floor.send_with_orm),
        Variant("floor, no environment", leaner_floor.send, is_delayed=False),
        Variant("sample", lambda number: send_as_sample(base_url, number)),
        Variant("send_otp, limits off", send),
        Variant("send_otp, limits on", send, limits=LIMITS),
        Variant("send_otp, limits and key", send_with_key, limits=LIMITS),
        Variant("bare view", request_send("bare"), is_delayed=False),
        Variant("endpoint, limits off", request_send("otp"), "bare view", is_delayed=False),
        Variant("endpoint, limits on", request_send("otp"), "bare view", LIMITS, is_delayed=False),
        Variant(
            "verify floor", lambda row: floor.verify(row, OTP), items=floor_sends, is_delayed=False
        ),
        Variant("verify_otp", verify, "verify floor", items=otp_sends, is_delayed=False),
        Variant(
            "bare verify view",
            request_verify("bare"),
            "verify floor",
            items=floor_sends,
            is_delayed=False,
        ),
        Variant(
            "verify endpoint",
            request_verify("otp"),
            "bare verify view",
            items=otp_sends,
            is_delayed=False,
        ),
    ]
