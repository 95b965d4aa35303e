"""The rows, the people and the clients that tests begin with."""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend, OtpVerification

NUMBER = "01012345678"
MASKED = "010*****678"

# By role: the permissions of each person.
PERMISSIONS = {
    "anonymous": None,
    "owner": [],
    "other": [],
    "staff": [],
    "viewer": ["view_otpsend"],
    "inspector": ["view_otpsend", "view_phone_number"],
    "auditor": ["view_otpsend", "view_otpverification"],
    "number viewer": ["view_phone_number"],
    "blocker": ["view_sendblock", "add_sendblock", "change_sendblock", "delete_sendblock"],
    "superuser": [],
}
NOT_STAFF = {"anonymous", "owner", "other"}


def make_send(**fields: Any) -> OtpSend:
    """Make an attempt that was sent just now, but for these fields."""
    now = timezone.now()
    defaults = {
        "phone_number": NUMBER,
        "lang": "en",
        "caller": "system",
        "status": "sent",
        "transaction_id": "T1",
        "created_at": now,
        "called_at": now,
        "settled_at": now,
    }
    return OtpSend.objects.create(**{**defaults, **fields})


def make_overdue(**fields: Any) -> OtpSend:
    """Make an attempt whose process died during its call, longer ago than a call may take."""
    long_ago = timezone.now() - timedelta(seconds=36)
    defaults = {
        "status": "pending",
        "settled_at": None,
        "created_at": long_ago,
        "called_at": long_ago,
        "transaction_id": "",
    }
    return make_send(**{**defaults, **fields})


def make_try(otp_send: OtpSend, **fields: Any) -> OtpVerification:
    """Make a try of this attempt that was rejected just now, but for these fields."""
    now = timezone.now()
    defaults = {
        "status": "rejected",
        "code": "code_rejected",
        "caller": "system",
        "created_at": now,
        "called_at": now,
        "settled_at": now,
    }
    return OtpVerification.objects.create(otp_send=otp_send, **{**defaults, **fields})


def make_overdue_try(otp_send: OtpSend, seconds: int = 36) -> OtpVerification:
    """Make a try whose call began so many seconds ago and has no answer."""
    began = timezone.now() - timedelta(seconds=seconds)
    return make_try(
        otp_send, status="pending", code="", created_at=began, called_at=began, settled_at=None
    )


def make_verification(*, purpose: str = "", **fields: Any) -> OtpVerification:
    """Make the try that has verified an attempt of this purpose just now."""
    otp_send = make_send(verified_at=timezone.now(), purpose=purpose)
    return make_try(otp_send, **{"status": "verified", "code": "", **fields})


def permit(user: User, *permissions: str) -> None:
    """Give the user these permissions and no others."""
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))


def staff(*permissions: str) -> User:
    """Make somebody on the staff who has these permissions."""
    user = User.objects.create_user(f"staff-{uuid.uuid4()}", is_staff=True)
    permit(user, *permissions)
    return user


def make_person(who: str) -> User:
    """Make the person of a role."""
    if who == "superuser":
        return User.objects.create_superuser("root")
    person = User.objects.create_user(who, is_staff=who not in NOT_STAFF)
    permit(person, *(PERMISSIONS[who] or []))
    return person


def client_of(user: Any = None) -> APIClient:
    """Return a client of the API and of the admin, logged in unless ``user`` is ``None``.

    The API takes any principal; the admin knows users only.
    """
    client = APIClient()
    if isinstance(user, User):
        client.force_login(user)
    if user is not None:
        client.force_authenticate(user)
    return client
