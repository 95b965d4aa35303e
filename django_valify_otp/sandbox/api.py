"""Valify's API as its public documentation has it, and the inbox beside it."""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from django_valify_otp.sandbox.answers import (
    Answer,
    Refusal,
    Reply,
    Request,
    business_refusal,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.inbox import TEXTS, Inbox
from django_valify_otp.sandbox.outcomes import FORCED_OUTCOMES, Send, send_sms
from django_valify_otp.sandbox.tokens import AccessTokens

# Username, password, client ID, client secret and bundle key.
CREDENTIAL = "sandbox"
TOKEN_LIFETIME = 600
TOKEN_USES = 3


class Valify:
    """Everything that one sandbox knows, and its answer to every request, for all threads."""

    def __init__(
        self,
        *,
        token_lifetime: int = TOKEN_LIFETIME,
        token_uses: int = TOKEN_USES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = AccessTokens(lifetime=token_lifetime, uses=token_uses, clock=clock)
        self.inbox = Inbox()
        self._endpoints: dict[str, dict[str, Callable[[Request], Reply]]] = {
            "/api/o/token/": {"POST": self.issue_token},
            "/api/v1/otp/send/": {"POST": self.send_otp},
            "/inbox/": {"GET": self.show_inbox, "DELETE": self.clear_inbox},
        }

    def reply(self, request: Request) -> Reply:
        """The reply to any request at all."""
        methods = self._endpoints.get(request.path)
        if methods is None:
            return status_answer(HTTPStatus.NOT_FOUND)
        endpoint = methods.get(request.method)
        if endpoint is None:
            allowed = (("Allow", ", ".join(methods)),)
            return status_answer(HTTPStatus.METHOD_NOT_ALLOWED, headers=allowed)
        try:
            return endpoint(request)
        except Refusal as refusal:
            return refusal.answer

    def issue_token(self, request: Request) -> Reply:
        """An access token for the sandbox's credentials, or an error of OAuth 2.0."""
        form = _read_form(request)
        if form.get("grant_type") != "password":
            return _oauth_error("unsupported_grant_type")
        if not form.get("client_id") == form.get("client_secret") == CREDENTIAL:
            return _oauth_error("invalid_client", HTTPStatus.UNAUTHORIZED)
        if not form.get("username") == form.get("password") == CREDENTIAL:
            return _oauth_error("invalid_grant")
        return json_answer(
            {
                "access_token": self.tokens.issue(),
                "expires_in": self.tokens.lifetime,
                "token_type": "Bearer",
                "scope": "read write",
                "refresh_token": secrets.token_urlsafe(24),
            }
        )

    def send_otp(self, request: Request) -> Reply:
        """An SMS to the number, or what the number forces."""
        parameters = _read_parameters(request, required=("phone_number", "bundle_key"))
        trials_remaining = self._spend_token(request)
        _require_bundle_key(parameters)
        phone_number, lang = parameters["phone_number"], _read_lang(parameters)
        if not re.fullmatch("01[0-9]{9}", phone_number):
            raise Refusal(business_refusal(1001, "This is not an Egyptian mobile number."))
        send = Send(
            phone_number=phone_number,
            lang=lang,
            trials_remaining=trials_remaining,
            inbox=self.inbox,
        )
        return FORCED_OUTCOMES.get(phone_number, send_sms)(send)

    def show_inbox(self, request: Request) -> Reply:
        """The messages, newest first."""
        numbers = parse_qs(request.query).get("phone_number", [None])
        messages = self.inbox.messages(numbers[0])
        return json_answer({"messages": [message.as_json() for message in messages]})

    def clear_inbox(self, _request: Request) -> Reply:
        """An inbox with nothing in it."""
        self.inbox.clear()
        return json_answer({"messages": []})

    def _spend_token(self, request: Request) -> int:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        left = self.tokens.spend(token.strip()) if scheme.lower() == "bearer" else None
        if left is None:
            detail = "the access token could not be found"
            raise Refusal(status_answer(HTTPStatus.FORBIDDEN, detail))
        return left


def _read_form(request: Request) -> dict[str, str]:
    if request.headers.get_content_type() != "application/x-www-form-urlencoded":
        return {}
    fields = parse_qs(request.body.decode(errors="replace"))
    return {name: values[0] for name, values in fields.items()}


def _oauth_error(error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Answer:
    return json_answer({"error": error}, status=status)


def _read_parameters(request: Request, *, required: tuple[str, ...]) -> dict[str, Any]:
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


def _require_bundle_key(parameters: Mapping[str, Any]) -> None:
    if parameters["bundle_key"] != CREDENTIAL:
        raise Refusal(status_answer(HTTPStatus.UNAUTHORIZED, "the bundle key is invalid"))


def _read_lang(parameters: Mapping[str, Any]) -> str:
    lang = parameters.get("lang", "en")
    if not isinstance(lang, str) or lang not in TEXTS:
        raise Refusal(business_refusal(1002, "lang is neither en nor ar."))
    return lang
