"""Run a sandbox in a process of its own, and read its inbox."""

import json
import re
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
    """A running sandbox: its URL and its inbox."""

    base_url: str

    def inbox(self, phone_number: str | None = None) -> list[Message]:
        """Return the messages to one number (``01xxxxxxxxx``), or to all, newest first.

        Raises ``ValueError`` for another spelling, to which there could never be a message.
        """
        if phone_number and not re.fullmatch("01[0-9]{9}", phone_number):
            raise ValueError("Give the number as 01xxxxxxxxx.")
        query = {"format": "json"} | ({"phone_number": phone_number} if phone_number else {})
        answered = self._request("GET", f"/inbox/?{urlencode(query)}")
        return [Message.from_json(printed) for printed in answered["messages"]]

    def clear_inbox(self) -> None:
        """Delete all messages."""
        self._request("DELETE", "/inbox/")

    def _request(self, method: str, path: str) -> Any:
        # Unlike requests and urllib, http.client never uses a proxy of the environment.
        with closing(HTTPConnection(urlsplit(self.base_url).netloc, timeout=TIMEOUT)) as connection:
            connection.request(method, path)
            response = connection.getresponse()
            if response.status != HTTPStatus.OK:
                raise RuntimeError(f"The Valify sandbox answered {response.status} to {method}.")
            return json.loads(response.read())


@contextmanager
def running_sandbox(*options: str) -> Iterator[ValifySandbox]:
    """Run a sandbox on a free port, with these command line options, until the block ends."""
    command = [sys.executable, "-m", "django_valify_otp.sandbox", "--port=0", "--exit-on-eof"]
    with subprocess.Popen(
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
