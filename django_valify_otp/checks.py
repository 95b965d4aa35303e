"""System checks: a wrong ``VALIFY_OTP`` stops ``manage.py``, a dangerous one warns on deploy."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.apps import apps
from django.apps.config import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.checks import Error as CheckError
from django.core.checks import Warning as CheckWarning
from django.db import Error, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings

from django_valify_otp import database_clock
from django_valify_otp.conf import KEYS, TASK_PATH, Settings, find_problems, get_settings
from django_valify_otp.error_reports import shows_credentials
from django_valify_otp.isolation import (
    is_exact,
    is_galera,
    level_of_options,
    level_of_server,
)
from django_valify_otp.setting_values import is_loopback

STAGING_HOST = "valifystage.com"
# A sweep a minute settles what has waited for longer than its lifetime.
MINUTE = 60
WITHOUT_WORKERS = {"ImmediateBackend", "DummyBackend"}
OPEN_TO_ALL = "rest_framework.permissions.AllowAny"
# Fixed for ever, as those of KEYS are: sites silence checks by their ids.
ERROR_IDS = {
    "VALIFY_OTP": "django_valify_otp.E001",
    "unknown": "django_valify_otp.E002",
    "missing": "django_valify_otp.E003",
    "isolation_of_options": "django_valify_otp.E004",
    "isolation_of_server": "django_valify_otp.E005",
    "plain_http": "django_valify_otp.E006",
    "no_queue": "django_valify_otp.E007",
    **{key: f"django_valify_otp.{spec.error_id}" for key, spec in KEYS.items()},
}
WARNING_IDS = {
    "unknown_proxies": "django_valify_otp.W001",
    "unbounded_cost": "django_valify_otp.W002",
    "numbers_kept": "django_valify_otp.W003",
    "staging": "django_valify_otp.W004",
    "loopback": "django_valify_otp.W005",
    "local_times": "django_valify_otp.W006",
    "shown_credentials": "django_valify_otp.W007",
    "no_worker": "django_valify_otp.W008",
    "nobody_sweeps": "django_valify_otp.W009",
    "several_writers": "django_valify_otp.W010",
}


def check_settings(
    app_configs: Sequence[AppConfig] | None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return an error for each thing that is wrong with ``VALIFY_OTP``."""
    return [CheckError(p.message, hint=p.hint, id=ERROR_IDS[p.key]) for p in find_problems()]


