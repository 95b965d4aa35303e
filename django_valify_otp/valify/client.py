"""Valify's API: one method for each call, each with one answer and no exceptions."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from django_valify_otp.exceptions import OutcomeUnknown
from django_valify_otp.otps import Otp
from django_valify_otp.valify.answers import (
    Answer,
    Outcome,
    read_send,
    read_token,
    read_verify,
    without_token,
)
from django_valify_otp.valify.redaction import (
    redact,
    redact_any_otp,
    redact_otp,
    redact_secrets,
)
from django_valify_otp.valify.tokens import AccessToken, FetchedTokens, NoToken, SuppliedTokens
from django_valify_otp.valify.transport import (
    BearerAuth,
    Deadline,
    NoAuth,
    NoReply,
    Reply,
    Transport,
)

TOKEN_PATH = "/api/o/token/"  # noqa: S105
SEND_PATH = "/api/v1/otp/send/"
VERIFY_PATH = "/api/v1/otp/verify/"
# A shorter token could stand in a transaction ID by chance.
SHORTEST_TELLING_TOKEN = 16


@dataclass(frozen=True, kw_only=True)
class Account:
    """Where Valify is and who we are to it. Timeouts are in seconds."""

    base_url: str
    bundle_key: str = field(repr=False)
    username: str = field(repr=False)
    password: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    token_uses: int
    connect_timeout: float
    read_timeout: float
    supply_token: Callable[[], object] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no row, log line or exception may hold."""
        return (
            self.bundle_key,
            self.username,
            self.password,
            self.client_id,
            self.client_secret,
        )


@dataclass(frozen=True)
class _Call:
    """A request to Valify, but for what says who asks."""

    path: str
    fields: Mapping[str, str] = field(repr=False)
    read: Callable[[Reply | NoReply], Answer]


