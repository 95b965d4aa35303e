"""Access tokens. Each lives for a limited time and serves a limited number of calls."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class IssuedToken:
    """How long an access token still lives, and how many calls it still serves."""

    expires_at: float
    uses_left: int


class IssuedTokens:
    """The access tokens that the sandbox has issued, safe for threads."""

    def __init__(self, *, lifetime: int, uses: int, clock: Callable[[], float]) -> None:
        self.lifetime = lifetime
        self._uses = uses
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, IssuedToken] = {}

    def issue(self) -> str:
        """Return a new token. Earlier tokens stay valid."""
        value = secrets.token_urlsafe(24)
        with self._lock:
            self._forget_expired()
            self._tokens[value] = IssuedToken(self._clock() + self.lifetime, self._uses)
        return value

    def spend(self, value: str) -> int | None:
        """Use the token once, and return how many uses it has left.

        Return ``None`` for a token that is unknown, expired or used up.
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
            # All tokens have the same lifetime, so the oldest expires first.
            oldest = next(iter(self._tokens))
            if self._tokens[oldest].expires_at > now:
                return
            del self._tokens[oldest]
