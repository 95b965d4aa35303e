"""Fixtures for projects whose tests send OTPs to a local Valify.

pytest loads this module in every run, so it imports as little as possible.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from django_valify_otp.sandbox.account import SANDBOX_SETTINGS

if TYPE_CHECKING:
    from django_valify_otp.sandbox.process import ValifySandbox


@pytest.fixture(scope="session")
def valify_sandbox_server() -> Iterator["ValifySandbox"]:
    """Run a local Valify in a process of its own, once for all tests."""
    from django_valify_otp.sandbox.process import running_sandbox  # noqa: PLC0415

    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def valify_sandbox(
    request: pytest.FixtureRequest, valify_sandbox_server: "ValifySandbox"
) -> "ValifySandbox":
    """Point ``VALIFY_OTP`` at a local Valify, with an empty inbox and all limits off."""
    try:
        settings = request.getfixturevalue("settings")
    except pytest.FixtureLookupError:
        pytest.fail("valify_sandbox needs pytest-django; install it.", pytrace=False)
    valify_sandbox_server.clear_inbox()
    settings.VALIFY_OTP = {
        **getattr(settings, "VALIFY_OTP", {}),
        **SANDBOX_SETTINGS,
        "BASE_URL": valify_sandbox_server.base_url,
    }
    return valify_sandbox_server
