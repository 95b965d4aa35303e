"""The messages that the sandbox has sent, instead of a phone that receives them."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django_valify_otp.sandbox.codes import Code

# Enough for a load test, few enough for a sandbox that is never restarted.
MESSAGES_KEPT = 10_000

TEXTS = {
    "en": "{code} is your verification code. It expires in 10 minutes.",
    "ar": "رمز التحقق الخاص بك هو {code}. تنتهي صلاحيته خلال 10 دقائق.",
}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One SMS or e-mail: ``phone_number`` or ``email`` says to whom, the other is empty."""

    phone_number: str = ""
    email: str = ""
    code: str
    lang: str
    text: str
    transaction_id: str
    sent_at: datetime

    @property
    def recipient(self) -> str:
        """The number or the address."""
        return self.phone_number or self.email

    def as_json(self) -> dict[str, str]:
        """The message as the inbox prints it."""
        return {**asdict(self), "sent_at": self.sent_at.isoformat()}

    @classmethod
    def from_json(cls, printed: Mapping[str, Any]) -> "Message":
        """The message that the inbox printed."""
        return cls(**{**printed, "sent_at": datetime.fromisoformat(printed["sent_at"])})


class Inbox:
    """The messages to all numbers and addresses, for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest_first: deque[Message] = deque(maxlen=MESSAGES_KEPT)

    def deliver(self, code: Code, *, lang: str, phone_number: str = "", email: str = "") -> Message:
        """The message with this code, as the number or the address received it."""
        with self._lock:
            message = Message(
                phone_number=phone_number,
                email=email,
                code=code.digits,
                lang=lang,
                text=TEXTS[lang].format(code=code.digits),
                transaction_id=code.transaction_id,
                sent_at=datetime.now(UTC),
            )
            self._newest_first.appendleft(message)
        return message

    def messages(self, phone_number: str | None = None) -> list[Message]:
        """The messages to one number, or to all, newest first."""
        with self._lock:
            found = list(self._newest_first)
        return [m for m in found if phone_number is None or m.phone_number == phone_number]

    def clear(self) -> None:
        """Forget all messages."""
        with self._lock:
            self._newest_first.clear()
