"""Identify the caller of an attempt or a try, as rows keep them."""

from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db.models import Model

ANONYMOUS = "anonymous"
SYSTEM = "system"
ERASED = "erased"

User = AbstractBaseUser | AnonymousUser


class Caller(NamedTuple):
    """``name`` stays when the user is deleted; ``user_pk`` is set for the site's users alone."""

    name: str
    user_pk: Any = None

    @property
    def is_logged_in(self) -> bool:
        """Tell whether somebody in particular is the caller."""
        return self.name not in {ANONYMOUS, SYSTEM, ERASED}


def identify(user: User | None) -> Caller:
    """Return the caller that a user is.

    ``user`` may also be an instance of another model, or an object that is none, such as the user
    of a stateless token. Raises ``ValueError`` if it has no primary key.
    """
    if user is None:
        return Caller(SYSTEM)
    # Other models need not have the attribute.
    if not getattr(user, "is_authenticated", True):
        return Caller(ANONYMOUS)
    model: type[Model] = get_user_model()
    if isinstance(user, Model) and not isinstance(user, model):
        concrete = user._meta.concrete_model or type(user)
        return Caller(f"{concrete._meta.label_lower}:{_primary_key(user)}")
    try:
        # A token has the key as text, and may name one that no database could hold.
        pk = model._meta.pk.to_python(_primary_key(user))
        model._meta.pk.run_validators(pk)
    except ValidationError:
        return Caller(f"user:{_primary_key(user)}")
    return Caller(f"user:{pk}", user_pk=pk)


def _primary_key(user: Any) -> Any:
    pk = getattr(user, "pk", None)
    if pk is None:
        raise ValueError("user must have a primary key: save it first, or pass None.")
    return pk
