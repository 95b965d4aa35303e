"""The user of the benchmark. DRF loads this before its views, so it is not beside them."""

from django.contrib.auth.models import User
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

USER = User(pk=1, username="benchmark")


class KnownUser(BaseAuthentication):
    """Log everybody in as the same user, without a session or a query."""

    def authenticate(self, _request: Request) -> tuple[User, None]:
        """Return the user."""
        return USER, None
