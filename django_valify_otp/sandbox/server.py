"""The sandbox's HTTP server, from its port to Ctrl-C."""

import os
import re
import signal
import socket
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Protocol

from django_valify_otp.sandbox.answers import (
    NoAnswer,
    Refusal,
    SandboxAnswer,
    SandboxRequest,
    status_answer,
)
from django_valify_otp.sandbox.api import Valify

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8900
LARGEST_BODY = 64 * 1024
LARGEST_DISCARDED_BODY = 1024 * 1024


class AddressUnavailable(OSError):
    """The host or the port cannot be used; the message says why and what to do."""


class Output(Protocol):
    """A stream for the line that ``serve`` prints."""

    def write(self, text: str, /) -> object:
        """Write a line."""

    def flush(self) -> object:
        """Pass on what was written."""


class SandboxHandler(BaseHTTPRequestHandler):
    """One connection, and all requests over it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "SandboxServer"

    def answer_request(self) -> None:
        """Read one request and answer it, or leave it without an answer."""
        try:
            answer = self.server.valify.answer(self._read_request())
        except Refusal as refusal:
            self.close_connection = True
            answer = refusal.answer
        if isinstance(answer, SandboxAnswer):
            self._write(answer)
            return
        self.close_connection = True
        if answer is NoAnswer.SILENCE:
            self._wait_until_closed()

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = answer_request
    do_PATCH = do_POST = do_PUT = answer_request

    def send_error(
        self,
        code: int,
        message: str | None = None,
        explain: str | None = None,
    ) -> None:
        """Answer a request that ``http.server`` cannot read."""
        self.close_connection = True
        self._write(status_answer(HTTPStatus(code)))

    def _read_request(self) -> SandboxRequest:
        path, _, query = self.path.partition("?")
        return SandboxRequest(
            method=self.command,
            path=path,
            query=query,
            headers=self.headers,
            body=self._read_body(),
        )

    def _read_body(self) -> bytes:
        length = self._content_length()
        if length > LARGEST_BODY:
            # To close a connection with unread bytes resets it, and the answer may be lost.
            self.rfile.read(min(length, LARGEST_DISCARDED_BODY))
            raise Refusal(status_answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError
        return body

    def _content_length(self) -> int:
        if "Transfer-Encoding" in self.headers:
            raise Refusal(status_answer(HTTPStatus.LENGTH_REQUIRED))
        lengths = [length.strip() for length in self.headers.get_all("Content-Length", ["0"])]
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,18}", lengths[0]):
            raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, "Content-Length is no number"))
        return int(lengths[0])

    def _write(self, answer: SandboxAnswer) -> None:
        lines = [
            f"{self.protocol_version} {answer.status.value} {answer.status.phrase}",
            f"Date: {self.date_time_string()}",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
            f"Content-Type: {answer.content_type}",
            f"Content-Length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        body = b"" if self.command == "HEAD" else answer.body
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def _wait_until_closed(self) -> None:
        while self.connection.recv(4096):
            pass


class SandboxServer(ThreadingHTTPServer):
    """A Valify, at a free port if ``port`` is 0. Its end closes all connections."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, valify: Valify, *, host: str = DEFAULT_HOST, port: int) -> None:
        self.valify = valify
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__((host, port), SandboxHandler)

    @property
    def base_url(self) -> str:
        """Return the URL of the sandbox."""
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}"

    def server_bind(self) -> None:
        """Bind the port. Unlike ``HTTPServer``, never ask a resolver for the host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, and close all connections, also those that wait for an answer."""
        super().server_close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a bug's traceback, but nothing about a client that has gone away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def open_server(valify: Valify, *, host: str, port: int) -> SandboxServer:
    """Return a server that listens and does not answer yet. Raise ``AddressUnavailable``."""
    try:
        return SandboxServer(valify, host=host, port=port)
    except socket.gaierror as error:
        raise AddressUnavailable(
            f"Host {host} is not known: {error.strerror}. Choose an address of this machine with"
            " --host."
        ) from error
    except OSError as error:
        raise AddressUnavailable(
            f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with --port,"
            " or an address of this machine with --host."
        ) from error


def serve(server: SandboxServer, *, output: Output, exit_on_eof: bool = False) -> None:
    """Answer requests until Ctrl-C, SIGTERM or, with ``exit_on_eof``, the end of standard input."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), server:
        if exit_on_eof:
            threading.Thread(target=_shut_down_at_eof, args=[server], daemon=True).start()
        output.write(f"Valify sandbox on {server.base_url}\n")
        output.flush()
        server.serve_forever()


def _shut_down_at_eof(server: SandboxServer) -> None:
    # Not sys.stdin.read(): its lock would still be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    server.shutdown()
