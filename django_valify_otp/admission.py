"""Decide whether to send or to try, in one transaction under a lock: so limits hold exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django_valify_otp import (
    database_clock,
    exceptions,
    limit_locks,
    limits,
    locking,
    round_trip,
    statements,
    tallies,
    tries,
)
from django_valify_otp.callers import Caller
from django_valify_otp.conf import Settings
from django_valify_otp.database_clock import Reading
from django_valify_otp.deadline import Deadline
from django_valify_otp.limits import Look, Scope
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock

# What decides whether a send can be verified, and what Valify is told of it.
VERIFIED_COLUMNS = (
    "status",
    "phone_number",
    "lang",
    "purpose",
    "transaction_id",
    "settled_at",
    "verified_at",
)


@dataclass(frozen=True, kw_only=True)
class NewSend:
    """What somebody asks to have sent, each value in its one spelling."""

    phone_number: str = field(repr=False)
    lang: str
    # Whether the request names it; else it is the site's or the reader's.
    names_lang: bool
    purpose: str
    caller: Caller = field(repr=False)
    ip_address: str | None
    limited_network: str
    idempotency_hash: str | None = field(repr=False)
    in_background: bool = False


class AdmittedSend(NamedTuple):
    """The row of a request, and when it was admitted.

    ``retry_after`` are the seconds to wait if a limit refused it. ``untallied`` are the scopes that
    lack tallies, ``unread`` those whose tallies this process has not read.
    """

    otp_send: OtpSend
    clock: Reading
    retry_after: int | None = None
    untallied: Sequence[Scope] = ()
    unread: Sequence[Scope] = ()


@dataclass(frozen=True, kw_only=True)
class NewTry:
    """A send that somebody asks to verify."""

    otp_send: OtpSend
    caller: Caller = field(repr=False)
    ip_address: str | None


class AdmittedTry(NamedTuple):
    """The row of a try, or why there is none, and when it was admitted.

    ``tries_left`` are those that the send allows after this one; ``overdue`` are earlier ones whose
    call must be over.
    """

    verification: OtpVerification | exceptions.ValifyOtpError
    clock: Reading
    tries_left: int = 0
    overdue: Sequence[OtpVerification] = ()


class Refusal(NamedTuple):
    """Why an attempt may not be sent; ``retry_after`` is in seconds."""

    code: OtpSend.Code
    blocked_by: str
    retry_after: int | None = None


class _Judgment(NamedTuple):
    """Why a request is refused, if it is; or from when its limits allow the next one.

    ``untallied`` are the scopes that lack tallies.
    """

    refusal: Refusal | None
    resend_at: datetime
    untallied: Sequence[Scope] = ()


def admit_send(
    request: NewSend, settings: Settings, *, using: str, deadline: Deadline
) -> AdmittedSend:
    """Return the row of this request, committed.

    It is new and ``pending`` (or ``queued``), or new and ``blocked``, or the one that holds the
    request's idempotency key, marked as ``replayed``. Raises ``SiteBusy``, or a database's error.
    """
    scopes = limits.limited_scopes(
        settings,
        phone_number=request.phone_number,
        caller=request.caller,
        limited_network=request.limited_network,
    )
    lock_keys = _lock_keys(scopes, request.idempotency_hash)

    def insert(uuid: UUID, bound: str) -> AdmittedSend:
        chains = tallies.known(scopes, using=using)
        look = limits.look(scopes, lock_keys=lock_keys, chains=chains, using=using, first=bound)
        if lock_keys:
            # Each of several may have been waited for.
            deadline.limit(locking.LONGEST_WAIT_SECONDS)
        return _insert_send(uuid, request, look, using, first="" if lock_keys else bound)

    def write_locked(uuid: UUID) -> AdmittedSend:
        with locking.lazily_bounded_transaction(using, deadline) as bound:
            return insert(uuid, bound)

    def write(uuid: UUID) -> AdmittedSend:
        bound = locking.bound_without_transaction(using, deadline)
        at_once = _insert_at_once(uuid, request, scopes, lock_keys, using, first=bound)
        if at_once:
            return at_once
        if not lock_keys and bound is not None:
            # Two statements, and no need of a transaction. On SQLite one that reads first, as this
            # would, could not wait for its turn.
            return insert(uuid, bound)
        try:
            return write_locked(uuid)
        except limit_locks.LocksMissing:
            limit_locks.make(using)
        return write_locked(uuid)

    def find(uuids: Sequence[UUID]) -> AdmittedSend | None:
        admitted = OtpSend.objects.using(using).filter(status__in=OtpSend.OPEN)
        found = admitted.filter(uuid__in=uuids).first()
        return AdmittedSend(found, database_clock.reading(using)) if found else None

    return locking.commit(write, find=find, using=using, deadline=deadline)


def admit_try(
    request: NewTry, settings: Settings, *, using: str, deadline: Deadline
) -> AdmittedTry:
    """Return the new, ``pending`` row of this try, committed, or why there is none.

    Raises ``SiteBusy``, or a database's error.
    """

    def write(uuid: UUID) -> AdmittedTry:
        with locking.transaction(using, deadline):
            return _insert_try(uuid, request, settings, using)

    def find(uuids: Sequence[UUID]) -> AdmittedTry | None:
        verifications = OtpVerification.objects.using(using).select_related("otp_send")
        found = verifications.filter(uuid__in=uuids).first()
        if found is None:
            return None
        seen = tries.look(found.otp_send, deadline=settings.deadline, using=using)
        return AdmittedTry(found, seen.clock, max(0, settings.verify_tries - seen.spent))

    return locking.commit(write, find=find, using=using, deadline=deadline)


def _insert_at_once(
    uuid: UUID,
    request: NewSend,
    scopes: list[Scope],
    lock_keys: set[int],
    using: str,
    *,
    first: str | None,
) -> AdmittedSend | None:
    """Return the row if one round trip could admit it, which only PostgreSQL can."""
    if not first:
        return None
    row, chains = _open_row(uuid, request), tallies.known(scopes, using=using)
    inserted = round_trip.insert(
        row, scopes, lock_keys=lock_keys, chains=chains, using=using, first=first
    )
    if inserted is None:
        return None
    return AdmittedSend(row, inserted.clock, untallied=_untallied(inserted.untallied))


def _lock_keys(scopes: list[Scope], idempotency_hash: str | None) -> set[int]:
    keys = {scope.lock_key for scope in scopes}
    return keys | {limits.lock_key(idempotency_hash)} if idempotency_hash else keys


def _insert_send(
    uuid: UUID, request: NewSend, look: Look, using: str, *, first: str
) -> AdmittedSend:
    if request.idempotency_hash:
        holders = OtpSend.objects.using(using).filter(idempotency_hash=request.idempotency_hash)
        if holder := holders.first():
            holder.replayed = True
            return AdmittedSend(holder, look.clock)
    refusal, resend_at, untallied = _judge(request, look, using)
    unread = [scope for scope, _limits in look.crowded if scope not in look.untallied]
    row = _open_row(uuid, request)
    row.date(look.clock.moment)
    row.resend_at = resend_at
    if refusal:
        row.status = OtpSend.Status.BLOCKED.value
        row.code, row.blocked_by = refusal.code.value, refusal.blocked_by
        row.idempotency_hash = row.called_at = row.handed_over_at = row.resend_at = None
        row.settled_at = row.created_at
    statements.insert(row, using=using, first=first)
    retry_after = refusal.retry_after if refusal else None
    return AdmittedSend(row, look.clock, retry_after, untallied, unread)


def _open_row(uuid: UUID, request: NewSend) -> OtpSend:
    """Return the row of a request that is permitted, without its times."""
    status = OtpSend.Status.QUEUED if request.in_background else OtpSend.Status.PENDING
    return OtpSend(
        uuid=uuid,
        status=status.value,
        phone_number=request.phone_number,
        lang=request.lang,
        purpose=request.purpose,
        user_id=request.caller.user_pk,
        caller=request.caller.name,
        ip_address=request.ip_address,
        limited_network=request.limited_network,
        idempotency_hash=request.idempotency_hash,
    )


def _untallied(attempts: Mapping[Scope, int]) -> list[Scope]:
    return [scope for scope, number in attempts.items() if number >= tallies.STEP]


def _judge(request: NewSend, look: Look, using: str) -> _Judgment:
    now, block = look.clock.moment, None
    if look.any_block:
        block = find_block(
            now,
            phone_number=request.phone_number,
            ip_address=request.ip_address,
            user_pk=request.caller.user_pk,
            using=using,
        )
    if block:
        return _Judgment(block, now)
    crowd = tallies.look(look, using=using)
    reached = [*look.reached, *crowd.reached]
    known = _untallied(look.untallied)
    untallied = [*known, *(scope for scope in crowd.untallied if scope not in known)]
    resend_at = max([now, *look.resend, *crowd.resend])
    if not reached:
        return _Judgment(None, resend_at, untallied)
    longest = max(reached)
    refusal = Refusal(OtpSend.Code.SEND_LIMIT_REACHED, longest.name, longest.retry_after)
    return _Judgment(refusal, resend_at, untallied)


def find_block(
    now: datetime, *, phone_number: str, ip_address: str | None, user_pk: Any, using: str
) -> Refusal | None:
    """Return the block that forbids this send, if any; that of everything before others."""
    blocks = SendBlock.objects.using(using).applying_to(
        now, phone_number=phone_number, ip_address=ip_address, user_pk=user_pk
    )
    found = sorted(blocks, key=lambda block: block.scope != SendBlock.Scope.EVERYTHING)
    if not found:
        return None
    is_paused = found[0].scope == SendBlock.Scope.EVERYTHING
    code = OtpSend.Code.SENDING_PAUSED if is_paused else OtpSend.Code.SEND_FORBIDDEN
    return Refusal(code, found[0].name)


def _insert_try(uuid: UUID, request: NewTry, settings: Settings, using: str) -> AdmittedTry:
    otp_send = request.otp_send
    identity = {"uuid": [otp_send.uuid]}
    if not statements.lock_and_refresh(
        otp_send, names=VERIFIED_COLUMNS, using=using, where=identity
    ):
        clock = database_clock.reading(using)
        return AdmittedTry(exceptions.NotVerifiable(otp_send=otp_send), clock)
    clock, spent, overdue = tries.look(otp_send, deadline=settings.deadline, using=using)
    refusal = _find_refusal(otp_send, spent, clock.moment, settings)
    if refusal:
        return AdmittedTry(refusal, clock, overdue=overdue)
    verification = OtpVerification(
        uuid=uuid,
        otp_send=otp_send,
        status=OtpVerification.Status.PENDING.value,
        user_id=request.caller.user_pk,
        caller=request.caller.name,
        ip_address=request.ip_address,
        created_at=clock.moment,
        called_at=clock.moment,
    )
    statements.insert(verification, using=using)
    return AdmittedTry(verification, clock, settings.verify_tries - spent - 1, overdue)


def _find_refusal(
    otp_send: OtpSend, spent: int, now: datetime, settings: Settings
) -> exceptions.ValifyOtpError | None:
    is_sent = otp_send.status == OtpSend.Status.SENT and otp_send.phone_number
    if not is_sent or otp_send.verified_at:
        return exceptions.NotVerifiable(otp_send=otp_send)
    if otp_send.is_expired(now, code_lifetime=settings.code_lifetime):
        return exceptions.CodeExpired(otp_send=otp_send)
    if spent >= settings.verify_tries:
        return exceptions.TooManyTries(otp_send=otp_send)
    return None
