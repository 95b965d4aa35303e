"""Choose the access token for each call.

Valify's access tokens live ten minutes and serve three calls. It asks its customers to use each one
up before they fetch another. So the next one is fetched when the last use is taken, not before.
"""

import hashlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeGuard

from django_valify_otp.deadline import Deadline
from django_valify_otp.exceptions import ValifyMisconfigured, ValifyUnreachable

# Printable ASCII without spaces: the only text that an Authorization header can carry.
_HEADER_SAFE = re.compile(r"[\x21-\x7e]{1,8192}")
# A token must still be valid when its call arrives.
EXPIRY_MARGIN_SECONDS = 10
# Tokens that must have followed each other quickly before the next is fetched ahead of its use: few
# at first, many after one that was fetched ahead has expired unused, or after a refusal.
ROW = 2
ROW_AFTER_WASTE = 16
# Long: where a server runs no threads between its requests, the thread goes on at the next one.
FETCH_AHEAD_SECONDS = 300
# To wait for a token call that is quicker than this costs less than a thread.
WORTH_A_THREAD_SECONDS = 0.01
THREAD_NAME = "valify-access-token"


@dataclass(frozen=True)
class AccessToken:
    """An OAuth 2.0 bearer token; ``expires_at`` is on the monotonic clock, in seconds."""

    value: str = field(repr=False)
    expires_at: float = field(default=0.0, compare=False)

    @property
    def fingerprint(self) -> str:
        """Return a short text that tells tokens apart, and from which none can be guessed."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class NoToken:
    """Why there is no access token."""

    error: type[ValifyMisconfigured | ValifyUnreachable]
    reason: str
    message: str = ""


def is_usable(token: object) -> TypeGuard[str]:
    """Return whether this is a text that an ``Authorization`` header can carry."""
    return isinstance(token, str) and _HEADER_SAFE.fullmatch(token) is not None


class FetchedTokens:
    """Tokens from Valify's token call. Each is used until it has expired or is used up.

    The pool holds a token once for each of its remaining uses. A thread that finds none fetches
    one, and never waits for another thread's fetch. In a steady stream of calls it finds one: who
    takes the last use starts a thread that fetches the next token.
    """

    def __init__(self, fetch: Callable[[Deadline], AccessToken | NoToken], *, uses: int) -> None:
        self._fetch = fetch
        self._uses = uses
        self._pool: deque[AccessToken] = deque()
        self._lock = threading.Lock()
        self._is_fetching_ahead = False
        self._arrived_at = 0.0
        self._took_seconds = 0.0
        self._row = 0
        self._wanted_row = ROW

    def lease(self, deadline: Deadline) -> AccessToken | NoToken:
        """Return a token for one call. Fetch one if none is left."""
        with self._lock:
            self._drop_expired()
            token = self._pool.popleft() if self._pool else None
        if token is None:
            return self.fresh(deadline)
        self._fetch_ahead()
        return token

    def fresh(self, deadline: Deadline) -> AccessToken | NoToken:
        """Fetch a token and return it for one call. Keep its other uses."""
        token = self._fetch_and_keep(deadline, self._uses - 1)
        if isinstance(token, AccessToken):
            self._fetch_ahead()
        return token

    def _drop_expired(self) -> None:
        usable_until = time.monotonic() + EXPIRY_MARGIN_SECONDS
        before = len(self._pool)
        while self._pool and self._pool[0].expires_at <= usable_until:
            self._pool.popleft()
        if before - len(self._pool) >= self._uses:
            self._wanted_row = ROW_AFTER_WASTE

    def _fetch_and_keep(self, deadline: Deadline, uses: int) -> AccessToken | NoToken:
        asked_at = time.monotonic()
        token = self._fetch(deadline)
        if isinstance(token, AccessToken):
            now = time.monotonic()
            half_life = (token.expires_at - now) / 2
            with self._lock:
                self._pool.extend([token] * uses)
                self._row = self._row + 1 if now - self._arrived_at < half_life else 1
                self._arrived_at = now
                self._took_seconds = now - asked_at
        return token

    def _fetch_ahead(self) -> None:
        """Fetch the next token in a thread if no use is left, and one is likely to be needed."""
        with self._lock:
            is_worth_it = self._took_seconds >= WORTH_A_THREAD_SECONDS
            is_wanted = not self._pool and self._row >= self._wanted_row and is_worth_it
            # Not while the process ends: nobody would use the token.
            if self._is_fetching_ahead or not is_wanted or not threading.main_thread().is_alive():
                return
            self._is_fetching_ahead = True
        try:
            threading.Thread(target=self._fetch_next, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:  # the process can start no more threads
            self._is_fetching_ahead = False

    def _fetch_next(self) -> None:
        try:
            self._fetch_and_keep(Deadline(FETCH_AHEAD_SECONDS), self._uses)
        finally:
            self._is_fetching_ahead = False

    def keep_at_most(self, token: AccessToken, uses: int) -> None:
        """Keep no more uses of the token than these."""
        with self._lock:
            kept = self._pool.count(token)
            for _ in range(kept - uses):
                self._pool.remove(token)

    def forget_all(self) -> None:
        """Keep no token after a refusal: perhaps a new token revokes those before it."""
        with self._lock:
            self._pool.clear()
            self._row = 0
            self._wanted_row = ROW_AFTER_WASTE


class SuppliedTokens:
    """Tokens from the callable that the site names as ``ACCESS_TOKEN_CALLABLE``."""

    def __init__(self, supply: Callable[[], object]) -> None:
        self._supply = supply

    def lease(self, _deadline: Deadline) -> AccessToken | NoToken:
        """Return the token that the callable returns."""
        try:
            token = self._supply()
        except Exception as error:  # noqa: BLE001 (the site's code may raise anything)
            reason = f"ACCESS_TOKEN_CALLABLE raised {type(error).__name__}"
            return NoToken(error=ValifyMisconfigured, reason=reason)
        if not is_usable(token):
            reason = "ACCESS_TOKEN_CALLABLE returned no token"
            return NoToken(error=ValifyMisconfigured, reason=reason)
        return AccessToken(token)

    fresh = lease

    def keep_at_most(self, token: AccessToken, uses: int) -> None:
        """Do nothing: the callable counts the uses of its tokens."""

    def forget_all(self) -> None:
        """Do nothing: the callable keeps its tokens."""
