"""Which access token makes the next call.

Valify's tokens live ten minutes and serve three calls; its customers are asked to use each one up
before they fetch another.
"""

import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeGuard

from django_valify_otp.exceptions import ValifyMisconfigured, ValifyUnreachable
from django_valify_otp.valify.transport import Deadline

# Printable ASCII without spaces: the only text that an Authorization header can carry.
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,8192}")
# A token must still be good when the call that took it arrives.
EXPIRY_MARGIN_SECONDS = 10


@dataclass(frozen=True)
class AccessToken:
    """An OAuth 2.0 bearer token; ``expires_at`` is on the monotonic clock, in seconds."""

    value: str = field(repr=False)
    expires_at: float = field(default=0.0, compare=False)

    @property
    def fingerprint(self) -> str:
        """Short text that tells tokens apart and does not give them away."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class NoToken:
    """Why there is no access token."""

    error: type[ValifyMisconfigured | ValifyUnreachable]
    reason: str
    message: str = ""


def is_usable(token: object) -> TypeGuard[str]:
    """Whether a token is text that an ``Authorization`` header can carry."""
    return isinstance(token, str) and _HEADER_SAFE.fullmatch(token) is not None


class FetchedTokens:
    """Tokens from Valify's token call, each used until it has expired or is used up.

    Threads never wait for each other's calls: whoever finds no token fetches one.
    """

    def __init__(self, fetch: Callable[[Deadline], AccessToken | NoToken], *, uses: int) -> None:
        self._fetch = fetch
        self._uses = uses
        self._pool: deque[AccessToken] = deque()
        self._lock = threading.Lock()

    def lease(self, deadline: Deadline) -> AccessToken | NoToken:
        """A token for one call, fetched if none is left."""
        usable_until = time.monotonic() + EXPIRY_MARGIN_SECONDS
        with self._lock:
            while self._pool:
                token = self._pool.popleft()
                if token.expires_at > usable_until:
                    return token
        return self.fresh(deadline)

    def fresh(self, deadline: Deadline) -> AccessToken | NoToken:
        """A token that was fetched just now, for one call; its other uses are kept."""
        token = self._fetch(deadline)
        if isinstance(token, AccessToken):
            with self._lock:
                self._pool.extend([token] * (self._uses - 1))
        return token

    def keep_at_most(self, token: AccessToken, uses: int) -> None:
        """Believe Valify where it says that a token has fewer uses left than were kept."""
        with self._lock:
            kept = self._pool.count(token)
            for _ in range(kept - uses):
                self._pool.remove(token)


class SuppliedTokens:
    """Tokens from a callable of the site's own."""

    def __init__(self, supply: Callable[[], object]) -> None:
        self._supply = supply

    def lease(self, _deadline: Deadline) -> AccessToken | NoToken:
        """What the callable returns, if it is a token."""
        try:
            token = self._supply()
        except Exception as error:  # noqa: BLE001 (anything may go wrong in the site's code)
            reason = f"ACCESS_TOKEN_CALLABLE raised {type(error).__name__}"
            return NoToken(error=ValifyMisconfigured, reason=reason)
        if not is_usable(token):
            reason = "ACCESS_TOKEN_CALLABLE returned no token"
            return NoToken(error=ValifyMisconfigured, reason=reason)
        return AccessToken(token)

    fresh = lease

    def keep_at_most(self, token: AccessToken, uses: int) -> None:
        """Nothing: the callable keeps its own account."""
