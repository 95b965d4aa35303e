"""A customer of the sandbox, over real sockets, and what the calls are made of."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from django_valify_otp.sandbox.server import SandboxServer
from tests.clock import Clock

TOKEN_PATH = "/api/o/token/"
SEND_PATH = "/api/v1/otp/send/"
VERIFY_PATH = "/api/v1/otp/verify/"
EMAIL_SEND_PATH = "/api/v1/otp/email/send/"
EMAIL_VERIFY_PATH = "/api/v1/otp/email/verify/"
CALL_PATHS = [SEND_PATH, VERIFY_PATH, EMAIL_SEND_PATH, EMAIL_VERIFY_PATH]
PHONE_NUMBER = "01012345678"
EMAIL = "mona@example.com"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CREDENTIALS = dict.fromkeys(["username", "password", "client_id", "client_secret"], "sandbox")


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """A customer of the sandbox at a port, with one connection that is kept."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self.connection = HTTPConnection("127.0.0.1", port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> Answered:
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return Answered(response.status, dict(response.headers), response.read())

    def fetch_token(self, **changes: str) -> Answered:
        form = {"grant_type": "password", **CREDENTIALS, **changes}
        return self.ask("POST", TOKEN_PATH, urlencode(form), FORM)

    def token(self) -> str:
        value = self.fetch_token().json["access_token"]
        assert isinstance(value, str)
        return value

    def call(self, path: str, token: str | None = None, **parameters: object) -> Answered:
        """A call, with a token of its own if none is named; ``None`` takes a parameter out."""
        parameters = {"bundle_key": "sandbox", **parameters}
        body = json.dumps({k: v for k, v in parameters.items() if v is not None})
        bearer = f"Bearer {self.token() if token is None else token}"
        return self.ask("POST", path, body, {**JSON, "Authorization": bearer})

    def send(self, token: str | None = None, **changes: object) -> Answered:
        return self.call(SEND_PATH, token, **{"phone_number": PHONE_NUMBER, **changes})

    def send_email(self, token: str | None = None, **changes: object) -> Answered:
        return self.call(EMAIL_SEND_PATH, token, **{"email": EMAIL, **changes})

    def verify(self, message: dict[str, str], path: str = VERIFY_PATH, **changes: Any) -> Answered:
        """A verify of this message, with changes to it."""
        typed = {"otp": message["code"], "transaction_id": message["transaction_id"]}
        return self.call(path, **{**typed, **changes})

    def inbox(self, query: str = "?format=json") -> list[dict[str, str]]:
        messages = self.ask("GET", f"/inbox/{query}").json["messages"]
        assert isinstance(messages, list)
        return messages

    def raw(self, content: bytes, *, half_close: bool = False) -> bytes:
        """All that comes back for these bytes, until the sandbox closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(content)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65_536), b""))


Way = Callable[[Client], Answered]


class Sandbox(Client):
    """A sandbox in this process, and a client of it."""

    def __init__(self, server: SandboxServer, clock: Clock) -> None:
        super().__init__(server.server_port)
        self.server = server
        self.clock = clock


def ask_for_silence(client: Client) -> socket.socket:
    """A connection whose message is in the inbox and whose answer never comes."""
    token = client.token()
    body = json.dumps({"phone_number": "01000000598", "bundle_key": "sandbox"})
    head = (
        f"POST {SEND_PATH} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", client.port))
    sock.sendall((head + body).encode())
    next(filter(None, iter(client.inbox, None)))  # asked again until there is a message
    return sock


def client_at(base_url: str) -> Client:
    return Client(urlsplit(base_url).port)
