import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import settlement, verification_tokens
from django_valify_otp.otps import Otp
from django_valify_otp.valify.transport import BearerAuth
from tests.scripted_server import ScriptedServer, sent, token, verified
from tests.test_admin import logged_in
from tests.test_api import staff
from tests.test_totals import Clock

WHOLE_NUMBER = re.compile(r"(?<![0-9a-f])(?:(?:\+|00)?20|0)?1[0125][0-9]{8}(?![0-9a-f])")


SIX_DIGITS = re.compile(r"(?<![0-9])[0-9]{6}(?![0-9])")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class KeptLog(logging.Handler):
    """Every line of a DEBUG log, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log() -> Iterator[None]:
    """Fails the run if a secret, an OTP or a whole number was logged by us or by requests."""
    log = KeptLog()
    tokens, otps, proofs = set[str](), set[str](), set[str]()
    remember_token, remember_otp = BearerAuth.__init__, Otp.__init__
    sign = verification_tokens.sign

    def remembering_token(self: BearerAuth, access_token: str) -> None:
        tokens.add(access_token)
        remember_token(self, access_token)

    def remembering_proof(*args: Any, **kwargs: Any) -> str:
        proofs.add(sign(*args, **kwargs))
        return sign(*args, **kwargs)

    def remembering_otp(self: Otp, digits: str) -> None:
        otps.add(digits)
        remember_otp(self, digits)

    names = ("django_valify_otp", "django.request", "requests", "urllib3")
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BearerAuth, "__init__", remembering_token)
        patch.setattr(Otp, "__init__", remembering_otp)
        patch.setattr(verification_tokens, "sign", remembering_proof)
        yield
    for logger in loggers:
        logger.removeHandler(log)
    secrets = {"tests-bundle-key", "tests-username", "tests-password", "tests-client"}
    # Shorter ones are words, such as "one", that stand in any text.
    secrets |= {token for token in tokens if len(token) > len("token")}
    secrets |= proofs
    text = UUID.sub("", "\n".join(log.lines))
    assert not [secret for secret in secrets if secret in text]
    assert not WHOLE_NUMBER.findall(text)
    assert not otps & set(SIX_DIGITS.findall(text))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is tried again at once."""
    monkeypatch.setattr(settlement, "WRITE_PAUSES_SECONDS", (0, 0, 0, 0))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A Valify that sends and verifies, until it is told otherwise."""
    scripted = ScriptedServer()
    scripted.answer_token(token())
    scripted.answer_send(sent())
    scripted.answer_verify(verified())
    yield scripted
    scripted.close()


@pytest.fixture
def valify(server: ScriptedServer, settings: Settings) -> ScriptedServer:
    """The scripted Valify, as the one of the settings."""
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "BASE_URL": server.base_url}
    return server


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("mona")


@pytest.fixture
def api(user: User) -> APIClient:
    """A client of the API that is logged in as ``user``."""
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def desk(db: None) -> Client:
    """The admin, as somebody who may view attempts."""
    return logged_in(staff("view_otpsend"))


@pytest.fixture
def inspector(db: None) -> Client:
    """The admin, as somebody who may view whole numbers too."""
    return logged_in(staff("view_otpsend", "view_phone_number"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Clock:
    """A time of day that stands still, in Cairo."""
    settings.TIME_ZONE = "Africa/Cairo"
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock
