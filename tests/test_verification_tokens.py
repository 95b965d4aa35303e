"""What a verification proves to the rest of the site, and how often."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from django_valify_otp import verification_tokens
from django_valify_otp.exceptions import InvalidVerificationToken
from django_valify_otp.models import OtpSend
from django_valify_otp.services import read_verification_token, redeem_verification_token
from tests.factories import NUMBER, make_verification

pytestmark = pytest.mark.django_db


def refuse(token: Any, **arguments: Any) -> None:
    for use in (read_verification_token, redeem_verification_token):
        with pytest.raises(InvalidVerificationToken) as caught:
            use(token, **arguments)
        assert caught.value.code == "invalid_verification_token"
        assert not str(token) or str(token) not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize("purpose", ["", "signup"])
def test_once(purpose: str) -> None:
    verification = make_verification(purpose=purpose)
    token = verification.token
    for _ in range(2):
        assert read_verification_token(token, purpose=purpose) == NUMBER
    assert redeem_verification_token(token, purpose=purpose) == NUMBER
    verification.refresh_from_db()
    assert verification.redeemed_at is not None
    refuse(token, purpose=purpose)


def test_a_token_shows_neither_number_nor_purpose() -> None:
    token = make_verification(purpose="signup").token
    assert NUMBER not in token
    assert "signup" not in token
    assert token.isascii()


@pytest.mark.parametrize("asked", ["", "login", "signup2", "signup:", "Signup"])
def test_another_purpose(asked: str) -> None:
    token = make_verification(purpose="signup").token
    refuse(token, purpose=asked)
    assert redeem_verification_token(token, purpose="signup") == NUMBER


def test_no_purpose_is_not_every_purpose() -> None:
    refuse(make_verification().token, purpose="signup")


def test_another_number_s_token_is_another() -> None:
    first, second = make_verification(), make_verification()
    OtpSend.objects.filter(pk=second.otp_send_id).update(phone_number="01112345678")
    assert redeem_verification_token(first.token) == NUMBER
    assert redeem_verification_token(second.token) == "01112345678"


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "is_good"), [(599, True), (601, False)])
def test_the_lifetime_of_a_token(seconds: int, *, is_good: bool) -> None:
    settled_at = timezone.now() - timedelta(seconds=seconds)
    token = make_verification(settled_at=settled_at).token
    if is_good:
        assert redeem_verification_token(token) == NUMBER
    else:
        refuse(token)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "rejected"},
        {"status": "unknown"},
        {"status": "pending", "settled_at": None},
    ],
)
def test_what_was_not_verified_has_no_token(fields: dict[str, Any]) -> None:
    verification = make_verification(**fields)
    assert verification.token == ""
    refuse(verification_tokens.sign(verification.uuid, purpose=""))


@pytest.mark.parametrize(
    "token",
    ["", "x", "a:b", None, 5, b"x", ["x"], "\x00", "\ud800", "\ud800:x", "ع:x", "x" * 10_000],
)
def test_what_is_no_token(token: Any) -> None:
    refuse(token)


def test_a_forged_token() -> None:
    verification = make_verification()
    other = make_verification()
    signature = verification.token.rpartition(":")[2]
    refuse(f"{other.uuid.hex}:{signature}")
    refuse(verification.token[:-1])
    refuse(f"{verification.token}x")


def test_another_site_s_secret_key(settings: Settings) -> None:
    token = make_verification().token
    settings.SECRET_KEY = "another"
    refuse(token)
    settings.SECRET_KEY_FALLBACKS = ["tests"]
    assert redeem_verification_token(token) == NUMBER


def test_a_failed_sign_up_gives_it_back() -> None:
    token = make_verification(purpose="signup").token

    def sign_up(username: str) -> None:
        with transaction.atomic():
            number = redeem_verification_token(token, purpose="signup")
            User.objects.create_user(username, first_name=number)
            if not username.isalpha():
                raise LookupError

    with pytest.raises(LookupError):
        sign_up("mona1")
    assert not User.objects.exists()
    sign_up("mona")
    assert User.objects.get().first_name == NUMBER
    refuse(token, purpose="signup")


def test_a_row_that_is_gone() -> None:
    verification = make_verification()
    token = verification.token
    verification.otp_send.delete()
    refuse(token)
