"""A sandbox in a process of its own, as a test sees it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from django_valify_otp.sandbox.inbox import Message

TIMEOUT = 10


@dataclass(frozen=True)
class ValifySandbox:
    """A running sandbox: where it answers, and what it has sent."""

    base_url: str

    def inbox(self, phone_number: str | None = None) -> list[Message]:
        """The messages to one number (``01xxxxxxxxx``), or to all, newest first."""
        query = {"format": "json"} | ({"phone_number": phone_number} if phone_number else {})
        answer = self._call("GET", f"/inbox/?{urlencode(query)}")
        return [Message.from_json(printed) for printed in answer["messages"]]

    def clear_inbox(self) -> None:
        """Forget all messages."""
        self._call("DELETE", "/inbox/")

    def _call(self, method: str, path: str) -> Any:
        # Unlike requests and urllib, this never asks the environment for a proxy.
        with closing(HTTPConnection(urlsplit(self.base_url).netloc, timeout=TIMEOUT)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:
                raise RuntimeError(f"The Valify sandbox answered {response.status} to {method}.")
            return json.loads(response.read())


@contextmanager
def running_sandbox(*options: str) -> Iterator[ValifySandbox]:
    """A sandbox on a free port, with these command line options, until the end of the block."""
    command = [sys.executable, "-m", "django_valify_otp.sandbox", "--port=0", "--exit-on-eof"]
    with subprocess.Popen(  # noqa: S603
        [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield ValifySandbox(_read_base_url(process))
        finally:
            process.terminate()


def _read_base_url(process: "subprocess.Popen[str]") -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("The Valify sandbox did not start; its standard error says why.")
    return line.split()[-1]
