"""Fixtures that let a project's tests send OTPs to a local Valify.

pytest loads this module in every run, so it imports next to nothing.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_valify_otp.sandbox.process import ValifySandbox

SANDBOX_SETTINGS: dict[str, object] = {
    "BUNDLE_KEY": "sandbox",
    "USERNAME": "sandbox",
    "PASSWORD": "sandbox",
    "CLIENT_ID": "sandbox",
    "CLIENT_SECRET": "sandbox",
    "ACCESS_TOKEN_CALLABLE": None,
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "GLOBAL_SEND_LIMITS": [],
}


@pytest.fixture(scope="session")
def valify_sandbox_server() -> Iterator["ValifySandbox"]:
    """A local Valify in a process of its own, the same one for all tests."""
    from django_valify_otp.sandbox.process import running_sandbox  # noqa: PLC0415

    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def valify_sandbox(
    request: pytest.FixtureRequest, valify_sandbox_server: "ValifySandbox"
) -> "ValifySandbox":
    """A local Valify with an empty inbox, as the one of the settings, with all limits off."""
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
