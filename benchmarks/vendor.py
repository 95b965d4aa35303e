"""Run a vendor that costs next to nothing: fixed answers from one process, also over TLS.

    python -m benchmarks.vendor FOLDER

It listens on free ports of this machine, one for each delay, with and without TLS, prints its URLs
as JSON, and ends when its standard input closes. The sandbox would be a bottleneck.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import trustme

DELAYS_MILLISECONDS = (0, 50)
TOKEN_PATH = "/api/o/token/"  # noqa: S105 (a path)
SEND_PATH = "/api/v1/otp/send/"
VERIFY_PATH = "/api/v1/otp/verify/"
COUNTS_PATH = "/counts/"
SMS_PATH = "/sms/"
TOKEN_USES = 3
HEAD = (
    "HTTP/1.1 {status}\r\nServer: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\nVary: Accept\r\n"
    "Connection: keep-alive\r\n\r\n"
)


class Valify:
    """What the vendor knows: the uses that each access token has left, its SMS, its counts."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._sent: list[bytes] = []
        self.counts = Counter(connections=0, tokens=0, calls=0)

    def answer(self, path: str, head: str, body: bytes) -> tuple[str, object]:
        """Return the status and the JSON with which to answer a request."""
        if path == COUNTS_PATH:
            return "200 OK", self.counts
        if path == SMS_PATH:
            return "200 OK", Counter(json.loads(sent)["phone_number"] for sent in self._sent)
        if path == TOKEN_PATH:
            return "200 OK", self._new_token()
        self.counts["calls"] += 1
        _, _, rest = head.partition("Authorization: Bearer ")
        token, _, _ = rest.partition("\r\n")
        uses = self._uses.get(token, 0)
        if not uses:
            return "403 Forbidden", {"message": "Forbidden"}
        self._uses[token] = uses - 1
        if path == VERIFY_PATH:
            return "200 OK", {"verified": True}
        self._sent.append(body)
        return "200 OK", {
            "result": {"success": True},
            "transaction_id": os.urandom(16).hex(),
            "trials_remaining": uses - 1,
        }

    def _new_token(self) -> dict[str, object]:
        self.counts["tokens"] += 1
        token = os.urandom(15).hex()
        self._uses[token] = TOKEN_USES
        return {
            "access_token": token,
            "expires_in": 600,
            "token_type": "Bearer",
            "scope": "read write",
            "refresh_token": os.urandom(15).hex(),
        }


class Connection(asyncio.Protocol):
    """One kept-alive connection, whose answers are delayed by so many seconds."""

    def __init__(self, valify: Valify, delay: float) -> None:
        self._valify = valify
        self._delay = delay
        self._received = b""
        self._is_counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that has arrived whole."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1")
        _, _, length = lines.lower().partition("content-length: ")
        missing = int(length.partition("\r\n")[0] or 0) - len(body)
        if missing <= 0:
            self._received = b""
            self._answer(lines, body)

    def _answer(self, head: str, body: bytes) -> None:
        _method, path, _rest = head.split(" ", 2)
        is_record = path in {COUNTS_PATH, SMS_PATH}
        if not self._is_counted and not is_record:
            self._is_counted = True
            self._valify.counts["connections"] += 1
        status, content = self._valify.answer(path, head, body)
        text = json.dumps(content)
        answer = f"{HEAD.format(status=status, length=len(text))}{text}".encode()
        if self._delay and not is_record:
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(folder: Path) -> None:
    """Serve until standard input closes."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    bundle = folder / "authorities.pem"
    # With the authorities that requests knows anyway: each new TLS context reads them all.
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    loop, valify, urls = asyncio.get_running_loop(), Valify(), {}
    for delay in DELAYS_MILLISECONDS:
        for scheme, context in {"http": None, "https": tls}.items():
            connect = partial(Connection, valify, delay / 1000)
            server = await loop.create_server(connect, "127.0.0.1", 0, ssl=context)
            urls[f"{scheme} {delay}"] = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(json.dumps({"urls": urls, "bundle": str(bundle)}), flush=True)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()


@dataclass(frozen=True)
class Vendor:
    """A running vendor. Requests trust it if ``REQUESTS_CA_BUNDLE`` names its ``bundle``."""

    urls: dict[str, str]
    bundle: str

    def url(self, *, tls: bool, delay: int) -> str:
        """Return the base URL with this delay in milliseconds."""
        return self.urls[f"{'https' if tls else 'http'} {delay}"]

    def counts(self) -> Counter[str]:
        """Return how many connections, tokens and calls there were so far."""
        return self._read(COUNTS_PATH)

    def sms(self) -> Counter[str]:
        """Return how many SMS each number got, by the number as Valify was given it."""
        return self._read(SMS_PATH)

    def _read(self, path: str) -> Counter[str]:
        connection = HTTPConnection(urlsplit(self.url(tls=False, delay=0)).netloc, timeout=10)
        connection.request("GET", path)
        counts = Counter(json.loads(connection.getresponse().read()))
        connection.close()
        return counts


@contextmanager
def running_vendor(folder: str) -> Iterator[Vendor]:
    """Run a vendor, whose authority is written to the folder, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.vendor", folder]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield Vendor(**json.loads(process.stdout.readline()))
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
