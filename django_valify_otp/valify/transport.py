"""Send HTTP requests to Valify, bounded in time and size, and tell how far each one got."""

import json
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import requests
from urllib3.exceptions import ProxyError

from django_valify_otp.deadline import Deadline
from django_valify_otp.valify.bounded_http import (
    BODY_LIMIT,
    BoundedAdapter,
    Exchange,
    current_exchange,
)

# More than a process has threads, so that no connection is thrown away.
POOL_SIZE = 256
REPEAT_AFTER_SECONDS = 0.25
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "django-valify-otp",
}
# The message of http.client for a proxy that refused to connect.
_PROXY_REFUSAL = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")


@dataclass(frozen=True)
class Reply:
    """A complete HTTP reply; ``body`` is empty if it was too long or badly compressed."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None


@dataclass(frozen=True)
class NoReply:
    """No complete reply. Unless ``connected``, Valify has certainly not seen the request."""

    reason: str
    connected: bool


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return no target: requests reads a ``Location`` even if it must not follow it."""


class Transport:
    """One pooled session to one host, for all threads of one process."""

    def __init__(self, *, base_url: str, connect_timeout: float, read_timeout: float) -> None:
        """Set up the session, without any connection. Timeouts are in seconds."""
        self._base_url = base_url
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._session = _Session()
        # Plain HTTP is for a sandbox, on this machine or beside it: no proxy is between.
        self._session.trust_env = not base_url.startswith("http://")
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = BoundedAdapter(pool_connections=1, pool_maxsize=POOL_SIZE)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._prepared: tuple[requests.PreparedRequest, Mapping[str, Any]] | None = None

    def _prepare_once(self) -> tuple[requests.PreparedRequest, Mapping[str, Any]]:
        """Return a request to copy, and the environment's proxies and authorities to send it with.

        Not in ``__init__``, as requests refuses some URLs, and not as a ``cached_property``, whose
        lock belongs to the class until Python 3.12: a fork could leave it locked.
        """
        if self._prepared is None:
            # Without the session, which would add a password from ~/.netrc.
            request = requests.Request("POST", self._base_url, headers=HEADERS).prepare()
            environment = self._session.merge_environment_settings(
                self._base_url, {}, stream=True, verify=None, cert=None
            )
            self._prepared = request, environment
        return self._prepared

    def post(
        self,
        path: str,
        fields: Mapping[str, str],
        *,
        access_token: str | None,
        deadline: Deadline,
        repeat_if: Callable[[Reply | NoReply], bool],
        count_call: Callable[[], None],
    ) -> Reply | NoReply:
        """Post JSON with an access token, or a form without one, and return the reply.

        Repeat it once if ``repeat_if`` and the time allow. Call ``count_call`` when the connection
        stands: from then on, the request may arrive.
        """
        reply = self._post(path, fields, access_token, deadline, count_call)
        if repeat_if(reply) and deadline.remaining() > REPEAT_AFTER_SECONDS:
            time.sleep(REPEAT_AFTER_SECONDS)
            reply = self._post(path, fields, access_token, deadline, count_call)
        return reply

    def _post(
        self,
        path: str,
        fields: Mapping[str, str],
        access_token: str | None,
        deadline: Deadline,
        count_call: Callable[[], None],
    ) -> Reply | NoReply:
        exchange = Exchange(deadline, self._connect_timeout, self._read_timeout, count_call)
        reset = current_exchange.set(exchange)
        try:
            template, environment = self._prepare_once()
            with self._session.send(
                _request(template, path, fields, access_token),
                allow_redirects=False,
                timeout=(self._connect_timeout, self._read_timeout),
                **environment,
            ) as response:
                body = _read_body(response)
        except Exception as error:  # noqa: BLE001 (ssl, http.client and urllib3 let theirs through)
            return NoReply(_reason(error), connected=exchange.connected)
        finally:
            current_exchange.reset(reset)
        return Reply(response.status_code, body, response.headers.get("Retry-After"))

    def close(self) -> None:
        """Close the idle connections. A connection in use is closed when its call ends."""
        self._session.close()


def _request(
    template: requests.PreparedRequest,
    path: str,
    fields: Mapping[str, str],
    access_token: str | None,
) -> requests.PreparedRequest:
    request = template.copy()
    request.url = f"{str(template.url).removesuffix('/')}{path}"
    if access_token is None:
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        request.body = urlencode(fields).encode()
    else:
        request.headers["Content-Type"] = "application/json"
        request.headers["Authorization"] = f"Bearer {access_token}"
        request.body = json.dumps(fields).encode()
    request.headers["Content-Length"] = str(len(request.body))
    return request


def _read_body(response: requests.Response) -> bytes:
    body = b""
    # The read that returns the end of an incomplete body closes nothing: the next one raises.
    while len(body) <= BODY_LIMIT and not response.raw.closed:
        body += response.raw.read(BODY_LIMIT + 1 - len(body), decode_content=False)
    if response.headers.get("Content-Encoding", "").lower() in {"gzip", "x-gzip"}:
        body = _gunzip(body)
    return body if len(body) <= BODY_LIMIT else b""


def _gunzip(body: bytes) -> bytes:
    """Decompress a body that was compressed unasked, up to the limit."""
    try:
        return zlib.decompressobj(wbits=31).decompress(body, BODY_LIMIT + 1)
    except zlib.error:
        return b""


def _reason(error: BaseException) -> str:
    """Return the first cause as a class name or a status: an error's text holds the request."""
    is_from_proxy = False
    while (earlier := error.__cause__ or error.__context__) is not None:
        is_from_proxy = is_from_proxy or isinstance(error, ProxyError)
        error = earlier
    if refusal := _PROXY_REFUSAL.match(str(error)):
        return f"the proxy answered HTTP {refusal[1]}"
    return f"{'the proxy: ' if is_from_proxy else ''}{type(error).__name__}"
