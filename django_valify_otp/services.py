"""Send OTPs, with every attempt on record. The only place where network and rows meet."""

import logging
import re
import time
from dataclasses import replace
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    router,
)
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from django_valify_otp import exceptions, ip_addresses
from django_valify_otp.conf import LANGS, Settings, get_settings
from django_valify_otp.limits import Request, admit, reconnect
from django_valify_otp.models import OtpSend, caller_of, hash_idempotency_key
from django_valify_otp.phone_numbers import normalise
from django_valify_otp.signals import otp_send_settled
from django_valify_otp.valify.answers import Outcome, SendAnswer
from django_valify_otp.valify.client import Account, ValifyClient, client_for
from django_valify_otp.valify.transport import Deadline

User = AbstractBaseUser | AnonymousUser

logger = logging.getLogger(__name__)

VIEW_SENDS = "django_valify_otp.view_otpsend"
VIEW_PHONE_NUMBERS = "django_valify_otp.view_phone_number"
PURPOSE = re.compile(r"\A[-a-zA-Z0-9_]{1,32}\Z")
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,128}\Z")
# Between the tries to write an answer: a database that restarts is away for some seconds.
WRITE_PAUSES_SECONDS = (0, 3, 1, 0.25)
# What mysqlclient raises as an OperationalError where a column's character set lacks a character.
MARIADB_INCORRECT_STRING = 1366


def send_otp(
    phone_number: str,
    *,
    lang: str | None = None,
    user: User | None = None,
    ip_address: str | None = None,
    purpose: str = "",
    idempotency_key: str | None = None,
) -> OtpSend:
    """The settled row of an OTP that Valify says it has sent.

    The row is committed before Valify is called, and settled after.

    ``phone_number`` is an Egyptian mobile in any spelling; ``lang`` is ``"en"`` or ``"ar"``, by
    default ``VALIFY_OTP["DEFAULT_LANG"]``; ``user`` is whom the attempt belongs to; ``purpose`` is
    an ASCII slug of at most 32 characters, for the audit. ``idempotency_key`` is 1 to 128 visible
    ASCII characters: while an attempt with it may have sent, the same request gets that row again,
    and sends nothing.

    Raises ``InvalidPhoneNumber``, or ``ValueError`` for another argument, before there is a row;
    another ``ValifyOtpError``, with the row as its ``otp_send``, if the OTP was not sent;
    ``RuntimeError`` inside a transaction, which would take the row back; and
    ``ImproperlyConfigured``.
    """
    settings = get_settings()
    using = router.db_for_write(OtpSend)
    _refuse_transaction(using, "send_otp()")
    deadline = Deadline(settings.deadline)
    address = _checked_ip_address(ip_address)
    number = normalise(phone_number)
    request = Request(
        phone_number=number,
        lang=_checked_lang(lang or settings.default_lang),
        purpose=_checked_purpose(purpose),
        user=user,
        ip_address=address,
        limited_network=ip_addresses.limited_network(address),
        idempotency_hash=_hash_key(idempotency_key, caller=caller_of(user), phone_number=number),
    )
    # Tracebacks, and so error pages and trackers, show the variables of their frames.
    del phone_number, number, idempotency_key
    client = _client(settings)
    otp_send, retry_after = _admit(request, settings, using, deadline)
    if otp_send.replayed:
        _replay(otp_send, request, settings)
    elif otp_send.status == OtpSend.Status.BLOCKED:
        _announce(otp_send)
    else:
        answer = _call(client, otp_send, deadline)
        retry_after = answer.retry_after
        _settle(otp_send, answer)
    if otp_send.status != OtpSend.Status.SENT:
        raise exceptions.BY_CODE[otp_send.code](otp_send=otp_send, retry_after=retry_after)
    return otp_send


def sweep() -> int:
    """How many attempts were settled that a dead process had left ``pending``. Safe at any time."""
    deadline = get_settings().deadline
    using = router.db_for_write(OtpSend)
    overdue = OtpSend.objects.using(using).overdue(deadline=deadline)
    return sum(_settle(otp_send, _no_record()) for otp_send in overdue)


