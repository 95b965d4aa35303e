"""May this number, this caller, this moment, send? Decided under a lock, so it holds exactly."""

import math
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Value
from django.utils import timezone

from django_valify_otp.admission import commit, lock
from django_valify_otp.conf import Limit, Settings
from django_valify_otp.models import OtpSend, SendBlock, Stripe, caller_of
from django_valify_otp.valify.transport import Deadline


@dataclass(frozen=True, kw_only=True)
class Request:
    """One wish to send, in one spelling."""

    phone_number: str = field(repr=False)
    lang: str
    purpose: str
    user: AbstractBaseUser | AnonymousUser | None
    ip_address: str | None
    limited_network: str
    idempotency_hash: str | None

    @property
    def caller(self) -> str:
        """Whose wish it is."""
        return caller_of(self.user)


@dataclass(frozen=True)
class Verdict:
    """Why a send is refused. ``retry_after`` is in seconds."""

    code: OtpSend.Code
    blocked_by: str
    retry_after: int | None = None


@dataclass(frozen=True)
class _Scope:
    """One thing that limits are counted for: the rows with this value in this column."""

    key: str
    limits: tuple[Limit, ...]
    statuses: tuple[str, ...]
    column: str = ""
    value: str = field(default="", repr=False)

    @property
    def lock(self) -> str:
        """What names the lock of this scope."""
        return f"{self.column}:{self.value}"


class _StripesMissing(Exception):  # noqa: N818
    """The table of locks is empty, as after ``migrate`` and after ``flush``."""


def admit(
    request: Request, settings: Settings, *, using: str, deadline: Deadline
) -> tuple[OtpSend, int | None]:
    """The row of this request, and the seconds to wait if a limit refused it.

    The row is new and ``pending``, or new and ``blocked``, or the one that holds the request's
    idempotency key, marked as ``replayed``. It is committed when this returns.
    """
    scopes = _scopes(request, settings)
    names = [scope.lock for scope in scopes]
    if request.idempotency_hash:
        names.append(request.idempotency_hash)
    stripes = sorted({_stripe(name) for name in names})
    return commit(
        lambda uuid: _admit_once(uuid, request, scopes, stripes, using),
        find=lambda uuid: _find_committed(uuid, using),
        using=using,
        deadline=deadline,
    )


def _admit_once(
    uuid: UUID, request: Request, scopes: list[_Scope], stripes: list[int], using: str
) -> tuple[OtpSend, int | None]:
    if not stripes:
        return _admit_locked(uuid, request, scopes, using)
    while True:
        try:
            with transaction.atomic(using=using):
                _lock(stripes, using)
                return _admit_locked(uuid, request, scopes, using)
        except _StripesMissing:
            _make_stripes(using)


def _scopes(request: Request, settings: Settings) -> list[_Scope]:
    """What the limits are counted for."""
    may_have_sent = OtpSend.MAY_HAVE_SENT
    # With the rejected ones: or somebody could try for ever with numbers that Valify refuses.
    tried = (*may_have_sent, OtpSend.Status.REJECTED)
    number, caller, network = request.phone_number, request.caller, request.limited_network
    of_number = settings.number_send_limits
    of_user = settings.user_send_limits if caller.startswith("user:") else ()
    of_network = settings.ip_send_limits if network else ()
    scopes = [
        _Scope("NUMBER_SEND_LIMITS", of_number, may_have_sent, "phone_number", number),
        _Scope("USER_SEND_LIMITS", of_user, tried, "caller", caller),
        _Scope("IP_SEND_LIMITS", of_network, tried, "limited_network", network),
        _Scope("GLOBAL_SEND_LIMITS", settings.global_send_limits, may_have_sent),
    ]
    return [scope for scope in scopes if scope.limits]


def _stripe(name: str) -> int:
    return zlib.crc32(name.encode()) % Stripe.COUNT


def _lock(stripes: list[int], using: str) -> None:
    if len(lock(Stripe.objects.using(using).filter(pk__in=stripes))) < len(stripes):
        raise _StripesMissing


def _make_stripes(using: str) -> None:
    stripes = [Stripe(pk=number) for number in range(Stripe.COUNT)]
    Stripe.objects.using(using).bulk_create(stripes, ignore_conflicts=True)


