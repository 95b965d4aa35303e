"""What Django's error pages and mails show of the settings."""

from types import MappingProxyType
from typing import Any

import pytest
from django.test import RequestFactory
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter
from pytest_django import Settings

from django_valify_otp.checks import check_deployment
from django_valify_otp.error_reports import ErrorReportFilter, shows_credentials

DJANGO_S = "django.views.debug.SafeExceptionReporterFilter"
SECRETS = (
    "tests-bundle-key",
    "tests-username",
    "tests-password",
    "tests-client-id",
    "tests-client-secret",
)


def reports(**meta: Any) -> list[str]:
    """The page of DEBUG and the two forms of a mail, about an error in a view."""
    request: Any = RequestFactory().get("/", **meta)
    request.exception_reporter_filter = ErrorReportFilter()
    with pytest.raises(RuntimeError) as caught:
        fail()
    # Without this frame, whose variables hold what is looked for.
    trace = caught.tb.tb_next
    page, mail = (
        ExceptionReporter(request, caught.type, caught.value, trace, is_email=is_email)
        for is_email in (False, True)
    )
    return [page.get_traceback_html(), mail.get_traceback_html(), mail.get_traceback_text()]


@pytest.mark.parametrize("kind", [dict, MappingProxyType])
def test_reports_show_no_credential(settings: Settings, kind: Any) -> None:
    settings.VALIFY_OTP = kind({**settings.VALIFY_OTP})
    for report in reports(VALIFY_USERNAME="tests-username", VALIFY_ID="tests-client-id"):
        assert "VALIFY_OTP" in report
        assert "http://127.0.0.1:9" in report
        assert "VALIFY_USERNAME" in report
        assert not [secret for secret in SECRETS if secret in report]


@pytest.mark.parametrize("value", [None, "text", {}, {"USERNAME": None}, {"USERNAME": ""}])
def test_reports_can_be_made_with_any_settings(settings: Settings, value: Any) -> None:
    settings.VALIFY_OTP = value
    assert all("VALIFY_OTP" in report for report in reports())


def test_reports_can_be_made_without_settings(settings: Settings) -> None:
    del settings.VALIFY_OTP
    assert all("a fault" in report for report in reports())


def fail() -> None:
    """Raise far from the lines above, as reports show the source around a fault."""
    raise RuntimeError("a fault")


class OfTheSite(SafeExceptionReporterFilter):
    """A site's own way to hide the whole setting."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        return "hidden" if key == "VALIFY_OTP" else super().cleanse_setting(key, value)


@pytest.mark.parametrize(
    ("report_filter", "shows"),
    [(SafeExceptionReporterFilter, True), (ErrorReportFilter, False), (OfTheSite, False)],
)
def test_filters_are_judged_by_what_they_show(report_filter: Any, *, shows: bool) -> None:
    assert shows_credentials(report_filter()) == shows
    assert report_filter().cleanse_setting("SITE_NAME", "example") == "example"


def test_deploy_warns_of_reports_that_show_credentials(settings: Settings) -> None:
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = DJANGO_S
    ids = {warning.id for warning in check_deployment(None) if warning.hint}
    assert "django_valify_otp.W007" in ids


def test_deploy_is_content_where_there_is_nothing_to_show(settings: Settings) -> None:
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = DJANGO_S
    settings.VALIFY_OTP = {
        "BASE_URL": "https://valify.example",
        "BUNDLE_KEY": "bundle",
        "ACCESS_TOKEN_CALLABLE": "tests.test_settings.no_token",
    }
    ids = {warning.id for warning in check_deployment(None)}
    assert "django_valify_otp.W007" not in ids
