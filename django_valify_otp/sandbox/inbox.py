"""The messages that the sandbox has sent, and who may read them."""

import ipaddress
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from django_valify_otp.sandbox.answers import (
    Refusal,
    SandboxAnswer,
    SandboxRequest,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.otps import IssuedOtp

# Enough for a load test, and few enough for a sandbox that is never restarted.
MESSAGES_KEPT = 10_000

TEXTS = {
    "en": "{otp} is your verification code. It expires in 10 minutes.",
    "ar": "رمز التحقق الخاص بك هو {otp}. تنتهي صلاحيته خلال 10 دقائق.",
}

_HOST = re.compile(r"(?:\[(?P<bracketed>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One SMS or e-mail, to ``phone_number`` or ``email``; the other of the two is empty.

    ``code`` holds the digits of the OTP.
    """

    phone_number: str = ""
    email: str = ""
    code: str
    lang: str
    text: str
    transaction_id: str
    sent_at: datetime

    @property
    def recipient(self) -> str:
        """Return the phone number or the e-mail address."""
        return self.phone_number or self.email

    def as_json(self) -> dict[str, str]:
        """Return the message as the inbox prints it."""
        return {**asdict(self), "sent_at": self.sent_at.isoformat()}

    @classmethod
    def from_json(cls, printed: Mapping[str, Any]) -> "Message":
        """Return the message that the inbox printed."""
        return cls(**{**printed, "sent_at": datetime.fromisoformat(printed["sent_at"])})


class Inbox:
    """The messages to all numbers and addresses, safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest_first: deque[Message] = deque(maxlen=MESSAGES_KEPT)

    def deliver(
        self, otp: IssuedOtp, *, lang: str, phone_number: str = "", email: str = ""
    ) -> Message:
        """Add a message with this OTP, and return it."""
        with self._lock:
            message = Message(
                phone_number=phone_number,
                email=email,
                code=otp.digits,
                lang=lang,
                text=TEXTS[lang].format(otp=otp.digits),
                transaction_id=otp.transaction_id,
                sent_at=datetime.now(UTC),
            )
            self._newest_first.appendleft(message)
        return message

    def messages(self, phone_number: str | None = None) -> list[Message]:
        """Return the messages to one number, or to all, newest first."""
        with self._lock:
            found = list(self._newest_first)
        return [m for m in found if phone_number is None or m.phone_number == phone_number]

    def clear(self) -> None:
        """Delete all messages."""
        with self._lock:
            self._newest_first.clear()


def messages_answer(messages: Sequence[Message]) -> SandboxAnswer:
    """Return the messages as JSON."""
    return json_answer({"messages": [message.as_json() for message in messages]})


def require_own_host(request: SandboxRequest) -> None:
    """Raise ``Refusal`` if a web page may have asked, through a name of its own.

    A web page can let its own host name resolve to this machine, and then read the answer, with all
    OTPs of a developer. It cannot do so with an address, a name without dots or ``localhost``.
    """
    if not all(_is_own(host.strip()) for host in request.headers.get_all("Host", [])):
        detail = "ask for the inbox by localhost, an IP address or a name without dots"
        raise Refusal(status_answer(HTTPStatus.FORBIDDEN, detail))


def _is_own(host: str) -> bool:
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    bracketed, name = found["bracketed"], found["name"]
    if bracketed is not None:
        return _is_address(bracketed)
    return "." not in name or name.lower().endswith(".localhost") or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
