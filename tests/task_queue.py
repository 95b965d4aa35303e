"""A task queue that keeps what it is given, or is down; no worker takes anything from it."""

from importlib import import_module
from typing import Any, ClassVar

from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning

from django_valify_otp.tasks import FRAMEWORK

backends: Any = import_module(f"{FRAMEWORK}.backends.base")
dummy: Any = import_module(f"{FRAMEWORK}.backends.dummy")


class BrokerDown(Exception):
    """What an engine raises if its broker cannot be reached."""


class KeepingBackend(dummy.DummyBackend):  # type: ignore[misc]
    """Keeps the keys of the attempts; ``is_down`` makes it raise."""

    handed_over: ClassVar[list[int]] = []
    tries: ClassVar[list[int]] = []
    is_down = False

    def check(self, **_kwargs: Any) -> list[CheckMessage]:
        """Return a warning, which does not keep the queue from working."""
        return [CheckWarning("results are kept nowhere", id="tests.W001")]

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Keep the key. Raises ``BrokerDown``."""
        type(self).tries.append(args[0])
        if self.is_down:
            raise BrokerDown("amqp://guest:hunter2@broker/")
        type(self).handed_over.append(args[0])
        return super().enqueue(task, args, kwargs)


TASKS = {"default": {"BACKEND": "tests.task_queue.KeepingBackend"}}
