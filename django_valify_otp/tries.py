"""May this send be tried with an OTP? Decided under its row's lock, so it holds exactly."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from django_valify_otp import exceptions
from django_valify_otp.admission import commit, lock
from django_valify_otp.conf import Settings
from django_valify_otp.models import OtpSend, OtpVerification, caller_of
from django_valify_otp.valify.transport import Deadline


@dataclass(frozen=True, kw_only=True)
class Try:
    """One wish to verify a send."""

    otp_send: OtpSend
    user: AbstractBaseUser | AnonymousUser | None
    ip_address: str | None


def admit(wish: Try, settings: Settings, *, using: str, deadline: Deadline) -> OtpVerification:
    """The new, ``pending`` row of this try, committed.

    Raises ``NotVerifiable``, ``CodeExpired`` or ``TooManyTries``: then there is no row.
    """
    return commit(
        lambda uuid: _admit_once(uuid, wish, settings, using),
        find=lambda uuid: OtpVerification.objects.using(using).filter(uuid=uuid).first(),
        using=using,
        deadline=deadline,
    )


def _admit_once(uuid: UUID, wish: Try, settings: Settings, using: str) -> OtpVerification:
    with transaction.atomic(using=using):
        locked = lock(OtpSend.objects.using(using).filter(pk=wish.otp_send.pk))
        if not locked:
            raise exceptions.NotVerifiable(otp_send=wish.otp_send)
        otp_send = locked[0]
        _refuse(otp_send, settings)
        now = timezone.now()
        caller = caller_of(wish.user)
        owner: Any = wish.user if caller.startswith("user:") else None
        return OtpVerification.objects.using(using).create(
            uuid=uuid,
            otp_send=otp_send,
            status=OtpVerification.Status.PENDING,
            user=owner,
            caller=caller,
            ip_address=wish.ip_address,
            created_at=now,
            called_at=now,
        )


def _refuse(otp_send: OtpSend, settings: Settings) -> None:
    is_sent = otp_send.status == OtpSend.Status.SENT and otp_send.phone_number
    if not is_sent or otp_send.verified_at:
        raise exceptions.NotVerifiable(otp_send=otp_send)
    if otp_send.is_expired(code_lifetime=settings.code_lifetime):
        raise exceptions.CodeExpired(otp_send=otp_send)
    if otp_send.verifications.spent().count() >= settings.verify_tries:
        raise exceptions.TooManyTries(otp_send=otp_send)
