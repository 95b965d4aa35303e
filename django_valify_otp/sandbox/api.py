"""Valify's API as its public documentation has it, and the inbox beside it."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from django_valify_otp.sandbox.answers import (
    Answer,
    Refusal,
    Reply,
    Request,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.channels import Channel, email_channel, sms_channel
from django_valify_otp.sandbox.codes import Codes
from django_valify_otp.sandbox.inbox import Inbox, Message
from django_valify_otp.sandbox.inbox_page import page_answer
from django_valify_otp.sandbox.outcomes import (
    FORCED_OUTCOMES,
    Send,
    send_message,
    verify_answer,
)
from django_valify_otp.sandbox.parameters import read_form, read_json, read_lang, read_query
from django_valify_otp.sandbox.tokens import AccessTokens

# Username, password, client ID, client secret and bundle key.
CREDENTIAL = "sandbox"
TOKEN_LIFETIME = 600
TOKEN_USES = 3
CODE_LIFETIME = 600


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that was let in."""

    parameters: Mapping[str, Any]
    lang: str
    trials_remaining: int


class Valify:
    """Everything that one sandbox knows, and its answer to every request, for all threads."""

    def __init__(
        self,
        *,
        token_lifetime: int = TOKEN_LIFETIME,
        token_uses: int = TOKEN_USES,
        code_lifetime: int = CODE_LIFETIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = AccessTokens(lifetime=token_lifetime, uses=token_uses, clock=clock)
        self.inbox = Inbox()
        sms = sms_channel(Codes(lifetime=code_lifetime, clock=clock))
        email = email_channel(Codes(lifetime=code_lifetime, clock=clock))
        self._endpoints: dict[str, dict[str, Callable[[Request], Reply]]] = {
            "/api/o/token/": {"POST": self.issue_token},
            "/api/v1/otp/send/": {"POST": partial(self.send_otp, sms)},
            "/api/v1/otp/verify/": {"POST": partial(self.verify_otp, sms)},
            "/api/v1/otp/email/send/": {"POST": partial(self.send_otp, email)},
            "/api/v1/otp/email/verify/": {"POST": partial(self.verify_otp, email)},
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
        form = read_form(request)
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

    def send_otp(self, channel: Channel, request: Request) -> Reply:
        """A message to the recipient, or what a number forces."""
        call = self._admit(request, required=(channel.parameter,))
        recipient = call.parameters[channel.parameter]
        channel.require_recipient(recipient)
        send = Send(
            channel=channel,
            recipient=recipient,
            lang=call.lang,
            trials_remaining=call.trials_remaining,
            inbox=self.inbox,
        )
        return FORCED_OUTCOMES.get(recipient, send_message)(send)

    def verify_otp(self, channel: Channel, request: Request) -> Reply:
        """Whether this is the code that went this way with the transaction."""
        call = self._admit(request, required=("otp", "transaction_id"))
        verdict = channel.codes.spend(
            transaction_id=call.parameters["transaction_id"], digits=call.parameters["otp"]
        )
        return verify_answer(verdict, lang=call.lang)

    def show_inbox(self, request: Request) -> Reply:
        """The messages, newest first, for people or for programs."""
        query = read_query(request)
        show = INBOX_FORMATS.get(query.get("format", "html"))
        if show is None:
            return status_answer(HTTPStatus.BAD_REQUEST, "format is neither html nor json")
        return show(self.inbox.messages(query.get("phone_number")))

    def clear_inbox(self, _request: Request) -> Reply:
        """An inbox with nothing in it."""
        self.inbox.clear()
        return messages_answer([])

    def _admit(self, request: Request, *, required: tuple[str, ...]) -> Call:
        parameters = read_json(request, required=(*required, "bundle_key"))
        trials_remaining = self._spend_token(request)
        if parameters["bundle_key"] != CREDENTIAL:
            raise Refusal(status_answer(HTTPStatus.UNAUTHORIZED, "the bundle key is invalid"))
        return Call(
            parameters=parameters, lang=read_lang(parameters), trials_remaining=trials_remaining
        )

    def _spend_token(self, request: Request) -> int:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        left = self.tokens.spend(token.strip()) if scheme.lower() == "bearer" else None
        if left is None:
            detail = "the access token could not be found"
            raise Refusal(status_answer(HTTPStatus.FORBIDDEN, detail))
        return left


def messages_answer(messages: list[Message]) -> Answer:
    """The messages for programs."""
    return json_answer({"messages": [message.as_json() for message in messages]})


INBOX_FORMATS: dict[str, Callable[[list[Message]], Answer]] = {
    "html": page_answer,
    "json": messages_answer,
}


def _oauth_error(error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> Answer:
    return json_answer({"error": error}, status=status)
