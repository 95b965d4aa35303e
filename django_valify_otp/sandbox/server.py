"""The HTTP under the sandbox: connections that are kept, bodies that are bounded."""

import re
import socket
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from django_valify_otp.sandbox.answers import Answer, NoAnswer, Refusal, Request, status_answer
from django_valify_otp.sandbox.api import Valify

HOST = "127.0.0.1"
LARGEST_BODY = 64 * 1024
LARGEST_DISCARDED_BODY = 1024 * 1024


class SandboxHandler(BaseHTTPRequestHandler):
    """One connection, and the requests that come over it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "SandboxServer"

    def answer_request(self) -> None:
        """Answer one request, unless silence is the answer."""
        try:
            reply = self.server.valify.reply(self._read_request())
        except Refusal as refusal:
            self.close_connection = True
            reply = refusal.answer
        if isinstance(reply, Answer):
            self._write(reply)
            return
        self.close_connection = True
        if reply is NoAnswer.SILENCE:
            self._wait_for_the_end()

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = answer_request  # noqa: N815
    do_PATCH = do_POST = do_PUT = answer_request  # noqa: N815

    def send_error(
        self,
        code: int,
        message: str | None = None,  # noqa: ARG002
        explain: str | None = None,  # noqa: ARG002
    ) -> None:
        """Answer what is not HTTP."""
        self.close_connection = True
        self._write(status_answer(HTTPStatus(code)))

    def _read_request(self) -> Request:
        path, _, query = self.path.partition("?")
        return Request(
            method=self.command,
            path=path,
            query=query,
            headers=self.headers,
            body=self._read_body(),
        )

    def _read_body(self) -> bytes:
        length = self._content_length()
        if length > LARGEST_BODY:
            # Closing with bytes unread resets the connection, and the answer may be lost.
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

    def _write(self, answer: Answer) -> None:
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

    def _wait_for_the_end(self) -> None:
        while self.connection.recv(4096):
            pass


class SandboxServer(ThreadingHTTPServer):
    """A Valify on 127.0.0.1; port 0 is a free one. Stopping it ends its connections too."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, valify: Valify, *, port: int) -> None:
        self.valify = valify
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__((HOST, port), SandboxHandler)

    @property
    def base_url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.server_port}"

    def server_bind(self) -> None:
        """Take the port, without HTTPServer's question to the resolver for the host's name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own."""
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Stop listening, and end the connections that are open, those left in silence too."""
        super().server_close()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong here; a client that vanished is nothing to report."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
