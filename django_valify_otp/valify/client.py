"""Valify's API: one method for each operation. Each returns an answer, whatever Valify does."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from django_valify_otp.deadline import Deadline
from django_valify_otp.otps import Otp
from django_valify_otp.valify.answers import (
    Answer,
    Outcome,
    read_send,
    read_token,
    read_verify,
    without_token,
    without_transaction_id,
)
from django_valify_otp.valify.redaction import (
    redact,
    redact_any_otp,
    redact_otp,
    redact_secrets,
)
from django_valify_otp.valify.tokens import AccessToken, FetchedTokens, NoToken, SuppliedTokens
from django_valify_otp.valify.transport import NoReply, Reply, Transport

TOKEN_PATH = "/api/o/token/"  # noqa: S105
# A shorter access token could be part of a transaction ID by chance.
SHORTEST_ECHO = 16


@dataclass(frozen=True, kw_only=True)
class Account:
    """Valify's URL and our credentials there. Timeouts are in seconds."""

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
        """Return the texts that no row, log line or exception may contain."""
        return (
            self.bundle_key,
            self.username,
            self.password,
            self.client_id,
            self.client_secret,
        )


@dataclass(frozen=True)
class _Endpoint:
    """A path of Valify's API that wants an access token, and how to read its replies."""

    path: str
    read: Callable[[Reply | NoReply], Answer]


SEND = _Endpoint("/api/v1/otp/send/", read_send)
VERIFY = _Endpoint("/api/v1/otp/verify/", read_verify)


@dataclass
class CallLog:
    """The calls of one attempt or try so far, so that they are known if it is interrupted.

    ``calls`` counts the calls that may have reached Valify, without those that fetch tokens.
    """

    calls: int = 0
    tokens: list[AccessToken] = field(default_factory=list)

    def count_call(self) -> None:
        """Count a call that may reach Valify."""
        self.calls += 1


