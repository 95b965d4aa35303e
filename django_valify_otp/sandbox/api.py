"""Valify's API as its public documentation describes it, and the sandbox's inbox."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from django_valify_otp.sandbox.answers import (
    MaybeAnswer,
    Refusal,
    SandboxAnswer,
    SandboxRequest,
    business_refusal,
    json_answer,
    status_answer,
)
from django_valify_otp.sandbox.inbox import (
    TEXTS,
    Inbox,
    messages_answer,
    require_own_host,
)
from django_valify_otp.sandbox.inbox_page import show_messages
from django_valify_otp.sandbox.otps import IssuedOtps, verify_answer
from django_valify_otp.sandbox.sending import (
    Channel,
    SendCall,
    answer_send,
    email_channel,
    sms_channel,
)
from django_valify_otp.sandbox.tokens import IssuedTokens

# Username, password, client ID, client secret and bundle key.
CREDENTIAL = "sandbox"
TOKEN_LIFETIME = 600
TOKEN_USES = 3
CODE_LIFETIME = 600


@dataclass(frozen=True, kw_only=True)
class AdmittedCall:
    """A call with a good access token and the right bundle key."""

    parameters: Mapping[str, Any]
    lang: str
    trials_remaining: int


class Valify:
    """The whole state of one sandbox, and its answer to every request, safe for threads."""

    def __init__(
        self,
        *,
        token_lifetime: int = TOKEN_LIFETIME,
        token_uses: int = TOKEN_USES,
        code_lifetime: int = CODE_LIFETIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = IssuedTokens(lifetime=token_lifetime, uses=token_uses, clock=clock)
        self.inbox = Inbox()
        sms = sms_channel(IssuedOtps(lifetime=code_lifetime, clock=clock), self.inbox)
        email = email_channel(IssuedOtps(lifetime=code_lifetime, clock=clock), self.inbox)
        self._endpoints: dict[str, dict[str, Callable[[SandboxRequest], MaybeAnswer]]] = {
            "/api/o/token/": {"POST": self.issue_token},
            "/api/v1/otp/send/": {"POST": partial(self.send_otp, sms)},
            "/api/v1/otp/verify/": {"POST": partial(self.verify_otp, sms)},
            "/api/v1/otp/email/send/": {"POST": partial(self.send_otp, email)},
            "/api/v1/otp/email/verify/": {"POST": partial(self.verify_otp, email)},
            "/inbox/": {"GET": self.show_inbox, "DELETE": self.clear_inbox},
        }

    def answer(self, request: SandboxRequest) -> MaybeAnswer:
        """Return the answer to a request, whatever it asks."""
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

    def issue_token(self, request: SandboxRequest) -> SandboxAnswer:
        """Return an access token for the sandbox's credentials, or an OAuth 2.0 error."""
        form = request.read_form()
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

    def send_otp(self, channel: Channel, request: SandboxRequest) -> MaybeAnswer:
        """Send an OTP to the recipient, or do what the number forces."""
        call = self._admit(request, required=(channel.parameter,))
        recipient = call.parameters[channel.parameter]
        channel.require_recipient(recipient)
        return answer_send(
            SendCall(
                channel=channel,
                recipient=recipient,
                lang=call.lang,
                trials_remaining=call.trials_remaining,
            )
        )

    def verify_otp(self, channel: Channel, request: SandboxRequest) -> SandboxAnswer:
        """Check an OTP that was sent over this channel."""
        call = self._admit(request, required=("otp", "transaction_id"))
        check = channel.otps.spend(
            transaction_id=call.parameters["transaction_id"], digits=call.parameters["otp"]
        )
        return verify_answer(check, lang=call.lang)

    def show_inbox(self, request: SandboxRequest) -> SandboxAnswer:
        """Return the messages, newest first, as a page or as JSON."""
        require_own_host(request)
        return show_messages(self.inbox, request)

    def clear_inbox(self, request: SandboxRequest) -> SandboxAnswer:
        """Delete all messages."""
        require_own_host(request)
        self.inbox.clear()
        return messages_answer([])

    def _admit(self, request: SandboxRequest, *, required: tuple[str, ...]) -> AdmittedCall:
        """Read the parameters of a call and spend its token. Raise ``Refusal`` if one is bad."""
        parameters = request.read_json(required=(*required, "bundle_key"))
        trials_remaining = self._spend_token(request)
        if parameters["bundle_key"] != CREDENTIAL:
            raise Refusal(status_answer(HTTPStatus.UNAUTHORIZED, "the bundle key is invalid"))
        return AdmittedCall(
            parameters=parameters, lang=_read_lang(parameters), trials_remaining=trials_remaining
        )

    def _spend_token(self, request: SandboxRequest) -> int:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        left = self.tokens.spend(token.strip()) if scheme.lower() == "bearer" else None
        if left is None:
            detail = "the access token could not be found"
            raise Refusal(status_answer(HTTPStatus.FORBIDDEN, detail))
        return left


def _read_lang(parameters: Mapping[str, Any]) -> str:
    lang = parameters.get("lang", "en")
    if not isinstance(lang, str) or lang not in TEXTS:
        raise Refusal(business_refusal(1002, "lang is neither en nor ar."))
    return lang


def _oauth_error(error: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> SandboxAnswer:
    return json_answer({"error": error}, status=status)
