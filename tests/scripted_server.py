"""A Valify that answers what a test tells it to, over real sockets, however wrong."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

TOKEN_PATH = "/api/o/token/"
SEND_PATH = "/api/v1/otp/send/"
VERIFY_PATH = "/api/v1/otp/verify/"


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


Answer = Callable[[socket.socket, Received], None]


def answer(
    status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """An ordinary answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def send(sock: socket.socket, _received: Received) -> None:
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
        lines += [
            f"{name}: {value}"
            for name, value in {"Content-Length": len(content), **(headers or {})}.items()
        ]
        sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + content)

    return send


def raw(content: bytes, *, then: Answer | None = None) -> Answer:
    """These bytes, and then the end of the connection or what ``then`` does."""

    def send(sock: socket.socket, received: Received) -> None:
        sock.sendall(content)
        if then:
            then(sock, received)
        else:
            raise ConnectionAbortedError

    return send


def repeat(content: bytes, *, pause: float = 0.0) -> Answer:
    """These bytes for ever, ``pause`` seconds apart."""

    def send(sock: socket.socket, _received: Received) -> None:
        while True:
            sock.sendall(content)
            time.sleep(pause)

    return send


def silence(sock: socket.socket, _received: Received) -> None:
    """Nothing, until the client leaves."""
    sock.recv(1)
    raise ConnectionAbortedError


class HeldAnswer:
    """An answer that waits until the test has it released."""

    def __init__(self, content: Answer) -> None:
        self.content = content
        self.began, self.released = threading.Event(), threading.Event()

    def __call__(self, sock: socket.socket, received: Received) -> None:
        self.began.set()
        self.released.wait()
        self.content(sock, received)


def hang_up(_sock: socket.socket, _received: Received) -> None:
    """The end of the connection, without an answer."""
    raise ConnectionAbortedError


def reset(sock: socket.socket, _received: Received) -> None:
    """The end of the connection by RST, as a process that dies leaves it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def sent(transaction_id: object = "T1", trials_remaining: object = "2", **more: object) -> Answer:
    return answer(
        200,
        {
            "result": {"success": True},
            "transaction_id": transaction_id,
            "trials_remaining": trials_remaining,
            **more,
        },
    )


def verified(*, is_verified: object = True, **more: object) -> Answer:
    return answer(200, {"verified": is_verified, **more})


def token(access_token: object = "token-1", **more: object) -> Answer:
    return answer(
        200, {"access_token": access_token, "expires_in": 600, "token_type": "Bearer", **more}
    )


@dataclass
class ScriptedServer:
    """``answers`` holds, by path, what to do next; the last of a list is repeated."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    tls: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        host, port = self._listener.getsockname()
        return f"{'https' if self.tls else 'http'}://{host}:{port}"

    def at(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]

    def answer_token(self, *answers: Answer) -> None:
        self.answers[TOKEN_PATH] = list(answers)

    def answer_send(self, *answers: Answer) -> None:
        self.answers[SEND_PATH] = list(answers)

    def answer_verify(self, *answers: Answer) -> None:
        self.answers[VERIFY_PATH] = list(answers)

    def wait_until_closed(self) -> None:
        """Return when every connection so far has been closed on this side."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            for sock in self._open:
                with suppress(OSError):  # the client may have left
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=[sock], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._wrap(sock) as stream, stream.makefile("rb") as file:
                while received := self._read(file):
                    self._next(received)(stream, received)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def _wrap(self, sock: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(sock, server_side=True) if self.tls else sock

    def _read(self, file: Any) -> Received | None:
        request_line = file.readline().decode()
        if not request_line:
            return None
        headers = {}
        while line := file.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        received = Received(request_line.split()[1], headers, file.read(length))
        with self._lock:
            self.received.append(received)
        # A client that died while it wrote has asked for nothing.
        return received if len(received.body) == length else None

    def _next(self, received: Received) -> Answer:
        with self._lock:
            answers = self.answers[received.path]
            return answers.pop(0) if len(answers) > 1 else answers[0]
