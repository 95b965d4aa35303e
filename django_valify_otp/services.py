"""Send and verify OTPs, with every attempt on record: the public functions."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import Error, router
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from django_valify_otp import (
    database_clock,
    exceptions,
    settlement,
    tallies,
    verification_tokens,
)
from django_valify_otp.access import find_retrievable, find_verifiable
from django_valify_otp.admission import (
    AdmittedSend,
    NewSend,
    NewTry,
    admit_send,
    admit_try,
    find_block,
)
from django_valify_otp.arguments import checked_ip_address, new_send, reader_lang
from django_valify_otp.async_calls import run_to_the_end
from django_valify_otp.callers import User, identify
from django_valify_otp.conf import Settings, get_settings
from django_valify_otp.cures import cure_of
from django_valify_otp.database_clock import Reading
from django_valify_otp.deadline import Deadline
from django_valify_otp.handover import hand_over
from django_valify_otp.locking import LONGEST_WAIT_SECONDS, is_transaction_open, read
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.otps import Otp, read_otp
from django_valify_otp.settlement import (
    Record,
    announce,
    settle,
    settle_as_blocked,
    settle_if_overdue,
)
from django_valify_otp.tracebacks import presentable, without_async_frames, without_frames
from django_valify_otp.valify.answers import interrupted
from django_valify_otp.valify.client import Account, CallLog, ValifyClient, client_for

__all__ = [
    "asend_otp",
    "averify_otp",
    "enqueue_otp",
    "find_credential_problem",
    "get_send",
    "hand_over_queued",
    "read_verification_token",
    "redeem_verification_token",
    "retrieve_send",
    "send_otp",
    "send_queued",
    "sweep",
    "verify_otp",
]

HANDED_OVER_AT_ONCE = 500

logger = logging.getLogger(__name__)


@without_frames
def send_otp(
    phone_number: str,
    *,
    lang: str | None = None,
    user: User | None = None,
    ip_address: str | None = None,
    purpose: str = "",
    idempotency_key: str | None = None,
) -> OtpSend:
    """Send an OTP, and return its settled row, whose status is ``sent``.

    The row is committed before Valify is called, and settled after.

    ``phone_number`` is an Egyptian mobile in any spelling; ``lang`` is ``"en"`` or ``"ar"``, by
    default ``VALIFY_OTP["DEFAULT_LANG"]``, or the active language; ``user`` is whom the attempt
    belongs to; ``purpose`` is an ASCII slug of at most 32 characters, for the audit.
    ``idempotency_key`` is 1 to 128 visible ASCII characters: while an attempt with it may have
    sent, the same request gets that row again, and sends nothing.

    Raises ``InvalidPhoneNumber``, or ``ValueError`` for another argument, before there is a row;
    ``SiteBusy`` if the database gives none; another ``ValifyOtpError``, with the row as its
    ``otp_send``, if the OTP was not sent; ``RuntimeError`` inside a transaction, which would take
    the row back; and ``ImproperlyConfigured``.
    """
    settings = get_settings()
    _refuse_transaction("send_otp()")
    request = new_send(
        phone_number=phone_number,
        lang=lang,
        default_lang=settings.default_lang,
        user=user,
        ip_address=ip_address,
        purpose=purpose,
        idempotency_key=idempotency_key,
    )
    return _send(request, settings)


@without_async_frames
async def asend_otp(
    phone_number: str,
    *,
    lang: str | None = None,
    user: User | None = None,
    ip_address: str | None = None,
    purpose: str = "",
    idempotency_key: str | None = None,
) -> OtpSend:
    """Do what ``send_otp()`` does, in the thread that Django gives the request.

    If the task is cancelled, the send still ends and its row is settled; then ``CancelledError``
    is raised.
    """
    return await run_to_the_end(
        send_otp,
        phone_number,
        lang=lang,
        user=user,
        ip_address=ip_address,
        purpose=purpose,
        idempotency_key=idempotency_key,
    )


@without_frames
def enqueue_otp(
    phone_number: str,
    *,
    lang: str | None = None,
    user: User | None = None,
    ip_address: str | None = None,
    purpose: str = "",
    idempotency_key: str | None = None,
) -> OtpSend:
    """Have a worker send an OTP, and return its row, whose status is ``queued``.

    The row is committed before it goes to the task queue of ``TASKS``, and stays ``queued`` if
    that is down: ``hand_over_queued()`` hands it over again. Arguments and errors are those of
    ``send_otp()``; what comes of the call is on the row only. A repeated request gets the row of
    the first one, whatever has come of it. It raises ``QueueExpired`` if no worker took the first
    one in time.
    """
    settings = get_settings()
    _refuse_transaction("enqueue_otp()")
    request = new_send(
        phone_number=phone_number,
        lang=lang,
        default_lang=settings.default_lang,
        user=user,
        ip_address=ip_address,
        purpose=purpose,
        idempotency_key=idempotency_key,
        in_background=True,
    )
    return _enqueue(request, settings)


def _enqueue(request: NewSend, settings: Settings) -> OtpSend:
    using = router.db_for_write(OtpSend)
    admitted = admit_send(request, settings, using=using, deadline=Deadline(settings.deadline))
    otp_send = admitted.otp_send
    if otp_send.replayed:
        _replay(otp_send, request)
    elif otp_send.status == OtpSend.Status.BLOCKED:
        announce(otp_send)
    else:
        hand_over(otp_send)
    _keep_tallies(admitted, using)
    was_queued = otp_send.handed_over_at and otp_send.status in OtpSend.MAY_HAVE_SENT
    if not was_queued and otp_send.status != OtpSend.Status.SENT:
        raise exceptions.BY_CODE[otp_send.code](otp_send=otp_send, retry_after=admitted.retry_after)
    return otp_send


def send_queued(pk: int) -> None:
    """Send a queued attempt, for a worker, unless another has or it is too late.

    Raises nothing: what fails is on the row, or the row stays ``queued`` for the next sweep. An
    engine that repeats failed tasks would only find nothing left to do.
    """
    failure = None
    try:
        _send_queued(pk)
    except Exception as error:  # noqa: BLE001 (of the database, or of the settings)
        failure = presentable(error)
    if failure:
        logger.error("otp_send pk=%s: a worker could not send it: %s", pk, type(failure).__name__)


def _send_queued(pk: int) -> None:
    settings = get_settings()
    _refuse_transaction("The task of a queued OTP")
    client = _client(settings)
    using = router.db_for_write(OtpSend)
    # A worker's connection may have been lost since its last task.
    otp_send = read(lambda: OtpSend.objects.using(using).filter(pk=pk).first(), using=using)
    if otp_send is None:
        return
    settle_if_overdue(otp_send)
    deadline, clock = Deadline(settings.deadline), database_clock.reading(using)
    if not otp_send.claim(clock.moment):
        return
    log = CallLog()
    with _interruptions_recorded(otp_send, log, clock):
        # After the claim, so that a block holds from the moment it is saved.
        block = find_block(
            clock.now(),
            phone_number=otp_send.phone_number,
            ip_address=otp_send.ip_address,
            user_pk=otp_send.user_id,
            using=using,
        )
        if block:
            settle_as_blocked(
                otp_send, code=block.code, blocked_by=block.blocked_by, at=clock.now()
            )
            return
        answer = client.send_otp(
            phone_number=otp_send.phone_number, lang=otp_send.lang, deadline=deadline, log=log
        )
    settle(otp_send, answer, at=clock.now())


def _send(request: NewSend, settings: Settings) -> OtpSend:
    deadline = Deadline(settings.deadline)
    client = _client(settings)
    using = router.db_for_write(OtpSend)
    admitted = admit_send(request, settings, using=using, deadline=deadline)
    otp_send, retry_after = admitted.otp_send, admitted.retry_after
    if otp_send.replayed:
        _replay(otp_send, request)
    elif otp_send.status == OtpSend.Status.BLOCKED:
        announce(otp_send)
    else:
        log = CallLog()
        with _interruptions_recorded(otp_send, log, admitted.clock):
            answer = client.send_otp(
                phone_number=otp_send.phone_number, lang=otp_send.lang, deadline=deadline, log=log
            )
        settle(otp_send, answer, at=admitted.clock.now())
        retry_after = answer.retry_after
    # Not before the call, whose row would be left open if this were interrupted.
    _keep_tallies(admitted, using)
    if otp_send.status != OtpSend.Status.SENT:
        raise exceptions.BY_CODE[otp_send.code](
            _message(otp_send, retry_after, settings), otp_send=otp_send, retry_after=retry_after
        )
    return otp_send


@without_frames
def verify_otp(
    otp_send: OtpSend,
    otp: str | Otp,
    *,
    user: User | None = None,
    ip_address: str | None = None,
) -> OtpVerification:
    """Verify a send, and return the settled row of the try; its ``token`` proves the number.

    ``otp`` is six digits of any script, in which spaces and dashes are ignored; ``user`` is who
    typed them. Whether they may is for the caller to say. A try counts from before its call, and
    no longer if no call reached Valify.

    Raises ``ValueError`` for a bad argument; ``NotVerifiable``, ``CodeExpired`` or
    ``TooManyTries`` before Valify is asked; ``SiteBusy`` if the database gives no row; another
    ``ValifyOtpError``, with the row as its ``verification``, if the send was not verified;
    ``RuntimeError`` inside a transaction, which would take the row back; and
    ``ImproperlyConfigured``.
    """
    typed = read_otp(otp)
    if typed is None:
        raise ValueError("otp must be six digits.")
    settings = get_settings()
    _refuse_transaction("verify_otp()")
    address = checked_ip_address(ip_address)
    return _verify(
        NewTry(otp_send=otp_send, caller=identify(user), ip_address=address), typed, settings
    )


@without_async_frames
async def averify_otp(
    otp_send: OtpSend,
    otp: str | Otp,
    *,
    user: User | None = None,
    ip_address: str | None = None,
) -> OtpVerification:
    """Do what ``verify_otp()`` does, in the thread that Django gives the request.

    If the task is cancelled, the try still ends and its row is settled; then ``CancelledError``
    is raised.
    """
    return await run_to_the_end(verify_otp, otp_send, otp, user=user, ip_address=ip_address)


def _verify(request: NewTry, otp: Otp, settings: Settings) -> OtpVerification:
    deadline = Deadline(settings.deadline)
    client = _client(settings)
    using = router.db_for_write(OtpSend)
    admitted = admit_try(request, settings, using=using, deadline=deadline)
    otp_send, verification, clock = request.otp_send, admitted.verification, admitted.clock
    met: list[Record] = [otp_send, *admitted.overdue]
    for record in met:
        settle_if_overdue(record)
    if isinstance(verification, exceptions.ValifyOtpError):
        raise verification
    log = CallLog()
    with _interruptions_recorded(verification, log, clock):
        answer = client.verify_otp(
            otp=otp,
            transaction_id=otp_send.transaction_id,
            phone_number=otp_send.phone_number,
            # Of the message that Valify may write to whoever reads the answer.
            lang=reader_lang(),
            deadline=deadline,
            log=log,
        )
    settle(verification, answer, at=clock.now())
    if verification.status != OtpVerification.Status.VERIFIED:
        error = exceptions.BY_CODE[verification.code](
            _message(verification, answer.retry_after, settings),
            otp_send=otp_send,
            verification=verification,
            retry_after=answer.retry_after,
        )
        if isinstance(error, exceptions.CodeRejected):
            error.tries_left = admitted.tries_left
        raise error
    return verification


@without_frames
def redeem_verification_token(token: str, *, purpose: str = "") -> str:
    """Return the number ``01xxxxxxxxx`` that a verification proves, and use up its token.

    Inside ``transaction.atomic()``, a rollback makes the token good again.

    Raises ``InvalidVerificationToken`` if the token was not made for this purpose, is older than
    ``VALIFY_OTP["CODE_LIFETIME"]``, or was redeemed before.
    """
    uuid = verification_tokens.unsign(token, purpose=purpose)
    if uuid is None:
        raise exceptions.InvalidVerificationToken
    # Written before it is read: on SQLite, who has read first cannot wait for another's write.
    now = database_clock.now(router.db_for_write(OtpVerification))
    if not _redeemable(uuid, now).update(redeemed_at=now):
        raise exceptions.InvalidVerificationToken
    return _phone_number(_verifications(uuid))


@without_frames
def read_verification_token(token: str, *, purpose: str = "") -> str:
    """Return the number ``01xxxxxxxxx`` that a verification proves, and leave its token valid.

    Raises ``InvalidVerificationToken`` wherever ``redeem_verification_token()`` would.
    """
    uuid = verification_tokens.unsign(token, purpose=purpose)
    if uuid is None:
        raise exceptions.InvalidVerificationToken
    now = database_clock.now(router.db_for_write(OtpVerification))
    return _phone_number(_redeemable(uuid, now))


@without_frames
def get_send(id: UUID | str, *, user: User | None = None) -> OtpSend:
    """Return the attempt with this ID, if this user may verify it.

    That is one of their own, or an anonymous one; without a user, one that was sent without one.

    Raises ``OtpSend.DoesNotExist``, also for what is no ID; and ``SiteBusy``.
    """
    otp_send = find_verifiable(id, user=user)
    settle_if_overdue(otp_send)
    return otp_send


@without_frames
def retrieve_send(id: UUID | str, *, user: User) -> OtpSend:
    """Return the attempt with this ID, if this user may look at it.

    Raises ``OtpSend.DoesNotExist``, also for what is no ID; and ``SiteBusy``.
    """
    otp_send = find_retrievable(id, user=user)
    settle_if_overdue(otp_send)
    return otp_send


def sweep() -> int:
    """Settle what nobody else will, and return how many rows they were.

    The rows that dead processes left ``pending`` become ``unknown``, those too long in the queue
    ``failed``. Tallies that no limit needs any more are deleted. Safe at any time, by many at once.
    """
    settled = settlement.sweep()
    window, using = get_settings().longest_window, router.db_for_write(OtpSend)
    with suppress(Error):
        tallies.delete_unused(database_clock.now(using), window, using=using)
    return settled


def hand_over_queued() -> int:
    """Hand queued attempts to the task queue again, and return how many they were.

    Each after 10 seconds, then after 20 and 40 more. Safe at any time, by many at once: of several
    workers that get the same attempt, one sends it.
    """
    using = router.db_for_write(OtpSend)
    now = database_clock.now(using)
    batches = OtpSend.objects.using(using).queued().in_batches(HANDED_OVER_AT_ONCE)
    due = (row for batch in batches for row in batch if row.is_due_for_handover(now))
    return sum(row.note_handover(now) for row in due if hand_over(row))


def find_credential_problem() -> str | None:
    """Return why no access token can be had, or ``None`` if one can. Sends nothing."""
    settings = get_settings()
    problem = _client(settings).check_credentials(deadline=Deadline(settings.deadline))
    if problem is None:
        return None
    found = f"{problem.error.code}: {problem.reason} {problem.message}".rstrip()
    cure = cure_of(problem.reason, problem.message, base_url=settings.base_url)
    return f"{found}. {cure}" if cure else found


def _message(row: Record, retry_after: int | None, settings: Settings) -> str | None:
    """Return what a developer should know of a failure, if that is more than its class says."""
    error = exceptions.BY_CODE[row.code]
    if isinstance(row, OtpSend) and error is exceptions.SendLimitReached:
        return f"{row.blocked_by} is reached: the next send is allowed in {retry_after} seconds."
    if error not in {exceptions.ValifyMisconfigured, exceptions.ValifyUnreachable}:
        return None
    cure = cure_of(row.reason, row.valify_message, base_url=settings.base_url)
    return f"{error.message} {cure}" if cure else None


def _refuse_transaction(what: str) -> None:
    if is_transaction_open(router.db_for_write(OtpSend)):
        message = (
            f"{what} must not run inside transaction.atomic(): a rollback would take back the"
            " record of what was done. Call it before the block or after it, or exempt the"
            " view from ATOMIC_REQUESTS with transaction.non_atomic_requests."
        )
        raise RuntimeError(message)


def _keep_tallies(admitted: AdmittedSend, using: str) -> None:
    """Make the tallies that the next sends will need. If that fails, one of them will."""
    for scope in admitted.unread:
        with suppress(Error):
            tallies.remember(scope, now=admitted.clock.moment, using=using)
    for scope in admitted.untallied:
        if not tallies.is_due(scope, using):
            continue
        with suppress(Error, TimeoutError):
            now, deadline = admitted.clock.now(), Deadline(LONGEST_WAIT_SECONDS)
            in_the_way = tallies.extend(scope, now=now, using=using, deadline=deadline)
            if in_the_way:
                settle_if_overdue(in_the_way)


def _replay(otp_send: OtpSend, request: NewSend) -> None:
    """Raise ``IdempotencyConflict`` unless the row answers this request."""
    settle_if_overdue(otp_send)
    first = (otp_send.phone_number, otp_send.purpose)
    is_same = first == (request.phone_number, request.purpose)
    if request.names_lang and request.lang != otp_send.lang:
        is_same = False
    was_queued = request.in_background and otp_send.handed_over_at
    if not is_same or (otp_send.status in OtpSend.OPEN and not was_queued):
        raise exceptions.IdempotencyConflict(otp_send=otp_send)


def _phone_number(verifications: QuerySet[OtpVerification]) -> str:
    """Return the number of one verification. Raises ``InvalidVerificationToken``."""
    verification = verifications.select_related("otp_send").first()
    if verification is None or not verification.otp_send.phone_number:
        raise exceptions.InvalidVerificationToken
    return verification.otp_send.phone_number


def _verifications(uuid: UUID) -> QuerySet[OtpVerification]:
    using = router.db_for_write(OtpVerification)
    return OtpVerification.objects.using(using).filter(uuid=uuid)


def _redeemable(uuid: UUID, now: datetime) -> QuerySet[OtpVerification]:
    since = now - timedelta(seconds=get_settings().code_lifetime)
    return _verifications(uuid).filter(
        status=OtpVerification.Status.VERIFIED, settled_at__gt=since, redeemed_at=None
    )


def _client(settings: Settings) -> ValifyClient:
    supply_token = None
    if settings.access_token_callable:
        supply_token = import_string(settings.access_token_callable)
    return client_for(
        Account(
            base_url=settings.base_url,
            bundle_key=settings.bundle_key,
            username=settings.username,
            password=settings.password,
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            token_uses=settings.token_uses,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            supply_token=supply_token,
        )
    )


@contextmanager
def _interruptions_recorded(record: Record, log: CallLog, clock: Reading) -> Iterator[None]:
    try:
        yield
    except BaseException as interruption:
        # A server that stops its worker in the middle of a call.
        answer = interrupted(type(interruption).__name__, calls=log.calls)
        settle(record, answer, at=clock.now())
        raise
