"""Run what sends and verifies for async code, in the thread of Django's connections."""

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


async def run_to_the_end(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Run the function to its end, even if the task that waits for it is cancelled.

    The cancellation is raised after the end: whoever leaves a ``ThreadSensitiveContext`` while
    its thread is at work stops the whole loop until the thread is done. Who cancels twice does not
    wait; the thread ends its work all the same.
    """
    # A task of its own, because asgiref drops work that its thread has not begun.
    work = asyncio.create_task(sync_to_async(function, thread_sensitive=True)(*args, **kwargs))
    work.add_done_callback(_mark_as_seen)
    try:
        await asyncio.wait([work])
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise
    return work.result()


def _mark_as_seen(work: "asyncio.Task[Any]") -> None:
    """Let asyncio not log a failure that nobody waits for any more: the row has it."""
    if not work.cancelled():
        work.exception()
