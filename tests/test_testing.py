"""The test case that comes with the package, as unittest runs it."""

import unittest

import pytest
from django.contrib.auth.models import User
from django.test import SimpleTestCase, TestCase, TransactionTestCase
from pytest_django import Settings

from django_valify_otp.conf import get_settings
from django_valify_otp.exceptions import SendLimitReached
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp, verify_otp
from django_valify_otp.testing import ValifySandboxMixin
from tests.factories import NUMBER


def run(case: type[SimpleTestCase]) -> unittest.TestResult:
    return unittest.TextTestRunner().run(unittest.TestLoader().loadTestsFromTestCase(case))


class SignUp(ValifySandboxMixin, TestCase):
    """A site's own tests."""

    __test__ = False
    valify_otp = {"NUMBER_SEND_LIMITS": ["1/60s"], "VERIFY_TRIES": 1}
    otp_send: OtpSend

    @classmethod
    def setUpTestData(cls) -> None:
        cls.otp_send = send_otp("01112345678")

    def test_the_endpoints(self) -> None:
        self.client.force_login(User.objects.create_user("mona"))
        body = {"phone_number": NUMBER}
        sent = self.client.post("/otp/sends/", body, content_type="application/json").json()
        [message] = self.valify_sandbox.inbox(NUMBER)
        url = f"/otp/sends/{sent['id']}/verify/"
        found = self.client.post(url, {"otp": message.code}, content_type="application/json")
        assert found.json()["verified"]

    def test_keys_of_its_own(self) -> None:
        assert get_settings().verify_tries == 1
        with pytest.raises(SendLimitReached):
            send_otp("01112345678")

    def test_the_inbox_is_empty(self) -> None:
        assert self.valify_sandbox.inbox() == []


class Verified(TransactionTestCase, ValifySandboxMixin):
    """The same with the bases the other way round."""

    __test__ = False

    def test_verified(self) -> None:
        otp_send = send_otp(NUMBER)
        [message] = self.valify_sandbox.inbox()
        assert verify_otp(otp_send, message.code).status == "verified"


@pytest.mark.django_db
@pytest.mark.parametrize(("case", "count"), [(SignUp, 3), (Verified, 1)])
def test_a_test_case_with_a_sandbox(
    settings: Settings, case: type[SimpleTestCase], count: int
) -> None:
    before = settings.VALIFY_OTP
    result = run(case)
    assert (result.testsRun, result.errors, result.failures) == (count, [], [])
    assert before == settings.VALIFY_OTP
