"""Routers of a primary and a replica, as sites have them."""

import sys
import traceback
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import Any

from django.db import models

import django_valify_otp

APP = "django_valify_otp"
PACKAGE = str(Path(django_valify_otp.__file__).parent)
# What only shows rows may be as late as a replica.
LISTS = {"list", "summarize"}
TESTS = str(Path(__file__).parent)


class PrimaryReplicaRouter:
    """Django's documented router of a primary and a replica, for every model."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """Whatever is only read comes from the replica."""
        return "replica"

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str:
        """Rows are written on the primary."""
        return "default"

    def allow_relation(self, one: models.Model, other: models.Model, **hints: Any) -> bool:
        """Both databases have the same rows."""
        return True


class AppRouter(PrimaryReplicaRouter):
    """The same for the models of this app alone; users are read where they are written."""

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """The app's models come from the replica."""
        return "replica" if model._meta.app_label == APP else None


class DecisionsRouter(AppRouter):
    """The same for what the app decides by: its lists, and the tests, see the primary.

    So the tests hold behind it, although the replica is empty.
    """

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        """What the app reads on its own account comes from the replica."""
        functions = _running_functions(sys._getframe())
        if not functions or functions & LISTS:
            return None
        return super().db_for_read(model, **hints)


def _running_functions(frame: FrameType) -> set[str]:
    """The app's functions that are running, as far as the innermost one of a test."""
    codes = (caller.f_code for caller, _line in traceback.walk_stack(frame))
    above_tests = takewhile(lambda code: not _is_of_a_test(code.co_filename), codes)
    return {code.co_name for code in above_tests if code.co_filename.startswith(PACKAGE)}


def _is_of_a_test(path: str) -> bool:
    return path.startswith(TESTS) and path != __file__