def check_isolation_of_options(
    app_configs: Sequence[AppConfig] | None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return an error if ``DATABASES`` sets an isolation level at which limits do not hold."""
    connection = _connection()
    level = level_of_options(connection)
    if level is None or is_exact(level, vendor=connection.vendor):
        return []
    hint = (
        f"Set DATABASES[{connection.alias!r}]['OPTIONS']['isolation_level'] to READ COMMITTED, or"
        " route this app to an alias of its own that does."
    )
    return [_isolation_error(level, hint, ERROR_IDS["isolation_of_options"])]


def check_isolation_of_server(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return an error if transactions run at an isolation level at which limits do not hold."""
    connection = _connection()
    if connection.alias not in (databases or ()) or check_isolation_of_options(None):
        return []
    level = level_of_server(connection)
    if level is None or is_exact(level, vendor=connection.vendor):
        return []
    hint = (
        f"It is the default of the server, of the database or of its user: change it to READ"
        f" COMMITTED, or set DATABASES[{connection.alias!r}]['OPTIONS']['isolation_level']."
    )
    return [_isolation_error(level, hint, ERROR_IDS["isolation_of_server"])]


def check_nodes(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return a warning if the database is a cluster of which several nodes may be written to."""
    connection = _connection()
    if connection.alias not in (databases or ()) or not is_galera(connection):
        return []
    message = "On Galera, limits, keys and tries hold only if a single node is written to."
    hint = (
        f"Let DATABASES[{connection.alias!r}] lead to one node, or to a proxy that writes to one at"
        " a time. Then silence this warning."
    )
    return [CheckWarning(message, hint=hint, id=WARNING_IDS["several_writers"])]


def check_queue(
    app_configs: Sequence[AppConfig] | None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return an error if ``SEND_IN_BACKGROUND`` is on without a task queue to send from."""
    if find_problems() or not get_settings().send_in_background:
        return []
    try:
        task = import_string(TASK_PATH)
    except Exception as error:  # noqa: BLE001 (a backend raises what it likes)
        return [_queue_error(f"{type(error).__name__}: {error}")]
    # Its warnings are for Django's own check of tasks to show.
    problems = [problem for problem in task.get_backend().check() if problem.is_serious()]
    if problems:
        return [_queue_error(f"{problems[0].msg} {problems[0].hint or ''}".rstrip())]
    backend = type(task.get_backend())
    if backend.__name__ not in WITHOUT_WORKERS:
        return []
    message = f"{backend.__name__} has no workers, so OTPs are not sent in the background."
    hint = f"Set TASKS[{task.backend!r}] to a backend with workers, or SEND_IN_BACKGROUND to False."
    return [CheckWarning(message, hint=hint, id=WARNING_IDS["no_worker"])]


def check_sweeps(
    app_configs: Sequence[AppConfig] | None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return a warning if attempts wait in the queue that a sweep would have settled."""
    model: Any = apps.get_model("django_valify_otp", "OtpSend")
    using = router.db_for_write(model)
    if using not in (databases or ()) or find_problems():
        return []
    lifetime = get_settings().queue_lifetime + MINUTE
    forgotten = None
    # The tables may not be there yet.
    with suppress(Error):
        now = database_clock.now(using)
        rows = model.objects.using(using).queue_expired(now, queue_lifetime=lifetime)
        forgotten = rows.first()
    if forgotten is None:
        return []
    hint = "Run valify_sweep every minute, or keep `valify_sweep --loop 10` running."
    message = "Attempts have waited in the queue for longer than QUEUE_LIFETIME: nobody sweeps."
    return [CheckWarning(message, hint=hint, id=WARNING_IDS["nobody_sweeps"])]


def check_deployment(
    app_configs: Sequence[AppConfig] | None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Return what is valid but dangerous (``check --deploy``)."""
    if find_problems():
        return []
    settings = get_settings()
    return [
        *_plain_http(settings),
        *_dangers(settings),
        *_dangers_of_host(settings),
        *_dangers_of_clock(),
        *_dangers_of_error_reports(),
    ]


def _connection() -> BaseDatabaseWrapper:
    """Return the connection over which attempts are written."""
    return connections[router.db_for_write(apps.get_model("django_valify_otp", "OtpSend"))]


def _queue_error(reason: str) -> CheckError:
    hint = (
        "Set TASKS['valify_otp'] (or TASKS['default']) to a task backend, as Django's documentation"
        " of tasks describes; Django 5.2 needs the package django-tasks for it. Or set"
        ' VALIFY_OTP["SEND_IN_BACKGROUND"] to False.'
    )
    message = f"SEND_IN_BACKGROUND needs a task queue, and there is none: {reason}"
    return CheckError(message, hint=hint, id=ERROR_IDS["no_queue"])


def _isolation_error(level: str, hint: str, error_id: str) -> CheckError:
    message = f"Limits and tries do not hold at the isolation level {level.upper()}."
    return CheckError(message, hint=hint, id=error_id)


def _plain_http(settings: Settings) -> Iterator[CheckError]:
    if settings.allow_plain_http:
        yield CheckError(
            "VALIFY_OTP['ALLOW_PLAIN_HTTP'] is True, which is for a sandbox and not for Valify.",
            hint="Remove VALIFY_OTP['ALLOW_PLAIN_HTTP'], and begin VALIFY_OTP['BASE_URL'] with"
            " https://.",
            id=ERROR_IDS["plain_http"],
        )


def _dangers(settings: Settings) -> Iterator[CheckWarning]:
    if set(settings.permission_classes) <= {OPEN_TO_ALL} and api_settings.NUM_PROXIES is None:
        yield CheckWarning(
            "Anybody may send, and behind a proxy all callers have the proxy's address.",
            hint='Set REST_FRAMEWORK["NUM_PROXIES"] to the number of proxies in front of Django'
            " (0 for none), so that VALIFY_OTP['IP_SEND_LIMITS'] counts each caller.",
            id=WARNING_IDS["unknown_proxies"],
        )
    if not settings.global_send_limits:
        yield CheckWarning(
            "Nothing bounds what a fraud with many numbers and addresses can cost.",
            hint='Set VALIFY_OTP["GLOBAL_SEND_LIMITS"] to twice your busiest hour and day.',
            id=WARNING_IDS["unbounded_cost"],
        )
    if settings.retention_days is None:
        yield CheckWarning(
            "Phone numbers are kept for ever.",
            hint='Set VALIFY_OTP["RETENTION_DAYS"] to the days for which you may keep them.',
            id=WARNING_IDS["numbers_kept"],
        )


def _dangers_of_host(settings: Settings) -> Iterator[CheckWarning]:
    host = urlsplit(settings.base_url).hostname or ""
    if django_settings.DEBUG:
        return
    hint = 'Set VALIFY_OTP["BASE_URL"] to the production address that Valify gave you.'
    if host == STAGING_HOST:
        message = "This deployment sends through Valify's staging host."
        yield CheckWarning(message, hint=hint, id=WARNING_IDS["staging"])
    if is_loopback(host):
        message = "This deployment sends to this machine, as to a sandbox, and not to Valify."
        yield CheckWarning(message, hint=hint, id=WARNING_IDS["loopback"])


def _dangers_of_clock() -> Iterator[CheckWarning]:
    if not django_settings.USE_TZ:
        yield CheckWarning(
            "With USE_TZ = False, limits and deadlines are an hour off when summer time begins or"
            " ends: a second SMS may leave at once, and calls under way are given up.",
            hint="Set USE_TZ to True, or TIME_ZONE to a zone without summer time, such as UTC.",
            id=WARNING_IDS["local_times"],
        )


def _dangers_of_error_reports() -> Iterator[CheckWarning]:
    if shows_credentials(import_string(django_settings.DEFAULT_EXCEPTION_REPORTER_FILTER)()):
        yield CheckWarning(
            "Django's error pages and mails show the user name and client ID that Valify gave you.",
            hint="Set DEFAULT_EXCEPTION_REPORTER_FILTER to"
            ' "django_valify_otp.error_reports.ErrorReportFilter", or derive your filter from it.',
            id=WARNING_IDS["shown_credentials"],
        )
