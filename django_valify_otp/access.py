"""Decide who may list, retrieve and verify which attempts, and see whole numbers."""

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import QuerySet

from django_valify_otp import database_clock
from django_valify_otp.callers import ANONYMOUS, SYSTEM, User, identify
from django_valify_otp.conf import get_settings
from django_valify_otp.locking import read
from django_valify_otp.models import OtpSend

VIEW_SENDS = "django_valify_otp.view_otpsend"
VIEW_PHONE_NUMBERS = "django_valify_otp.view_phone_number"


def list_sends(user: User) -> QuerySet[OtpSend]:
    """Return the attempts that this user may list: all for staff who may view them, else theirs."""
    return OtpSend.objects.all() if may_view_all(user) else OtpSend.objects.of(user)


def find_retrievable(id: UUID | str, *, user: User) -> OtpSend:
    """Return the attempt with this ID that this user may look at.

    Raises ``OtpSend.DoesNotExist``, or ``SiteBusy``.
    """
    otp_send = _find(id, list_sends(user) | OtpSend.objects.filter(caller=ANONYMOUS))
    if otp_send.caller == ANONYMOUS and not may_view_all(user):
        using = router.db_for_write(OtpSend)
        now = read(lambda: database_clock.now(using), using=using)
        if not otp_send.is_open_to_holders(now, code_lifetime=get_settings().code_lifetime):
            raise OtpSend.DoesNotExist
    return otp_send


def find_verifiable(id: UUID | str, *, user: User | None) -> OtpSend:
    """Return the attempt with this ID whose OTP this user may try: their own, or an anonymous one.

    Without a user, one that Python code made without one. Raises ``OtpSend.DoesNotExist``, or
    ``SiteBusy``.
    """
    if user is None:
        return _find(id, OtpSend.objects.filter(caller=SYSTEM))
    return _find(id, OtpSend.objects.of(user) | OtpSend.objects.filter(caller=ANONYMOUS))


def is_own(user: User, otp_send: OtpSend) -> bool:
    """Return whether this user made the attempt while logged in."""
    caller = identify(user)
    return caller.is_logged_in and otp_send.caller == caller.name


def may_view_all(user: User) -> bool:
    """Return whether this user is staff who may view everybody's attempts."""
    return getattr(user, "is_staff", False) and _has_perm(user, VIEW_SENDS)


def may_view_phone_numbers(user: User) -> bool:
    """Return whether this user has the permission to see whole numbers."""
    return _has_perm(user, VIEW_PHONE_NUMBERS)


def _find(id: UUID | str, sends: QuerySet[OtpSend]) -> OtpSend:
    # Who has just sent must find it, also where a replica is behind.
    using = router.db_for_write(OtpSend)
    try:
        return read(lambda: sends.using(using).get(uuid=id), using=using)
    except (ValidationError, ValueError):
        raise OtpSend.DoesNotExist from None


def _has_perm(user: User, permission: str) -> bool:
    has_perm = getattr(user, "has_perm", None)
    return bool(has_perm and has_perm(permission))
