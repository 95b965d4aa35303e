"""The fixtures that come with the package."""

import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from django_valify_otp.sandbox.account import SANDBOX_SETTINGS
from django_valify_otp.sandbox.inbox import Message
from django_valify_otp.sandbox.process import ValifySandbox
from tests.sandbox.customer import PHONE_NUMBER, client_at

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


def test_fixture_points_the_settings_at_a_sandbox(
    settings: Settings, request: pytest.FixtureRequest
) -> None:
    settings.VALIFY_OTP = {"DEADLINE": 7, "BUNDLE_KEY": "tests", "GLOBAL_SEND_LIMITS": ["1/1d"]}
    running = request.getfixturevalue("valify_sandbox")
    assert {
        "DEADLINE": 7,
        **SANDBOX_SETTINGS,
        "BASE_URL": running.base_url,
    } == settings.VALIFY_OTP


def test_fixture_shows_what_was_sent(
    valify_sandbox: ValifySandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with client_at(valify_sandbox.base_url) as client:
        transaction_id = client.send().json["transaction_id"]
        client.send(phone_number="01112345678")
    assert [m.phone_number for m in valify_sandbox.inbox()] == ["01112345678", PHONE_NUMBER]
    [message] = valify_sandbox.inbox(PHONE_NUMBER)
    # Whoever finds nothing under another spelling would believe that nothing was sent.
    with pytest.raises(ValueError, match="01xxxxxxxxx"):
        valify_sandbox.inbox(f"+2{PHONE_NUMBER}")
    assert isinstance(message, Message)
    assert message.transaction_id == transaction_id
    assert message.sent_at.tzinfo is not None
    assert message.code in message.text
    assert (message.recipient, message.email) == (PHONE_NUMBER, "")


def test_fixture_starts_with_an_empty_inbox(
    valify_sandbox_server: ValifySandbox, request: pytest.FixtureRequest
) -> None:
    with client_at(valify_sandbox_server.base_url) as client:
        client.send()
    assert valify_sandbox_server.inbox()
    assert request.getfixturevalue("valify_sandbox").inbox() == []


def test_fixture_says_that_it_needs_pytest_django(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("def test(valify_sandbox): ...")
    result = pytester.runpytest_subprocess("-p", "django_valify_otp.sandbox.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*valify_sandbox needs pytest-django; install it.*"])


def test_plugin_costs_runs_without_it_next_to_nothing() -> None:
    code = (
        "import sys, django_valify_otp.sandbox.pytest_plugin;"
        "print(*{'django', 'http', 'requests'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "\n"
