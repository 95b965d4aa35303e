"""HTTP requests that reach the sandbox, and its answers to them."""

import json
import re
from dataclasses import dataclass
from email.message import Message as Headers
from enum import Enum, auto
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

# Such as ar-EG;q=0.8
_ACCEPTED_LANGUAGE = re.compile(
    r"\b([A-Za-z]{2})(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q=([01](?:\.\d+)?))?(?=,|$)"
)


@dataclass(frozen=True, kw_only=True)
class SandboxRequest:
    """One HTTP request, read to its end."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    def read_query(self) -> dict[str, str]:
        """Return the first value of each parameter of the query string."""
        return _first_values(self.query)

    def preferred_langs(self) -> list[str]:
        """Return the two letters of each language that the reader wants, the best first."""
        found = _ACCEPTED_LANGUAGE.findall(self.headers.get("Accept-Language", ""))
        return [lang.lower() for lang, _ in sorted(found, key=lambda f: -float(f[1] or 1))]

    def read_form(self) -> dict[str, str]:
        """Return the fields of a form, or none if the body is not a form."""
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            return {}
        return _first_values(self.body.decode(errors="replace"))

    def read_json(self, *, required: tuple[str, ...]) -> dict[str, Any]:
        """Return the JSON object in the body.

        Raise ``Refusal`` if there is none, or if a required parameter is missing or not a text.
        """
        if self.headers.get_content_type() != "application/json":
            raise Refusal(status_answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE))
        try:
            parameters = json.loads(self.body)
        except (ValueError, RecursionError):
            parameters = None
        if not isinstance(parameters, dict):
            raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, "the body is not a JSON object"))
        for name in required:
            if not isinstance(parameters.get(name), str) or not parameters[name]:
                raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, f"{name} is missing"))
        return parameters


@dataclass(frozen=True)
class SandboxAnswer:
    """One HTTP answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class NoAnswer(Enum):
    """How a request can end without an answer."""

    SILENCE = auto()
    HANG_UP = auto()


MaybeAnswer = SandboxAnswer | NoAnswer


class Refusal(Exception):
    """End a request early, with this answer."""

    def __init__(self, answer: SandboxAnswer) -> None:
        super().__init__(answer)
        self.answer = answer


def json_answer(
    content: object,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: tuple[tuple[str, str], ...] = (),
) -> SandboxAnswer:
    """Return an answer with ``content`` as its JSON body."""
    return SandboxAnswer(status, json.dumps(content).encode(), headers=headers)


def status_answer(
    status: HTTPStatus, detail: str = "", *, headers: tuple[tuple[str, str], ...] = ()
) -> SandboxAnswer:
    """Return an error as Valify documents it, such as ``{"message": "Bad Request ..."}``."""
    message = f"{status.phrase}: {detail}" if detail else status.phrase
    return json_answer({"message": message}, status=status, headers=headers)


def business_refusal(error_code: int, description: str) -> SandboxAnswer:
    """Return a 422. The error codes are the sandbox's own: Valify's list is not public."""
    return json_answer(
        {"message": description, "error_code": error_code},
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
    )


def _first_values(encoded: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(encoded).items()}
