"""The account of the live check, as the environment has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from django_valify_otp.phone_numbers import mask, normalize
from django_valify_otp.sandbox.process import ValifySandbox

FLAG = "VALIFY_LIVE"
PREFIX = "VALIFY_"
NUMBER = "VALIFY_LIVE_PHONE_NUMBER"
STAGING = "https://valifystage.com"
CREDENTIALS = ("BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
LOOPBACK = {"127.0.0.1", "localhost"}


def why_not(environment: Mapping[str, str]) -> str | None:
    """Return why the live check cannot run in this environment, or ``None`` if it can."""
    if environment.get(FLAG) != "1":
        return f"the live check sends SMS through Valify's staging host: set {FLAG}=1 to run it"
    names = [*(f"{PREFIX}{key}" for key in CREDENTIALS), NUMBER]
    missing = [name for name in names if not environment.get(name)]
    return f"the live check needs {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class LiveAccount:
    """Where Valify is, our credentials there, and the number that gets the SMS."""

    base_url: str
    phone_number: str = field(repr=False)
    credentials: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Return the account of an environment that ``why_not()`` finds nothing wrong with."""
        return cls(
            base_url=environment.get(f"{PREFIX}BASE_URL", STAGING).rstrip("/"),
            phone_number=normalize(environment[NUMBER]),
            credentials={key: environment[f"{PREFIX}{key}"] for key in CREDENTIALS},
        )

    @property
    def settings(self) -> dict[str, object]:
        """Return the keys of ``VALIFY_OTP`` for it."""
        return {**self.credentials, "BASE_URL": self.base_url}

    def read_otp(self) -> str:
        """Return the OTP that arrived last: from the sandbox's inbox, or from whoever has it."""
        if urlsplit(self.base_url).hostname in LOOPBACK:
            return ValifySandbox(self.base_url).inbox(self.phone_number)[0].code
        return input(f"The OTP that arrived last at {mask(self.phone_number)}: ")
