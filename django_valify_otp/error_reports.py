"""Keep Valify's user name and client ID out of Django's error pages and mails."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.views.debug import SafeExceptionReporterFilter

# Django hides the others, whose names have PASS, SECRET, TOKEN or KEY in them.
IDENTIFIERS = ("USERNAME", "CLIENT_ID")


class ErrorReportFilter(SafeExceptionReporterFilter):
    """Django's filter, which hides the identifiers too, also where the environment has them.

    For ``DEFAULT_EXCEPTION_REPORTER_FILTER``; a site that has a filter of its own derives it from
    this one.
    """

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """Return the setting or header as a report may show it."""
        # Django looks into dicts alone.
        readable = dict(value) if isinstance(value, Mapping) else value
        cleansed = super().cleanse_setting(key, readable)
        is_identifier = isinstance(cleansed, str) and cleansed in _identifiers()
        return self.cleansed_substitute if is_identifier else cleansed


def shows_credentials(report_filter: SafeExceptionReporterFilter) -> bool:
    """Return whether reports that are made with this filter show a credential of Valify's."""
    raw = settings.VALIFY_OTP
    shown = report_filter.cleanse_setting("VALIFY_OTP", raw)
    if not isinstance(shown, Mapping):
        return False
    secrets = (*IDENTIFIERS, "BUNDLE_KEY", "PASSWORD", "CLIENT_SECRET")
    return any(key in raw and shown.get(key) == raw[key] for key in secrets)


def _identifiers() -> list[str]:
    raw = getattr(settings, "VALIFY_OTP", None)
    found = [raw.get(key) for key in IDENTIFIERS] if isinstance(raw, Mapping) else []
    return [identifier for identifier in found if isinstance(identifier, str) and identifier]
