"""Codes, of which each lives for a while and verifies once."""

import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

# As many as the inbox keeps messages: expired and spent ones too, so that they are told apart.
CODES_KEPT = 10_000


@dataclass
class Code:
    """Six digits, and the ID of the transaction that sent them."""

    transaction_id: str
    digits: str
    expires_at: float
    is_spent: bool = False


class Verdict(Enum):
    """What a code is found to be."""

    RIGHT = auto()
    WRONG = auto()
    EXPIRED = auto()
    SPENT = auto()
    UNKNOWN = auto()


class Codes:
    """The codes that went one way, for all threads."""

    def __init__(self, *, lifetime: int, clock: Callable[[], float]) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._codes: dict[str, Code] = {}

    def issue(self) -> Code:
        """A new code. Those before it stay valid."""
        code = Code(
            transaction_id=str(uuid.uuid4()),
            digits=f"{secrets.randbelow(1_000_000):06}",
            expires_at=self._clock() + self._lifetime,
        )
        with self._lock:
            self._codes[code.transaction_id] = code
            if len(self._codes) > CODES_KEPT:
                del self._codes[next(iter(self._codes))]
        return code

    def spend(self, *, transaction_id: str, digits: str) -> Verdict:
        """What these digits are for this transaction; the right ones are spent by that."""
        with self._lock:
            code = self._codes.get(transaction_id)
            if code is None:
                return Verdict.UNKNOWN
            if code.expires_at <= self._clock():
                return Verdict.EXPIRED
            if code.is_spent:
                return Verdict.SPENT
            if code.digits != digits:
                return Verdict.WRONG
            code.is_spent = True
            return Verdict.RIGHT
