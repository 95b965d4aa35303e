"""System checks: a wrong ``VALIFY_OTP`` stops ``manage.py``, a dangerous one warns on deploy."""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps.config import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from rest_framework.settings import api_settings

from django_valify_otp.conf import KEYS, Settings, find_problems, get_settings

STAGING_HOST = "valifystage.com"
OPEN_TO_ALL = "rest_framework.permissions.AllowAny"
ERROR_IDS = {
    "VALIFY_OTP": "django_valify_otp.E001",
    "unknown": "django_valify_otp.E002",
    "missing": "django_valify_otp.E003",
    **{key: f"django_valify_otp.E{number:03}" for number, key in enumerate(KEYS, start=10)},
}


def check_settings(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    **kwargs: Any,  # noqa: ARG001
) -> list[CheckMessage]:
    """An error for each thing that is wrong with ``VALIFY_OTP``."""
    return [Error(p.message, hint=p.hint, id=ERROR_IDS[p.key]) for p in find_problems()]


def check_deployment(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    **kwargs: Any,  # noqa: ARG001
) -> list[CheckMessage]:
    """A warning for each setting that is legal and dangerous (``check --deploy``)."""
    return [] if find_problems() else [*_dangers(get_settings())]


def _dangers(settings: Settings) -> Iterator[CheckWarning]:
    if set(settings.permission_classes) <= {OPEN_TO_ALL} and api_settings.NUM_PROXIES is None:
        yield CheckWarning(
            "Anybody may send, and behind a proxy all callers have the proxy's address.",
            hint='Set REST_FRAMEWORK["NUM_PROXIES"] to the number of proxies in front of Django'
            " (0 for none), so that VALIFY_OTP['IP_SEND_LIMITS'] counts each caller.",
            id="django_valify_otp.W001",
        )
    if not settings.global_send_limits:
        yield CheckWarning(
            "Nothing bounds what a fraud with many numbers and addresses can cost.",
            hint='Set VALIFY_OTP["GLOBAL_SEND_LIMITS"] a little above your busiest hour and day.',
            id="django_valify_otp.W002",
        )
    if settings.retention_days is None:
        yield CheckWarning(
            "Phone numbers are kept for ever.",
            hint='Set VALIFY_OTP["RETENTION_DAYS"] to the days for which you may keep them.',
            id="django_valify_otp.W003",
        )
    if urlsplit(settings.base_url).hostname == STAGING_HOST and not django_settings.DEBUG:
        yield CheckWarning(
            "This deployment sends through Valify's staging host.",
            hint='Set VALIFY_OTP["BASE_URL"] to the production address that Valify gave you.',
            id="django_valify_otp.W004",
        )