def _admit_locked(
    uuid: UUID, request: Request, scopes: list[_Scope], using: str
) -> tuple[OtpSend, int | None]:
    if request.idempotency_hash:
        holders = OtpSend.objects.using(using).filter(idempotency_hash=request.idempotency_hash)
        if holder := holders.first():
            holder.replayed = True
            return holder, None
    # Taken after the lock, for which the wait may have been long.
    now = timezone.now()
    any_block, *must_leave = _look(scopes, now, using)
    verdict = _find_block(request, using) if any_block else None
    verdict = verdict or _find_limit(scopes, must_leave, now)
    owner: Any = request.user if request.caller.startswith("user:") else None
    row = OtpSend(
        uuid=uuid,
        status=OtpSend.Status.PENDING,
        phone_number=request.phone_number,
        lang=request.lang,
        purpose=request.purpose,
        user=owner,
        caller=request.caller,
        ip_address=request.ip_address,
        limited_network=request.limited_network,
        idempotency_hash=request.idempotency_hash,
        created_at=now,
        called_at=now,
    )
    if verdict:
        row.status = OtpSend.Status.BLOCKED
        row.code, row.blocked_by = verdict.code, verdict.blocked_by
        row.idempotency_hash = row.called_at = None
        row.settled_at = now
    row.save(using=using, force_insert=True)
    return row, verdict.retry_after if verdict else None


def _find_committed(uuid: UUID, using: str) -> tuple[OtpSend, None] | None:
    pending = OtpSend.objects.using(using).filter(status=OtpSend.Status.PENDING)
    found = pending.filter(uuid=uuid).first()
    return (found, None) if found else None


def _find_block(request: Request, using: str) -> Verdict | None:
    blocks = SendBlock.objects.using(using).applying_to(
        phone_number=request.phone_number, ip_address=request.ip_address, user=request.user
    )
    found = sorted(blocks, key=lambda block: block.scope != SendBlock.Scope.EVERYTHING)
    if not found:
        return None
    paused = found[0].scope == SendBlock.Scope.EVERYTHING
    code = OtpSend.Code.SENDING_PAUSED if paused else OtpSend.Code.SEND_FORBIDDEN
    return Verdict(code, f"SendBlock {found[0].pk}")


def _find_limit(
    scopes: list[_Scope], must_leave: list[datetime | None], now: datetime
) -> Verdict | None:
    """The limit that has longest to wait for, if any is reached."""
    limits = [(scope, limit) for scope in scopes for limit in scope.limits]
    waits = [
        (moment + timedelta(seconds=limit.seconds) - now, f"{scope.key} {limit.text}")
        for (scope, limit), moment in zip(limits, must_leave, strict=True)
        if moment is not None
    ]
    if not waits:
        return None
    wait, blocked_by = max(waits)
    retry_after = max(1, math.ceil(wait.total_seconds()))
    return Verdict(OtpSend.Code.SEND_LIMIT_REACHED, blocked_by, retry_after)


def _look(scopes: list[_Scope], now: datetime, using: str) -> list[Any]:
    """Whether there is any block; then, for each limit, when the row was made that must leave
    the window before another send may enter it, ``None`` if one may enter now.

    One statement, and written by hand: Django's ORM takes longer to write it than databases take
    to answer it (see ``benchmarks/overhead.py``).
    """
    connection = connections[using]
    quote = connection.ops.quote_name
    columns = [f"EXISTS (SELECT 1 FROM {quote(SendBlock._meta.db_table)})"]  # noqa: S608
    parameters: list[Any] = []
    for scope in scopes:
        where = f"status IN ({', '.join(['%s'] * len(scope.statuses))}) AND created_at > %s"
        if scope.column:
            where = f"{quote(scope.column)} = %s AND {where}"
        for limit in scope.limits:
            since = now - timedelta(seconds=limit.seconds)
            columns.append(
                f"(SELECT created_at FROM {quote(OtpSend._meta.db_table)} WHERE {where}"  # noqa: S608
                " ORDER BY created_at DESC LIMIT 1 OFFSET %s)"
            )
            parameters += [scope.value] if scope.column else []
            parameters += [*scope.statuses, connection.ops.adapt_datetimefield_value(since)]
            parameters.append(limit.count - 1)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        any_block, *moments = cursor.fetchone()
    return [any_block, *(_aware(moment, connection) for moment in moments)]


def _aware(moment: Any, connection: BaseDatabaseWrapper) -> Any:
    """What the database returned, as the ORM would have it."""
    expression = Value(None, output_field=DateTimeField())
    for convert in connection.ops.get_db_converters(expression):
        moment = convert(moment, expression, connection)
    return moment