def settle_if_overdue(otp_send: OtpSend) -> None:
    """Settle a row whose call must be over, as a sweep would."""
    if otp_send.is_overdue(deadline=get_settings().deadline):
        _settle(otp_send, _no_record())


def find_credential_problem() -> str | None:
    """Why no access token can be had, in a short text, or ``None`` if one can. Sends nothing."""
    settings = get_settings()
    problem = _client(settings).try_credentials(deadline=Deadline(settings.deadline))
    if problem is None:
        return None
    return f"{problem.error.code}: {problem.reason} {problem.message}".rstrip()


def list_sends(user: User) -> QuerySet[OtpSend]:
    """The attempts that this user may list: all for staff who may view them, else their own."""
    if getattr(user, "is_staff", False) and _has_perm(user, VIEW_SENDS):
        return OtpSend.objects.all()
    return OtpSend.objects.of(user)


def retrievable_sends(user: User) -> QuerySet[OtpSend]:
    """The attempts that this user may look at, knowing their id."""
    lifetime = get_settings().code_lifetime
    return list_sends(user) | OtpSend.objects.open_to_holders(code_lifetime=lifetime)


def may_view_phone_number(user: User, otp_send: OtpSend) -> bool:
    """Whether this user may see the whole number of a row that they may see."""
    own = user.is_authenticated and otp_send.caller == caller_of(user)
    return own or _has_perm(user, VIEW_PHONE_NUMBERS)


def _has_perm(user: User, permission: str) -> bool:
    has_perm = getattr(user, "has_perm", None)
    return bool(has_perm and has_perm(permission))


def _refuse_transaction(using: str, what: str) -> None:
    # Read as atomic(durable=True) reads it: the blocks of TestCase do not count.
    connection = connections[using]
    blocks = connection.atomic_blocks
    is_open = not blocks[-1]._from_testcase if blocks else not connection.get_autocommit()  # type: ignore[attr-defined]  # noqa: SLF001
    if is_open:
        message = (
            f"{what} must not run inside transaction.atomic(): a rollback would take back the"
            " record of an SMS that was sent. Call it before the block or after it, or exempt the"
            " view from ATOMIC_REQUESTS with transaction.non_atomic_requests."
        )
        raise RuntimeError(message)


def _checked_lang(lang: str) -> str:
    if lang not in LANGS:
        raise ValueError('lang must be "en" or "ar".')
    return lang


def _checked_purpose(purpose: str) -> str:
    if not isinstance(purpose, str) or (purpose and not PURPOSE.match(purpose)):
        raise ValueError("purpose must be an ASCII slug of at most 32 characters.")
    return purpose


def _checked_ip_address(ip_address: str | None) -> str | None:
    parsed = ip_addresses.parse(ip_address)
    if ip_address and parsed is None:
        raise ValueError("ip_address must be an IPv4 or IPv6 address.")
    return parsed


def _hash_key(key: str | None, *, caller: str, phone_number: str) -> str | None:
    if key is None:
        return None
    if not IDEMPOTENCY_KEY.match(key):
        raise ValueError("idempotency_key must be 1 to 128 visible ASCII characters.")
    return hash_idempotency_key(key, caller=caller, phone_number=phone_number)


def _replay(otp_send: OtpSend, request: Request, settings: Settings) -> None:
    """Nothing, if the row answers this request. Raises ``IdempotencyConflict`` otherwise."""
    if otp_send.is_overdue(deadline=settings.deadline):
        _settle(otp_send, _no_record())
    first = (otp_send.phone_number, otp_send.lang, otp_send.purpose)
    is_same = first == (request.phone_number, request.lang, request.purpose)
    if not is_same or otp_send.status in OtpSend.OPEN:
        raise exceptions.IdempotencyConflict(otp_send=otp_send)


def _admit(
    request: Request, settings: Settings, using: str, deadline: Deadline
) -> tuple[OtpSend, int | None]:
    try:
        return admit(request, settings, using=using, deadline=deadline)
    except Error as error:
        failure = _presentable(error)
    raise failure


