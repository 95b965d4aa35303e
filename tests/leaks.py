"""What is logged while a test runs, and which secrets may not be in it."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from django_valify_otp import verification_tokens
from django_valify_otp.otps import Otp
from django_valify_otp.valify.tokens import AccessToken

LOGGERS = ("django_valify_otp", "django.request", "requests", "urllib3")
WHOLE_NUMBER = re.compile(r"(?<![0-9a-f])(?:(?:\+|00)?20|0)?1[0125][0-9]{8}(?![0-9a-f])")
SIX_DIGITS = re.compile(r"(?<![0-9])[0-9]{6}(?![0-9])")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CREDENTIALS = ("tests-bundle-key", "tests-username", "tests-password", "tests-client")


class Watch(logging.Handler):
    """Every line of a DEBUG log, with its traceback, and the secrets that were in use."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []
        self.secrets: set[str] = set(CREDENTIALS)
        self.otps: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def found(self) -> list[str]:
        """Return the secrets, OTPs and whole numbers that were logged."""
        text = UUID.sub("", "\n".join(self.lines))
        secrets = sorted(secret for secret in self.secrets if secret in text)
        otps = sorted(self.otps & set(SIX_DIGITS.findall(text)))
        return [*secrets, *otps, *WHOLE_NUMBER.findall(text)]

    def remember_token(self, access_token: str) -> None:
        """Remember an access token, unless it is a word that stands in any text."""
        if len(access_token) > len("token"):
            self.secrets.add(access_token)


@contextmanager
def watched_logs() -> Iterator[Watch]:
    """Keep what we and requests log, and each token and OTP that is made."""
    watch = Watch()
    make_token, make_otp = AccessToken.__init__, Otp.__init__
    sign = verification_tokens.sign

    def remember_token(self: AccessToken, value: str, expires_at: float = 0.0) -> None:
        watch.remember_token(value)
        make_token(self, value, expires_at)

    def remember_otp(self: Otp, digits: str) -> None:
        watch.otps.add(digits)
        make_otp(self, digits)

    def sign_and_remember(*args: Any, **kwargs: Any) -> str:
        signed = sign(*args, **kwargs)
        watch.secrets.add(signed)
        return signed

    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(watch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AccessToken, "__init__", remember_token)
        patch.setattr(Otp, "__init__", remember_otp)
        patch.setattr(verification_tokens, "sign", sign_and_remember)
        yield watch
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(watch)
        logger.setLevel(level)