class ValifyClient:
    """A client of Valify for all threads of one process."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._transport = Transport(
            base_url=account.base_url,
            connect_timeout=account.connect_timeout,
            read_timeout=account.read_timeout,
        )
        self._tokens: FetchedTokens | SuppliedTokens
        if account.supply_token:
            self._tokens = SuppliedTokens(account.supply_token)
        else:
            self._tokens = FetchedTokens(self._fetch_token, uses=account.token_uses)

    def close(self) -> None:
        """Close the idle connections. Calls in other threads go on."""
        self._transport.close()

    def check_credentials(self, *, deadline: Deadline) -> NoToken | None:
        """Return why there is no access token, or ``None`` if there is one. Send nothing."""
        token = self._tokens.fresh(deadline)
        if isinstance(token, AccessToken):
            return None
        return replace(token, message=redact_secrets(token.message, self.account.secrets))

    def send_otp(self, *, phone_number: str, lang: str, deadline: Deadline, log: CallLog) -> Answer:
        """Send an OTP to ``01xxxxxxxxx`` within the deadline, and return how that ended.

        Call again only if Valify has not seen the call, or has refused its access token.
        """
        fields = {"phone_number": phone_number, "lang": lang}
        answer = self._call(SEND, fields, deadline, log)
        answer = _without_echoed_token(answer, log.tokens)
        answer = self._complete(answer, log, phone_number)
        if answer.outcome not in {Outcome.SENT, Outcome.UNKNOWN}:
            return answer
        # Valify knows the OTP, which may be good now, and we do not: hide all that looks like one.
        return replace(
            answer,
            message=redact_any_otp(answer.message),
            error_code=redact_any_otp(answer.error_code),
        )

    def verify_otp(
        self,
        *,
        otp: Otp,
        transaction_id: str,
        phone_number: str,
        lang: str,
        deadline: Deadline,
        log: CallLog,
    ) -> Answer:
        """Verify the OTP of a transaction within the deadline, and return how that ended.

        ``phone_number`` is not sent: it is masked where the answer repeats it.
        """
        fields = {"otp": otp.digits, "transaction_id": transaction_id, "lang": lang}
        answer = self._call(VERIFY, fields, deadline, log)
        answer = self._complete(answer, log, phone_number)
        return replace(
            answer,
            message=redact_any_otp(redact_otp(answer.message, otp)),
            error_code=redact_otp(answer.error_code, otp),
        )

    def _call(
        self, endpoint: _Endpoint, fields: Mapping[str, str], deadline: Deadline, log: CallLog
    ) -> Answer:
        """Call with an access token, and once more with a fresh one if Valify refuses it."""
        token = self._tokens.lease(deadline)
        if isinstance(token, NoToken):
            return without_token(token)
        answer = self._call_with(token, endpoint, fields, deadline, log)
        if answer.http_status != HTTPStatus.FORBIDDEN:
            return answer
        fresh = self._tokens.fresh(deadline)
        if isinstance(fresh, NoToken):
            return without_token(fresh)
        if fresh == token:
            # The refused token came back, so another call would be refused too.
            self._tokens.forget_all()
            return answer
        return self._call_with(fresh, endpoint, fields, deadline, log)

    def _call_with(
        self,
        token: AccessToken,
        endpoint: _Endpoint,
        fields: Mapping[str, str],
        deadline: Deadline,
        log: CallLog,
    ) -> Answer:
        """Call with this access token, and keep no more of its uses than Valify grants."""
        log.tokens.append(token)
        reply = self._transport.post(
            endpoint.path,
            {**fields, "bundle_key": self.account.bundle_key},
            access_token=token.value,
            deadline=deadline,
            repeat_if=_was_not_seen,
            count_call=log.count_call,
        )
        answer = endpoint.read(reply)
        if answer.http_status == HTTPStatus.FORBIDDEN:
            self._tokens.forget_all()
        elif answer.trials_remaining is not None:
            self._tokens.keep_at_most(token, answer.trials_remaining)
        return answer

    def _complete(self, answer: Answer, log: CallLog, phone_number: str) -> Answer:
        """Add what the log knows, and hide our secrets, the tokens and the number."""
        secrets = (*self.account.secrets, *(token.value for token in log.tokens))
        return replace(
            answer,
            message=redact(answer.message, secrets=secrets, phone_number=phone_number),
            error_code=redact(answer.error_code, secrets=secrets, phone_number=phone_number),
            token_fingerprint=log.tokens[-1].fingerprint if log.tokens else "",
            calls=log.calls,
        )

    def _fetch_token(self, deadline: Deadline) -> AccessToken | NoToken:
        asked_at = time.monotonic()
        reply = self._transport.post(
            TOKEN_PATH,
            {
                "username": self.account.username,
                "password": self.account.password,
                "client_id": self.account.client_id,
                "client_secret": self.account.client_secret,
                "grant_type": "password",
            },
            access_token=None,
            deadline=deadline,
            repeat_if=_is_temporary,
            count_call=_count_nothing,
        )
        return read_token(reply, asked_at=asked_at)


def _was_not_seen(reply: Reply | NoReply) -> bool:
    return isinstance(reply, NoReply) and not reply.connected


def _is_temporary(reply: Reply | NoReply) -> bool:
    if isinstance(reply, NoReply):
        return True
    return reply.status >= 500 or reply.status == HTTPStatus.TOO_MANY_REQUESTS


def _count_nothing() -> None:
    """Leave a call that fetches a token out of the count."""


def _without_echoed_token(answer: Answer, tokens: list[AccessToken]) -> Answer:
    """Take out a transaction ID that contains an access token: staff and callers see the ID."""
    echoes = [token.value for token in tokens if len(token.value) >= SHORTEST_ECHO]
    if not any(echo in answer.transaction_id for echo in echoes):
        return answer
    answer = replace(answer, transaction_id="")
    if answer.outcome is Outcome.SENT:
        return without_transaction_id(answer)
    return answer


class _ProcessClient:
    """The client of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: ValifyClient | None = None

    def get(self, account: Account) -> ValifyClient:
        """Return the client for this account. Close the one of another account."""
        with self._lock:
            client = self._client
            if client and client.account == account:
                return client
            if client:
                client.close()
            self._client = ValifyClient(account)
            return self._client


# By process ID: a fork must not share sockets, tokens and locks with its parent. No hook tells of
# it, as uWSGI forks in C. The parent's client stays here, unused: to delete it in the child could
# wait for a lock that another thread of the parent held.
_clients: dict[int, _ProcessClient] = {}


def client_for(account: Account) -> ValifyClient:
    """Return this process's client for the account."""
    return _clients.setdefault(os.getpid(), _ProcessClient()).get(account)
