"""Bound urllib3's connections in time, by a deadline, and in size, by a limit.

No other module uses the internals of urllib3 and http.client.
"""

import http.client
import io
import socket
import time
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from django_valify_otp.deadline import Deadline

BODY_LIMIT = 64 * 1024
# In bytes: the body with its status line, headers, chunk framing and trailers.
ANSWER_LIMIT = 3 * BODY_LIMIT
WITHOUT_BODY = {
    HTTPStatus.SWITCHING_PROTOCOLS,
    HTTPStatus.NO_CONTENT,
    HTTPStatus.NOT_MODIFIED,
}
# Shorter than the keep-alive of usual servers and load balancers. On a connection that a router
# has dropped, a send would time out, and could not be repeated: perhaps it arrived.
IDLE_SECONDS = 30


class Exchange:
    """The bounds of one request, and how far it got: ``connected`` if it may have arrived."""

    def __init__(
        self,
        deadline: Deadline,
        connect_timeout: float,
        read_timeout: float,
        count_call: Callable[[], None],
    ) -> None:
        self.connected = False
        self._count_call = count_call
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._bytes_left = ANSWER_LIMIT

    def begin_request(self) -> None:
        """Note that the request may arrive from now on."""
        self.connected = True
        self._count_call()

    def connect_timeout(self) -> float:
        """Return the seconds left to connect. Raise ``TimeoutError`` at the deadline."""
        return self._deadline.limit(self._connect_timeout)

    def read_timeout(self) -> float:
        """Return the seconds left for the next bytes. Raise ``TimeoutError`` at the deadline."""
        return self._deadline.limit(self._read_timeout)

    def count_received(self, received: int) -> None:
        """Count the bytes of the reply. Raise ``OSError`` if it is too long."""
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise OSError("answer too long")


# requests and urllib3 pass neither a deadline nor a size limit on to the socket.
current_exchange: ContextVar[Exchange] = ContextVar("valify_exchange")


class _BoundedReader(io.RawIOBase):
    """Read from a socket, within what is left of the deadline and of the size limit."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        exchange = current_exchange.get()
        self._sock.settimeout(exchange.read_timeout())
        received = self._raw.readinto(buffer) or 0
        exchange.count_received(received)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedSocket:
    """The part of a socket that ``http.client.HTTPResponse`` uses."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock))


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_BoundedSocket(sock), *args, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the head of the final reply. Skip all of 1xx, as http.client skips only 100.

        Close the connection after a reply that must have no body: if bytes follow it, the next
        request would take them for its own reply.
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
        # Unlike urllib3, share one timeout and the deadline between all addresses of the host.
        exchange = current_exchange.get()
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
        exchange = current_exchange.get()
        if self.sock is None:
            self.connect()
        self.sock.settimeout(exchange.read_timeout())
        exchange.begin_request()
        self._used_at = time.monotonic()
        super().request(*args, **kwargs)


class _BoundedHTTPSConnection(_BoundedConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedHTTPSConnection


class BoundedAdapter(HTTPAdapter):
    """Send to one host, and bound each request by its exchange."""

    _pool: Any = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        # The host, its proxy and its authorities stay the same, so look the pool up once. A closed
        # one has no queue any more.
        if self._pool is None or self._pool.pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:  # noqa: ARG002
        # Proxies are for HTTPS only, and through a tunnel.
        return request.path_url

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        _bound(manager)
        return manager


def _bound(manager: Any) -> None:
    manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    # Without this, urllib3 leaves it to the garbage collector to close a manager's connections.
    manager.pools.dispose_func = HTTPConnectionPool.close
