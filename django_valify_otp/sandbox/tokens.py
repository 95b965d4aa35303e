"""Access tokens, of which each lives for a while and serves a few calls."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Token:
    expires_at: float
    uses_left: int


class AccessTokens:
    """The tokens that the sandbox has issued, for all threads."""

    def __init__(self, *, lifetime: int, uses: int, clock: Callable[[], float]) -> None:
        self.lifetime = lifetime
        self._uses = uses
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}

    def issue(self) -> str:
        """A new token. Those before it stay valid."""
        value = secrets.token_urlsafe(24)
        with self._lock:
            self._forget_expired()
            self._tokens[value] = _Token(self._clock() + self.lifetime, self._uses)
        return value

    def spend(self, value: str) -> int | None:
        """How many uses the token has left after this one, or ``None`` if it cannot be used.

        A token that is unknown, expired or used up cannot be used.
        """
        with self._lock:
            self._forget_expired()
            token = self._tokens.get(value)
            if token is None:
                return None
            token.uses_left -= 1
            if not token.uses_left:
                del self._tokens[value]
            return token.uses_left

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._tokens:
            # All live equally long, so the oldest is the first to expire.
            oldest = next(iter(self._tokens))
            if self._tokens[oldest].expires_at > now:
                return
            del self._tokens[oldest]
