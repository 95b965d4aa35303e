"""Send and verify OTPs, with every attempt on record. Only here do network and rows meet."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import Error, connections, router
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string

from django_valify_otp import exceptions, ip_addresses, limits, tries, verification_tokens
from django_valify_otp.conf import LANGS, Settings, get_settings
from django_valify_otp.models import (
    ANONYMOUS,
    OtpSend,
    OtpVerification,
    caller_of,
    hash_idempotency_key,
)
from django_valify_otp.otps import read_otp
from django_valify_otp.phone_numbers import normalise
from django_valify_otp.settlement import Row, announce, presentable, settle, settle_as_lost
from django_valify_otp.valify.answers import Answer, unknown
from django_valify_otp.valify.client import Account, ValifyClient, client_for
from django_valify_otp.valify.transport import Deadline

Found = TypeVar("Found")
User = AbstractBaseUser | AnonymousUser

VIEW_SENDS = "django_valify_otp.view_otpsend"
VIEW_PHONE_NUMBERS = "django_valify_otp.view_phone_number"
PURPOSE = re.compile(r"\A[-a-zA-Z0-9_]{1,32}\Z")
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


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
    request = limits.Request(
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
    otp_send, retry_after = _admit(
        lambda: limits.admit(request, settings, using=using, deadline=deadline)
    )
    if otp_send.replayed:
        _replay(otp_send, request)
    elif otp_send.status == OtpSend.Status.BLOCKED:
        announce(otp_send)
    else:
        answer = _answer(
            otp_send,
            lambda: client.send_otp(
                phone_number=otp_send.phone_number, lang=otp_send.lang, deadline=deadline
            ),
        )
        retry_after = answer.retry_after
    if otp_send.status != OtpSend.Status.SENT:
        raise exceptions.BY_CODE[otp_send.code](otp_send=otp_send, retry_after=retry_after)
    return otp_send


def verify_otp(
    otp_send: OtpSend,
    otp: str,
    *,
    user: User | None = None,
    ip_address: str | None = None,
) -> OtpVerification:
    """The settled row of a try with which Valify has verified the send; its ``token`` proves it.

    ``otp`` is six digits of any script, in which spaces and dashes are ignored; ``user`` is who
    typed them. Whether they may is for the caller to say. A try counts from before its call, and
    no longer if no call reached Valify.

    Raises ``ValueError`` for a bad argument; ``NotVerifiable``, ``CodeExpired`` or
    ``TooManyTries`` before Valify is asked; another ``ValifyOtpError``, with the row as its
    ``verification``, if the send was not verified; ``RuntimeError`` inside a transaction, which
    would take the row back; and ``ImproperlyConfigured``.
    """
    typed = read_otp(otp)
    # Tracebacks, and so error pages and trackers, show the variables of their frames.
    del otp
    if typed is None:
        raise ValueError("otp must be six digits.")
    settings = get_settings()
    using = router.db_for_write(OtpSend)
    _refuse_transaction(using, "verify_otp()")
    deadline = Deadline(settings.deadline)
    wish = tries.Try(otp_send=otp_send, user=user, ip_address=_checked_ip_address(ip_address))
    client = _client(settings)
    try:
        verification = _admit(lambda: tries.admit(wish, settings, using=using, deadline=deadline))
    finally:
        _settle_overdue_rows(otp_send, settings, using)
    sent = verification.otp_send
    answer = _answer(
        verification,
        lambda: client.verify_otp(
            otp=typed,
            transaction_id=sent.transaction_id,
            phone_number=sent.phone_number,
            lang=sent.lang,
            deadline=deadline,
        ),
    )
    if verification.status != OtpVerification.Status.VERIFIED:
        raise exceptions.BY_CODE[verification.code](
            otp_send=sent, verification=verification, retry_after=answer.retry_after
        )
    otp_send.verified_at = verification.settled_at
    return verification


def redeem_verification_token(token: str, *, purpose: str = "") -> str:
    """The number ``01xxxxxxxxx`` that a verification proves, once.

    Inside ``transaction.atomic()``, a rollback makes the token good again.

    Raises ``InvalidVerificationToken`` if the token was not made for this purpose, is older than
    ``VALIFY_OTP["CODE_LIFETIME"]``, or was redeemed before.
    """
    uuid = verification_tokens.unsign(token, purpose=purpose)
    del token
    if uuid is None:
        raise exceptions.InvalidVerificationToken
    # Written before it is read: on SQLite, who has read first cannot wait for another's write.
    if not _redeemable(uuid).update(redeemed_at=timezone.now()):
        raise exceptions.InvalidVerificationToken
    return _phone_number(_verifications(uuid))


def read_verification_token(token: str, *, purpose: str = "") -> str:
    """The number ``01xxxxxxxxx`` that a verification proves, which stays good.

    Raises ``InvalidVerificationToken`` wherever ``redeem_verification_token()`` would.
    """
    uuid = verification_tokens.unsign(token, purpose=purpose)
    del token
    if uuid is None:
        raise exceptions.InvalidVerificationToken
    return _phone_number(_redeemable(uuid))


def sweep() -> int:
    """How many rows were settled that a dead process had left ``pending``. Safe at any time."""
    deadline = get_settings().deadline
    using = router.db_for_write(OtpSend)
    return sum(
        settle_as_lost(row)
        for model in (OtpSend, OtpVerification)
        for row in model.objects.using(using).overdue(deadline=deadline)
    )


def settle_if_overdue(otp_send: OtpSend) -> None:
    """Settle a row whose call must be over, as a sweep would."""
    if otp_send.is_overdue(deadline=get_settings().deadline):
        settle_as_lost(otp_send)


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
    found = list_sends(user) | OtpSend.objects.open_to_holders(code_lifetime=lifetime)
    # Who has just sent must find it, also where a replica is behind.
    return found.using(router.db_for_write(OtpSend))


def verifiable_sends(user: User) -> QuerySet[OtpSend]:
    """The attempts whose codes this user may try: their own, and anonymous ones by their id."""
    found = OtpSend.objects.of(user) | OtpSend.objects.filter(caller=ANONYMOUS)
    return found.using(router.db_for_write(OtpSend))


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
            " record of what was done. Call it before the block or after it, or exempt the"
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


def _replay(otp_send: OtpSend, request: limits.Request) -> None:
    """Nothing, if the row answers this request. Raises ``IdempotencyConflict`` otherwise."""
    settle_if_overdue(otp_send)
    first = (otp_send.phone_number, otp_send.lang, otp_send.purpose)
    is_same = first == (request.phone_number, request.lang, request.purpose)
    if not is_same or otp_send.status in OtpSend.OPEN:
        raise exceptions.IdempotencyConflict(otp_send=otp_send)


def _settle_overdue_rows(otp_send: OtpSend, settings: Settings, using: str) -> None:
    """Settle them as a sweep would; if that fails, a sweep will."""
    with suppress(Error):
        settle_if_overdue(otp_send)
        found = OtpVerification.objects.using(using).filter(otp_send=otp_send.pk)
        for row in found.overdue(deadline=settings.deadline):
            settle_as_lost(row)


def _phone_number(verifications: QuerySet[OtpVerification]) -> str:
    """The number of one verification. Raises ``InvalidVerificationToken`` if it is not there."""
    verification = verifications.select_related("otp_send").first()
    if verification is None or not verification.otp_send.phone_number:
        raise exceptions.InvalidVerificationToken
    return verification.otp_send.phone_number


def _verifications(uuid: UUID) -> QuerySet[OtpVerification]:
    using = router.db_for_write(OtpVerification)
    return OtpVerification.objects.using(using).filter(uuid=uuid)


def _redeemable(uuid: UUID) -> QuerySet[OtpVerification]:
    since = timezone.now() - timedelta(seconds=get_settings().code_lifetime)
    return _verifications(uuid).filter(
        status=OtpVerification.Status.VERIFIED, settled_at__gt=since, redeemed_at=None
    )


def _admit(admit: Callable[[], Found]) -> Found:
    try:
        return admit()
    except Error as error:
        failure = presentable(error)
    raise failure


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


def _answer(row: Row, call: Callable[[], Answer]) -> Answer:
    """Valify's answer, on record."""
    try:
        answer = call()
    except BaseException as interruption:  # noqa: BLE001 (raised again)
        # A server that stops its worker in the middle of a call: it may have arrived.
        settle(row, unknown(type(interruption).__name__))
        # The frames below have what was to be sent.
        raise interruption.with_traceback(None) from None
    settle(row, answer)
    return answer