class ValifyClient:
    """Valify, for all threads of one process."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._transport = Transport(
            base_url=account.base_url,
            connect_timeout=account.connect_timeout,
            read_timeout=account.read_timeout,
        )
        self._tokens: FetchedTokens | SuppliedTokens = (
            SuppliedTokens(account.supply_token)
            if account.supply_token
            else FetchedTokens(self._fetch_token, uses=account.token_uses)
        )

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def try_credentials(self, *, deadline: Deadline) -> NoToken | None:
        """Why no access token can be had, or ``None`` if one can. Sends nothing."""
        token = self._tokens.fresh(deadline)
        if isinstance(token, AccessToken):
            return None
        return replace(token, message=redact_secrets(token.message, self.account.secrets))

    def send_otp(self, *, phone_number: str, lang: str, deadline: Deadline) -> Answer:
        """How one attempt to send an OTP to ``01xxxxxxxxx`` ended, within the deadline.

        A call is repeated only if Valify has not seen it, or has refused its token.
        """
        call = _Call(SEND_PATH, {"phone_number": phone_number, "lang": lang}, read_send)
        used: list[AccessToken] = []
        answer = _without_echo(self._attempt(call, deadline, used), used)
        answer = self._presentable(answer, used, phone_number)
        if answer.outcome not in {Outcome.SENT, Outcome.UNKNOWN}:
            return answer
        # What the code is, only Valify knows; it may say so to us too.
        return replace(
            answer,
            message=redact_any_otp(answer.message),
            error_code=redact_any_otp(answer.error_code),
        )

    def verify_otp(
        self, *, otp: Otp, transaction_id: str, phone_number: str, lang: str, deadline: Deadline
    ) -> Answer:
        """How one try of the OTP that a send's transaction brought ended, within the deadline.

        ``phone_number`` is not sent: it is what the answer may not repeat.
        """
        call = _Call(
            VERIFY_PATH,
            {"otp": otp.digits, "transaction_id": transaction_id, "lang": lang},
            read_verify,
        )
        used: list[AccessToken] = []
        answer = self._presentable(self._attempt(call, deadline, used), used, phone_number)
        return replace(
            answer,
            message=redact_any_otp(redact_otp(answer.message, otp)),
            error_code=redact_otp(answer.error_code, otp),
        )

    def _presentable(self, answer: Answer, used: list[AccessToken], phone_number: str) -> Answer:
        """The answer, without what nobody may see, and with its token's fingerprint."""
        secrets = (*self.account.secrets, *(token.value for token in used))
        return replace(
            answer,
            message=redact(answer.message, secrets=secrets, phone_number=phone_number),
            error_code=redact(answer.error_code, secrets=secrets, phone_number=phone_number),
            token_fingerprint=used[-1].fingerprint if used else "",
        )

    def _attempt(self, call: _Call, deadline: Deadline, used: list[AccessToken]) -> Answer:
        token = self._tokens.lease(deadline)
        if isinstance(token, NoToken):
            return without_token(token)
        used.append(token)
        answer = self._ask(call, token, deadline)
        if answer.http_status != HTTPStatus.FORBIDDEN:
            return answer
        fresh = self._tokens.fresh(deadline)
        if isinstance(fresh, NoToken):
            return replace(without_token(fresh), calls=1)
        if fresh == token:
            self._tokens.keep_at_most(token, 0)
            return answer
        used.append(fresh)
        again = self._ask(call, fresh, deadline)
        return replace(again, calls=again.calls + 1)

    def _ask(self, call: _Call, token: AccessToken, deadline: Deadline) -> Answer:
        reply = self._transport.post(
            call.path,
            deadline=deadline,
            auth=BearerAuth(token.value),
            json={**call.fields, "bundle_key": self.account.bundle_key},
            repeat_if=_was_not_seen,
        )
        answer = call.read(reply)
        if answer.http_status == HTTPStatus.FORBIDDEN:
            self._tokens.keep_at_most(token, 0)
        elif answer.trials_remaining is not None:
            self._tokens.keep_at_most(token, answer.trials_remaining)
        return answer

    def _fetch_token(self, deadline: Deadline) -> AccessToken | NoToken:
        asked_at = time.monotonic()
        reply = self._transport.post(
            TOKEN_PATH,
            deadline=deadline,
            auth=NoAuth(),
            form={
                "username": self.account.username,
                "password": self.account.password,
                "client_id": self.account.client_id,
                "client_secret": self.account.client_secret,
                "grant_type": "password",
            },
            repeat_if=_may_pass,
        )
        return read_token(reply, asked_at=asked_at)


def _was_not_seen(outcome: Reply | NoReply) -> bool:
    return isinstance(outcome, NoReply) and not outcome.connected


def _may_pass(outcome: Reply | NoReply) -> bool:
    if isinstance(outcome, NoReply):
        return True
    return outcome.status >= 500 or outcome.status == HTTPStatus.TOO_MANY_REQUESTS


def _without_echo(answer: Answer, used: list[AccessToken]) -> Answer:
    """The answer, unless it gives an access token of ours as the transaction ID."""
    telling = [token.value for token in used if len(token.value) >= SHORTEST_TELLING_TOKEN]
    if not any(value in answer.transaction_id for value in telling):
        return answer
    if answer.outcome is not Outcome.SENT:
        return replace(answer, transaction_id="")
    return replace(
        answer,
        outcome=Outcome.UNKNOWN,
        error=OutcomeUnknown,
        reason="no transaction ID",
        transaction_id="",
    )


class _Current:
    """This process's client, and the lock under which it is made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.client: ValifyClient | None = None


_current = _Current()
_inherited: list[_Current] = []


def client_for(account: Account) -> ValifyClient:
    """This process's client, made anew when the account has changed."""
    with _current.lock:
        client = _current.client
        if client is None or client.account != account:
            if client is not None:
                client.close()
            client = _current.client = ValifyClient(account)
    return client


def _forget_parent() -> None:
    """Start afresh after a fork: sockets, tokens and locks are the parent's.

    Its client is kept, unused: to collect it could take a lock that another thread held.
    """
    global _current  # noqa: PLW0603
    _inherited.append(_current)
    _current = _Current()


with suppress(AttributeError):  # Windows has no fork
    os.register_at_fork(after_in_child=_forget_parent)
