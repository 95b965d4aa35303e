"""Keep numbers, OTPs, keys and tokens out of tracebacks.

Error pages, error mails and error trackers show the variables of every frame of a traceback.
"""

import logging
import traceback
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.db import Error, InterfaceError, OperationalError

from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.missing_tables import ADVICE, TablesMissing, lacks_tables

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# What these say is enough to mend what they are about.
SELF_EXPLAINING = (
    Error,
    ImproperlyConfigured,
    ObjectDoesNotExist,
    RuntimeError,
    ValifyOtpError,
    ValueError,
)

logger = logging.getLogger(__name__)


def without_frames(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let exceptions leave the function without the frames in which they were raised."""

    @wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 (raised again)
            failure = presentable(error)
        del args, kwargs
        raise failure

    return call


def without_async_frames(
    function: Callable[Parameters, Coroutine[Any, Any, Result]],
) -> Callable[Parameters, Coroutine[Any, Any, Result]]:
    """Do the same for a coroutine, whose frames and those of asgiref hold the arguments too.

    What it calls has made the error presentable.
    """

    @wraps(function)
    async def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return await function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 (raised again)
            failure = bare(error)
        del args, kwargs
        raise failure

    return call


def presentable(error: BaseException) -> BaseException:
    """Return the error without frames, and a database's without texts that may hold a row.

    Where an error that nobody foresaw was raised is logged, as lines of code alone.
    """
    if isinstance(error, Exception) and not isinstance(error, SELF_EXPLAINING):
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("%s was raised at:\n%s", type(error).__name__, where)
    if isinstance(error, Error) and lacks_tables(error):
        return TablesMissing(ADVICE)
    if isinstance(error, OperationalError | InterfaceError):
        return type(error)(*error.args)
    if isinstance(error, Error):
        return type(error)("The database refused the row of an OTP.")
    return bare(error)


def bare(error: BaseException) -> BaseException:
    """Return the error without frames and without the errors that led to it."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
