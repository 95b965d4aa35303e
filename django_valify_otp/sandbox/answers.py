"""What the sandbox is asked, and what it can answer."""

import json
from dataclasses import dataclass
from email.message import Message as Headers
from enum import Enum, auto
from http import HTTPStatus


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class NoAnswer(Enum):
    """How a request can end without an answer."""

    SILENCE = auto()
    HANG_UP = auto()


Reply = Answer | NoAnswer


class Refusal(Exception):  # noqa: N818
    """What ends a request early, with its answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


def json_answer(
    content: object,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """An answer whose body is ``content`` as JSON."""
    return Answer(status, json.dumps(content).encode(), headers=headers)


def status_answer(
    status: HTTPStatus, detail: str = "", *, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """An error as Valify's documentation prints it, such as ``{"message": "Bad Request ..."}``."""
    message = f"{status.phrase}: {detail}" if detail else status.phrase
    return json_answer({"message": message}, status=status, headers=headers)


def business_refusal(error_code: int, description: str) -> Answer:
    """A 422. Valify's list of error codes is not public: these are the sandbox's own."""
    return json_answer(
        {"message": description, "error_code": error_code},
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
    )
