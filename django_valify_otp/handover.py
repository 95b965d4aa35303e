"""Hand queued attempts to the task queue, whatever that does.

The row is what counts: one that reached no worker is handed over again by the sweep, until one
takes it or it is too old. So a queue that is down, slow or forgetful loses nothing.
"""

import logging
import os
import time
from contextlib import ExitStack
from threading import Lock

from django.utils.module_loading import import_string

from django_valify_otp.conf import TASK_PATH
from django_valify_otp.models import OtpSend

# Engines may wait for a queue that is down for 20 seconds: one thread of a process finds that out.
PAUSE_SECONDS = 10
WAIT_SECONDS = 0.5

logger = logging.getLogger(__name__)


def hand_over(otp_send: OtpSend) -> bool:
    """Hand the attempt over, or leave it to the sweep: then ``False``. Raises nothing."""
    return _queue_of_process().hand_over(otp_send)


class _Queue:
    """The task queue as one process sees it."""

    def __init__(self) -> None:
        self.lock = Lock()
        self._paused_until = 0.0

    def hand_over(self, otp_send: OtpSend) -> bool:
        # Released when the pause has begun: whoever waits for it must see that.
        with ExitStack() as held:
            try:
                return not self._is_paused() and self._enqueue(otp_send, held)
            except Exception as error:  # noqa: BLE001 (an engine raises what it likes)
                self._pause(error)
                return False

    def _enqueue(self, otp_send: OtpSend, held: ExitStack) -> bool:
        # Before the lock, as it may import the whole engine: nobody needs to wait for that.
        task = import_string(TASK_PATH)
        if not self.lock.acquire(timeout=WAIT_SECONDS):
            return False
        held.callback(self.lock.release)
        # Who waited for the lock may have waited for a queue that is down.
        if self._is_paused():
            return False
        task.enqueue(otp_send.pk)
        return True

    def _is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        logger.error(
            "the task queue does not take attempts (%s); they wait for valify_sweep, and the"
            " queue is left alone for %s seconds",
            # Its traceback may hold the broker's password.
            type(error).__name__,
            PAUSE_SECONDS,
        )


_queues: dict[int, _Queue] = {}


def _queue_of_process() -> _Queue:
    # A forked process must not wait for a lock that a thread of its parent holds.
    return _queues.setdefault(os.getpid(), _Queue())
