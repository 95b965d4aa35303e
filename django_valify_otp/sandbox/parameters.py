"""The parameters of a call, read from its body; each reader raises ``Refusal`` if they are bad."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from django_valify_otp.sandbox.answers import Refusal, Request, business_refusal, status_answer
from django_valify_otp.sandbox.inbox import TEXTS


def read_query(request: Request) -> dict[str, str]:
    """The first value of each parameter in the address."""
    return _first_values(request.query)


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; none of anything else."""
    if request.headers.get_content_type() != "application/x-www-form-urlencoded":
        return {}
    return _first_values(request.body.decode(errors="replace"))


def read_json(request: Request, *, required: tuple[str, ...]) -> dict[str, Any]:
    """A JSON object, in which the required parameters are texts."""
    if request.headers.get_content_type() != "application/json":
        raise Refusal(status_answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE))
    try:
        parameters = json.loads(request.body)
    except (ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, "the body is not a JSON object"))
    for name in required:
        if not isinstance(parameters.get(name), str) or not parameters[name]:
            raise Refusal(status_answer(HTTPStatus.BAD_REQUEST, f"{name} is missing"))
    return parameters


def read_lang(parameters: Mapping[str, Any]) -> str:
    """The language, English if none is named."""
    lang = parameters.get("lang", "en")
    if not isinstance(lang, str) or lang not in TEXTS:
        raise Refusal(business_refusal(1002, "lang is neither en nor ar."))
    return lang


def _first_values(encoded: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(encoded).items()}
