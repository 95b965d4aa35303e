"""A site's use of the whole public API, as type checkers read it; also run by a test."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, assert_type
from uuid import UUID

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, JsonResponse
from django.test import TestCase
from django.urls import include, path
from django.views.debug import SafeExceptionReporterFilter

from django_valify_otp import exceptions
from django_valify_otp.error_reports import ErrorReportFilter
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from django_valify_otp.services import (
    asend_otp,
    averify_otp,
    enqueue_otp,
    get_send,
    hand_over_queued,
    read_verification_token,
    redeem_verification_token,
    send_otp,
    sweep,
    verify_otp,
)
from django_valify_otp.signals import otp_send_settled, otp_verified
from django_valify_otp.testing import ValifySandboxMixin
from django_valify_otp.views import OtpSendViewSet

SEEN: list[str] = []


def note_send(sender: type[OtpSend], otp_send: OtpSend, **kwargs: Any) -> None:
    """Note what came of an attempt."""
    SEEN.append(otp_send.status)


def note_verification(
    sender: type[OtpVerification],
    otp_send: OtpSend,
    verification: OtpVerification,
    **kwargs: Any,
) -> None:
    """Note a verification."""
    SEEN.append(verification.status)


def listen() -> None:
    """Listen to the signals."""
    receiver(otp_send_settled)(note_send)
    otp_verified.connect(note_verification)


def listen_no_more() -> None:
    """Undo what ``listen()`` did."""
    assert_type(otp_send_settled.disconnect(note_send), bool)
    assert_type(otp_verified.disconnect(note_verification), bool)


def send(user: User | AnonymousUser | None) -> OtpSend:
    """Send with every argument."""
    otp_send = send_otp(
        "+20 10 1234 5678",
        lang="ar",
        user=user,
        ip_address="41.32.10.7",
        purpose="signup",
        idempotency_key="c0ffee",
    )
    return assert_type(otp_send, OtpSend)


def read_send(otp_send: OtpSend) -> None:
    """Read what rows of attempts have."""
    assert_type(otp_send.id, int)
    assert_type(otp_send.uuid, UUID)
    assert_type(otp_send.status, str)
    assert_type(otp_send.code, str)
    assert_type(otp_send.phone_number, str)
    assert_type(otp_send.transaction_id, str)
    assert_type(otp_send.trials_remaining, int | None)
    assert_type(otp_send.created_at, datetime)
    assert_type(otp_send.settled_at, datetime | None)
    assert_type(otp_send.verified_at, datetime | None)
    assert_type(otp_send.duration, timedelta | None)
    assert_type(otp_send.status == "sent", bool)


def read_verification(verification: OtpVerification) -> None:
    """Read what rows of tries have."""
    assert_type(verification.status, str)
    assert_type(verification.token, str)
    assert_type(verification.otp_send, OtpSend)
    assert_type(verification.redeemed_at, datetime | None)


def find() -> list[OtpSend]:
    """Find attempts of one number that may have sent."""
    rows: QuerySet[OtpSend] = OtpSend.objects.filter(
        phone_number="01012345678", status__in=OtpSend.MAY_HAVE_SENT
    )
    return list(rows)


def block(user: User) -> SendBlock:
    """Forbid sending to a user."""
    made = SendBlock.objects.create(scope=SendBlock.Scope.USER, user=user, reason="fraud")
    assert_type(made.ends_at, datetime | None)
    return made


def verify(otp_send: OtpSend, otp: str, user: User | AnonymousUser | None) -> str:
    """Verify an attempt, and return the number that its token proves."""
    same = get_send(str(otp_send.uuid), user=user)
    assert_type(get_send(otp_send.uuid, user=user), OtpSend)
    verification = verify_otp(same, otp, user=user, ip_address="41.32.10.7")
    read_verification(verification)
    assert_type(read_verification_token(verification.token, purpose="signup"), str)
    return redeem_verification_token(verification.token, purpose="signup")


def explain(error: Exception) -> str:
    """Tell what a view may do about an error."""
    match error:
        case exceptions.SendLimitReached():
            return f"wait {assert_type(error.retry_after, int | None)}"
        case exceptions.OtpRejected():
            return f"refused {assert_type(error.error_code, str)}"
        case exceptions.CodeRejected():
            assert_type(error.verification, OtpVerification | None)
            return f"wrong, {assert_type(error.tries_left, int | None)} left"
        case exceptions.ValifyOtpError():
            assert_type(error.otp_send, OtpSend | None)
            assert_type(error.http_status, HTTPStatus)
            return assert_type(error.code, str)
        case ImproperlyConfigured() | ValueError():
            return "a bug"
        case _:
            raise error


async def send_in_a_view(request: HttpRequest, phone_number: str) -> JsonResponse:
    """Send in an async view."""
    otp_send = await asend_otp(phone_number, lang="en", purpose="login")
    return JsonResponse({"id": str(assert_type(otp_send, OtpSend).uuid)})


async def verify_in_a_view(request: HttpRequest, otp_send: OtpSend, otp: str) -> JsonResponse:
    """Verify in an async view."""
    verification = await averify_otp(otp_send, otp, ip_address="41.32.10.7")
    return JsonResponse({"token": assert_type(verification, OtpVerification).token})


def work_off_the_queue() -> int:
    """Do what valify_sweep does."""
    assert_type(enqueue_otp("01012345678", idempotency_key="key").status, str)
    return sweep() + hand_over_queued()


class ReportFilter(ErrorReportFilter):
    """A site's own filter of error reports."""


FILTER: SafeExceptionReporterFilter = ReportFilter()


class SendViewSet(OtpSendViewSet):
    """A site's own endpoints."""


class SignUpTests(ValifySandboxMixin, TestCase):
    """Tests of a site that use the sandbox."""

    __test__ = False
    valify_otp = {"NUMBER_SEND_LIMITS": ["1/60s"]}

    def test_sign_up(self) -> None:
        """Read the inbox."""
        send_otp("01112345678")
        [message] = self.valify_sandbox.inbox("01112345678")
        assert_type(message.code, str)


def with_the_fixture(valify_sandbox: ValifySandbox) -> str:
    """Use what the pytest fixture ``valify_sandbox`` gives a test."""
    send_otp("01012345678")
    [message] = valify_sandbox.inbox("01012345678")
    valify_sandbox.clear_inbox()
    return assert_type(message.code, str)


def with_the_process() -> str:
    """Run a sandbox without pytest."""
    with running_sandbox("--token-uses=1") as sandbox:
        return assert_type(sandbox.base_url, str)


urlpatterns = [path("otp/", include("django_valify_otp.urls"))]
