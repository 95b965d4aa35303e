"""Write an entry in the admin's log for each look at other people's phone numbers.

Where no entry can be written, nobody may look: the numbers stay masked.
"""

import re
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import Model
from django.utils.translation import pgettext

from django_valify_otp import access
from django_valify_otp.callers import User
from django_valify_otp.models import OtpSend
from django_valify_otp.phone_numbers import mask_numbers

# As django.contrib.admin.models has it, which cannot be imported on a site without the admin.
CHANGE = 2
# In digits: how much of a number anybody may look for who may not see it whole.
OPEN_PREFIX = 4
# A phone number with digits too many, too few or mistyped.
NEARLY_A_NUMBER = re.compile(r"\d(?:\D{0,3}\d){6,}")


def can_be_logged(user: User) -> bool:
    """Return whether there is an admin's log, and it can name this user."""
    return apps.is_installed("django.contrib.admin") and isinstance(user, get_user_model())


def may_look(user: User) -> bool:
    """Return whether this user may see other people's whole numbers, each look being logged."""
    return access.may_view_phone_numbers(user) and can_be_logged(user)


def log_look(user: User, row: Model, *masked_numbers: str) -> None:
    """Log that a user saw these numbers, which the entry has masked, as a whole."""
    text = pgettext("OTP", "Looked at the whole phone number %(masked)s.")
    _write(user, text % {"masked": ", ".join(dict.fromkeys(masked_numbers))}, row=row)


def permit_look(user: User, otp_send: OtpSend) -> bool:
    """Return whether this user may see somebody else's whole number, which is then logged."""
    is_staff = access.may_view_all(user) and may_look(user)
    permitted = is_staff and bool(otp_send.phone_number) and _is_on_file(user)
    if permitted:
        log_look(user, otp_send, otp_send.masked_phone_number)
    return permitted


def permit_search(user: User, term: str) -> bool:
    """Return whether this user may find other people's attempts by a number in what they typed.

    Whoever may not see whole numbers could guess one that is masked: their searches are logged.
    """
    if access.may_view_phone_numbers(user):
        return True
    if not can_be_logged(user) or not _is_on_file(user):
        return False
    text = pgettext("OTP", "Searched for the whole phone number %(masked)s.")
    _write(user, text % {"masked": masked_term(term)})
    return True


def log_export(user: User, filters: dict[str, list[str]], *, whole_numbers: bool) -> None:
    """Log who exported what, before they have any of it."""
    text = pgettext("OTP", "Exported as CSV with masked phone numbers: %(filters)s")
    if whole_numbers:
        text = pgettext("OTP", "Exported as CSV with whole phone numbers: %(filters)s")
    shown = [f"{name}={value}" for name, values in filters.items() for value in values]
    _write(user, text % {"filters": " ".join(shown) or "*"})


def masked_term(term: str) -> str:
    """Return what somebody searched for, with numbers masked, also those that are mistyped."""
    with suppress(ValueError):
        return str(UUID(term))
    return NEARLY_A_NUMBER.sub(_mask_digits, mask_numbers(term))


def _mask_digits(found: re.Match[str]) -> str:
    """Mask all digits but the first three and the last three."""
    text = found[0]
    digits = [place for place, character in enumerate(text) if character.isdecimal()]
    hidden = {*digits[3:-3]}
    return "".join("*" if place in hidden else text[place] for place in range(len(text)))


def _is_on_file(user: Any) -> bool:
    """Return whether an entry can name the user, who may be gone since they logged in."""
    users = get_user_model()._base_manager.using(router.db_for_write(_log()))
    return users.filter(pk=user.pk).exists()


def _log() -> type[Model]:
    return apps.get_model("admin", "LogEntry")


def _write(user: Any, text: str, *, row: Model | None = None) -> None:
    content_types: Any = apps.get_model("contenttypes", "ContentType")._default_manager
    model = type(row) if row else OtpSend
    _log()._default_manager.create(
        user_id=user.pk,
        content_type=content_types.get_for_model(model),
        object_id=row and str(row.pk),
        object_repr=str(row or OtpSend._meta.verbose_name_plural)[:200],
        action_flag=CHANGE,
        change_message=text,
    )
