"""HTTP to Valify: pooled, bounded in time and size, and clear about how far a request got."""

import http.client
import io
import socket
import time
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

BODY_LIMIT = 64 * 1024
# Status line, headers, chunk framing and trailers on top of the body, in bytes.
ANSWER_LIMIT = 3 * BODY_LIMIT
# Above the number of threads of any one process, so that no connection is thrown away.
POOL_SIZE = 256
WITHOUT_BODY = {
    HTTPStatus.SWITCHING_PROTOCOLS,
    HTTPStatus.NO_CONTENT,
    HTTPStatus.NOT_MODIFIED,
}
# Shorter than the keep-alive of usual servers and load balancers. A connection that a router
# forgot would swallow a send without a sign, and that send could not be repeated.
IDLE_SECONDS = 30
REPEAT_AFTER_SECONDS = 0.25


class Deadline:
    """The moment by which a whole attempt must be over."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, negative when it is over."""
        return self._at - time.monotonic()

    def limit(self, seconds: float) -> float:
        """``seconds``, or what is left if that is less. Raises ``TimeoutError`` if none is."""
        remaining = self.remaining()
        if remaining <= 0:
            raise TimeoutError("deadline")
        return min(seconds, remaining)


@dataclass(frozen=True)
class Reply:
    """An answer that arrived whole; ``body`` is empty if it was too long or badly compressed."""

    status: int
    body: bytes = field(repr=False)
    retry_after: str | None = None


@dataclass(frozen=True)
class NoReply:
    """No whole answer. Unless ``connected``, Valify has certainly not seen the request."""

    reason: str
    connected: bool


class _Exchange:
    """What the connection below must keep to, and what it found out, for one request."""

    def __init__(self, deadline: Deadline, connect_timeout: float, read_timeout: float) -> None:
        self.connected = False
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._bytes_left = ANSWER_LIMIT

    def connect_timeout(self) -> float:
        return self._deadline.limit(self._connect_timeout)

    def read_timeout(self) -> float:
        return self._deadline.limit(self._read_timeout)

    def count(self, received: int) -> None:
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise OSError("answer too long")


# requests and urllib3 hand neither a deadline nor a size limit down to the socket.
_exchange: ContextVar[_Exchange] = ContextVar("valify_exchange")


class _BoundedReader(io.RawIOBase):
    """Each read from the socket waits no longer than what is left of the attempt."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        exchange = _exchange.get()
        self._sock.settimeout(exchange.read_timeout())
        received = self._raw.readinto(buffer) or 0
        exchange.count(received)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """As much of a socket as ``http.client.HTTPResponse`` wants."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock))


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_BoundedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read to the final answer: http.client skips 100 only, and would take 103 for it.

        What may leave bytes behind closes the connection, or they would answer the next send.
        """
        super().begin()
        while self.status in range(100, 200) and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self.status in WITHOUT_BODY:
            self.will_close = True


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < IDLE_SECONDS and super().is_connected

    def _new_conn(self) -> socket.socket:
        # urllib3 grants each of a host's addresses the whole timeout, without an end to it.
        exchange = _exchange.get()
        addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        failure: OSError = OSError("no address")
        for *_, address in addresses:
            host, port = str(address[0]), int(address[1])
            try:
                sock = create_connection(
                    (host, port), exchange.connect_timeout(), socket_options=self.socket_options
                )
                sock.settimeout(exchange.connect_timeout())
            except OSError as error:
                failure = error
            else:
                return sock
        raise failure

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange = _exchange.get()
        if self.sock is None:
            self.connect()
        self.sock.settimeout(exchange.read_timeout())
        exchange.connected = True
        self._used_at = time.monotonic()
        super().request(*args, **kwargs)


class _BoundedHTTPSConnection(_BoundedConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedHTTPSConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        _bound(manager)
        return manager


def _bound(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    # urllib3 leaves the closing of a cleared manager's connections to the garbage collector.
    manager.pools.dispose_func = HTTPConnectionPool.close


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests looks at a ``Location`` even where it may not follow it."""


class BearerAuth(AuthBase):
    """The access token as an auth object, which ``~/.netrc`` does not replace."""

    def __init__(self, access_token: str) -> None:
        self._access_token = access_token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with its ``Authorization`` header."""
        request.headers["Authorization"] = f"Bearer {self._access_token}"
        return request


class NoAuth(AuthBase):
    """No ``Authorization`` header, whatever ``~/.netrc`` says."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request as it is."""
        return request


class Transport:
    """One pooled session to one host, for all threads of one process."""

    def __init__(self, *, base_url: str, connect_timeout: float, read_timeout: float) -> None:
        """Timeouts are in seconds."""
        self._base_url = base_url
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._session = _Session()
        # Plain HTTP goes to this machine alone, which no proxy of the environment can reach.
        self._session.trust_env = not base_url.startswith("http://")
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": "django-valify-otp",
            }
        )
        adapter = _Adapter(pool_connections=1, pool_maxsize=POOL_SIZE)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def post(
        self,
        path: str,
        *,
        deadline: Deadline,
        auth: AuthBase,
        repeat_if: Callable[[Reply | NoReply], bool],
        json: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Reply | NoReply:
        """What came back; asked once more where ``repeat_if`` says so and there is time."""
        outcome = self._post(path, deadline=deadline, auth=auth, json=json, data=form)
        if repeat_if(outcome) and deadline.remaining() > REPEAT_AFTER_SECONDS:
            time.sleep(REPEAT_AFTER_SECONDS)
            outcome = self._post(path, deadline=deadline, auth=auth, json=json, data=form)
        return outcome

    def _post(self, path: str, *, deadline: Deadline, **kwargs: Any) -> Reply | NoReply:
        exchange = _Exchange(deadline, self._connect_timeout, self._read_timeout)
        reset = _exchange.set(exchange)
        try:
            with self._session.post(
                f"{self._base_url}{path}",
                allow_redirects=False,
                stream=True,
                timeout=(self._connect_timeout, self._read_timeout),
                **kwargs,
            ) as response:
                body = _read_body(response)
        except Exception as error:  # noqa: BLE001 (ssl, http.client and urllib3 let theirs through)
            # Only the error's name leaves this room: it carries the request, token and all.
            return NoReply(_root_name(error), connected=exchange.connected)
        finally:
            _exchange.reset(reset)
        return Reply(response.status_code, body, response.headers.get("Retry-After"))

    def close(self) -> None:
        """Close the idle connections; those in use close when their call is over."""
        self._session.close()


def _read_body(response: requests.Response) -> bytes:
    body = b""
    while len(body) <= BODY_LIMIT:
        part = response.raw.read(BODY_LIMIT + 1 - len(body), decode_content=False)
        if not part:
            break
        body += part
    if response.headers.get("Content-Encoding", "").lower() in {"gzip", "x-gzip"}:
        body = _gunzip(body)
    return body if len(body) <= BODY_LIMIT else b""


def _gunzip(body: bytes) -> bytes:
    """Undo a compression that was not asked for, without being blown up by it."""
    try:
        return zlib.decompressobj(wbits=31).decompress(body, BODY_LIMIT + 1)
    except zlib.error:
        return b""


def _root_name(error: BaseException) -> str:
    while (earlier := error.__cause__ or error.__context__) is not None:
        error = earlier
    return type(error).__name__
