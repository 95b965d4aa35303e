"""The task that sends a queued OTP, on whichever engine ``TASKS`` names.

It is made when somebody asks for it, from the ``TASKS`` of that moment. A task is checked against
``TASKS`` as it is made, and a site that sends nothing in the background need not have what the task
asks for. Nor need Django 5.2, which has tasks only with the package django-tasks.
"""

from contextlib import suppress
from importlib import import_module
from typing import Any

import django
from django.conf import settings

from django_valify_otp import services

FRAMEWORK = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
OWN_ALIAS = "valify_otp"
NAME = "send_queued_otp"


def _send(pk: int) -> None:
    services.send_queued(pk)


# Engines find a task by the name of its function.
_send.__name__ = _send.__qualname__ = NAME


def __getattr__(name: str) -> Any:
    if name == NAME:
        return _task(_alias())
    raise AttributeError(name)


def _alias() -> str:
    """Return the backend of this app's own, if ``TASKS`` has one."""
    return OWN_ALIAS if OWN_ALIAS in getattr(settings, "TASKS", ()) else "default"


def _task(alias: str) -> Any:
    """Return the task of a backend, in the first of its queues if it has no ``default``."""
    framework: Any = import_module(FRAMEWORK)
    backend = framework.task_backends[alias]
    queues = getattr(backend, "queues", None) or {"default"}
    queue_name = "default" if "default" in queues else min(queues)
    return framework.task(backend=alias, queue_name=queue_name)(_send)


# A Celery worker imports this module, and refuses tasks that were not made by then.
with suppress(Exception):
    _task(_alias())
