"""Test a site that sends OTPs with Django's test cases, without mocks and without Valify."""

from typing import Any, ClassVar

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from django_valify_otp.sandbox.account import SANDBOX_SETTINGS
from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox


class ValifySandboxMixin(SimpleTestCase):
    """Run a local Valify for the tests of a class, and point ``VALIFY_OTP`` at it.

    All send limits are off; ``valify_otp`` has the keys that the class wants otherwise. Each test
    begins with an empty inbox.
    """

    valify_otp: ClassVar[dict[str, Any]] = {}
    valify_sandbox: ClassVar[ValifySandbox]

    @classmethod
    def setUpClass(cls) -> None:
        """Start the sandbox, before ``setUpTestData()``."""
        cls.valify_sandbox = cls.enterClassContext(running_sandbox())
        pointed = {
            **getattr(settings, "VALIFY_OTP", {}),
            **SANDBOX_SETTINGS,
            "BASE_URL": cls.valify_sandbox.base_url,
            **cls.valify_otp,
        }
        cls.enterClassContext(override_settings(VALIFY_OTP=pointed))
        super().setUpClass()

    def setUp(self) -> None:
        """Empty the inbox."""
        super().setUp()
        self.valify_sandbox.clear_inbox()