def _presentable(error: Exception) -> Exception:
    """The database's error without its frames and texts, which may hold the whole row."""
    if isinstance(error, OperationalError | InterfaceError):
        return type(error)(*error.args)
    return type(error)("The database refused the row of an OTP send.")


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


def _call(client: ValifyClient, otp_send: OtpSend, deadline: Deadline) -> SendAnswer:
    try:
        return client.send_otp(
            phone_number=otp_send.phone_number, lang=otp_send.lang, deadline=deadline
        )
    except BaseException as interruption:
        # A server that stops its worker in the middle of a call: an SMS may have left.
        _settle(otp_send, _unknown(type(interruption).__name__))
        raise


def _unknown(reason: str) -> SendAnswer:
    return SendAnswer(
        outcome=Outcome.UNKNOWN, error=exceptions.OutcomeUnknown, reason=reason, calls=1
    )


def _no_record() -> SendAnswer:
    return _unknown("the process ended before it recorded an answer")


def _settle(otp_send: OtpSend, answer: SendAnswer) -> bool:
    """Record the answer and tell the receivers, unless the row is settled: then ``False``.

    Raises the database's error if the answer cannot be recorded.
    """
    failure = None
    try:
        won = _write(otp_send, answer)
    except (Error, OtpSend.DoesNotExist) as error:
        failure = _presentable(error)
    if failure:
        logger.critical(
            "otp_send id=%s not settled: status=%s transaction_id=%s",
            otp_send.uuid,
            answer.outcome,
            answer.transaction_id,
        )
        raise failure
    if not won:
        logger.warning(
            "otp_send id=%s is settled: status=%s; late answer: status=%s transaction_id=%s",
            otp_send.uuid,
            otp_send.status,
            answer.outcome,
            answer.transaction_id,
        )
        return False
    if otp_send.status != answer.outcome:
        logger.error(
            "otp_send id=%s cannot store: status=%s transaction_id=%s",
            otp_send.uuid,
            answer.outcome,
            answer.transaction_id,
        )
    _announce(otp_send)
    return True


def _announce(otp_send: OtpSend) -> None:
    logger.log(
        logging.INFO if otp_send.status == OtpSend.Status.SENT else logging.WARNING,
        "otp_send id=%s status=%s code=%s reason=%s",
        otp_send.uuid,
        otp_send.status,
        otp_send.code,
        otp_send.reason,
    )
    otp_send_settled.send_robust(sender=OtpSend, otp_send=otp_send)


def _write(otp_send: OtpSend, answer: SendAnswer) -> bool:
    """Settle the row, over a lost connection and without the texts that the database refuses."""
    candidates = [
        _unknown("the answer cannot be stored"),
        replace(answer, message="", error_code=""),
        answer,
    ]
    pauses = [*WRITE_PAUSES_SECONDS]
    settled_at = timezone.now()
    while True:
        columns = _columns(candidates[-1])
        try:
            won = otp_send.settle(settled_at=settled_at, **columns)
        except (DataError, IntegrityError, OperationalError, InterfaceError) as error:
            if len(candidates if _is_refusal(error) else pauses) == 1:
                raise
            if _is_refusal(error):
                candidates.pop()
            else:
                time.sleep(pauses.pop())
                reconnect(router.db_for_write(OtpSend))
        else:
            # A try that seemed to fail may have done it all the same.
            is_ours = (otp_send.settled_at, otp_send.status) == (settled_at, columns["status"])
            return won or is_ours


def _is_refusal(error: Error) -> bool:
    """Whether the database is well and does not take the text."""
    return isinstance(error, DataError | IntegrityError) or error.args[:1] == (
        MARIADB_INCORRECT_STRING,
    )


def _columns(answer: SendAnswer) -> dict[str, Any]:
    return {
        "status": OtpSend.Status(answer.outcome),
        "code": answer.error.code if answer.error else "",
        "reason": answer.reason,
        "http_status": answer.http_status,
        "transaction_id": answer.transaction_id,
        "trials_remaining": answer.trials_remaining,
        "error_code": answer.error_code,
        "valify_message": answer.message,
        "token_fingerprint": answer.token_fingerprint,
        "calls": answer.calls,
    }
