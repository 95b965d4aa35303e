"""Find users by what support is told: their ID, user name or e-mail address."""

import re
from contextlib import suppress
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model, Q

from django_valify_otp.audit import looks
from django_valify_otp.callers import User, identify
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.phone_numbers import PhoneNumber, mask_numbers, normalize

LARGEST_NUMBER_OF_USERS = 100
# As ``caller`` has them: the user, or the principal of another model.
CALLER = re.compile(r"[A-Za-z_][\w.]*:.+")


def number_in(term: str) -> PhoneNumber | None:
    """Return the number that a term spells."""
    with suppress(InvalidPhoneNumber):
        return normalize(term)
    return None


def may_search(searcher: User, term: str) -> bool:
    """Return whether somebody may search for a term, which is logged if it has a number in it."""
    if number_in(term) is None and mask_numbers(term) == term:
        return True
    return looks.permit_search(searcher, term)


def find_users(term: str) -> list[Any]:
    """Return the users with exactly this ID, user name or e-mail address, at most 100."""
    model: Any = get_user_model()
    wanted = Q()
    for name, value in _lookups(model, term).items():
        # Some sites keep addresses in small letters, whatever people type.
        values = [value, value.lower()] if isinstance(value, str) and "@" in value else [value]
        wanted |= Q(**{f"{name}__in": values})
    if not wanted:
        return []
    return [*model._default_manager.filter(wanted)[:LARGEST_NUMBER_OF_USERS]]


def callers_named(term: str, users: list[Any]) -> list[str]:
    """Return what ``caller`` has for these users, or for one who is gone."""
    names = [identify(user).name for user in users]
    key = _value(get_user_model()._meta.pk, term)
    if key is not None:
        names.append(f"user:{key}")
    if CALLER.fullmatch(term):
        names.append(term)
    return names


def _lookups(model: Any, term: str) -> dict[str, Any]:
    """Return the values to look for. Only an address is looked for in the column of addresses."""
    names = ["pk", model.USERNAME_FIELD]
    if "@" in term:
        names.append(model.get_email_field_name())
    return {
        name: value for name in names if (value := _value(_field(model, name), term)) is not None
    }


def _field(model: type[Model], name: str) -> Any:
    """Return the field, or ``None`` if the model has none of this name."""
    if name == "pk":
        return model._meta.pk
    with suppress(FieldDoesNotExist):
        return model._meta.get_field(name)
    return None


def _value(field: Any, term: str) -> Any:
    """Return the term as the field has it, ``None`` if it cannot have it."""
    if field is None or "\0" in term:
        return None
    try:
        value = field.to_python(term)
        field.run_validators(value)
    except ValidationError:
        return None
    return value
