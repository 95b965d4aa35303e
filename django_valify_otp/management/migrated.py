"""Tell in plain words that the tables are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import Error

from django_valify_otp.missing_tables import ADVICE, lacks_tables


@contextmanager
def needs_tables() -> Iterator[None]:
    """Raise ``CommandError`` with what to do, if the block needs tables that are missing."""
    try:
        yield
    except Error as error:
        if not lacks_tables(error):
            raise
        raise CommandError(ADVICE) from None
