"""The live check, with the sandbox as Valify: it runs, and its report gives nothing away."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest

from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from tests.live.account import CREDENTIALS, FLAG, NUMBER, STAGING, LiveAccount, why_not

PROJECT = Path(__file__).parent.parent
PHONE_NUMBER = "01012345678"
# As `make live` runs it.
LIVE = ("tests/live", "-m", "live", "-p", "no:randomly", "--capture", "no")
COMPLETE = {FLAG: "1", NUMBER: PHONE_NUMBER, **{f"VALIFY_{key}": "sandbox" for key in CREDENTIALS}}
TESTS = 9

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]


def run(folder: Path, *arguments: str, **environment: str) -> str:
    """Run pytest as somebody with this environment and an own database; return what it printed."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DATABASE", "PYTEST", "TEST_", "VALIFY"))
    }
    own = {"TEST_SQLITE_FILE": str(folder / "live.sqlite3")}
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=PROJECT,
        env={**inherited, **own, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode in {0, pytest.ExitCode.NO_TESTS_COLLECTED}, found.stdout + found.stderr
    return found.stdout


def secrets_of(sandbox: ValifySandbox) -> list[str]:
    """Return what the report must not have in it."""
    messages = sandbox.inbox()
    return ["sandbox", PHONE_NUMBER[1:], *(message.code for message in messages)]


def test_it_runs_and_reports(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with running_sandbox() as sandbox:
        environment = {"VALIFY_BASE_URL": sandbox.base_url, "VALIFY_LIVE_REPORT": str(report)}
        assert f"{TESTS} passed" in run(tmp_path, *LIVE, **COMPLETE, **environment)
        secrets = secrets_of(sandbox)
    text = report.read_text("utf-8")
    assert len(secrets) == 4
    assert not [secret for secret in secrets if secret in text]
    answers = json.loads(text)
    assert answers["Does a new token revoke the old one?"] == "no"
    assert answers["How many of 10 verify calls does one token serve?"] == "3"
    assert answers["Does a token that verify has used up still send?"] == "403"
    assert answers["What does the transaction inquiry say of a send?"] == "404"
    assert len(answers) == 13


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "set VALIFY_LIVE=1 to run it"),
        ({**COMPLETE, FLAG: "0"}, "set VALIFY_LIVE=1 to run it"),
        (
            {**COMPLETE, NUMBER: "", "VALIFY_PASSWORD": ""},
            "the live check needs VALIFY_PASSWORD, VALIFY_LIVE_PHONE_NUMBER",
        ),
    ],
)
def test_what_is_missing(environment: Mapping[str, str], reason: str) -> None:
    assert str(why_not(environment)).endswith(reason)


def test_without_an_account_it_is_skipped_and_says_why(tmp_path: Path) -> None:
    printed = run(tmp_path, *LIVE)
    assert f"{TESTS} skipped" in printed
    assert printed.count("set VALIFY_LIVE=1 to run it") == 1


@pytest.mark.parametrize("chosen", ["", "not packaging"])
def test_other_runs_leave_it_out(tmp_path: Path, chosen: str) -> None:
    assert f"{TESTS} deselected" in run(tmp_path, "tests/live", "-m", chosen, **COMPLETE)


def test_valify_is_the_staging_host_unless_another_is_named() -> None:
    account = LiveAccount.of(COMPLETE)
    assert account.settings["BASE_URL"] == account.base_url == STAGING
    other = LiveAccount.of({**COMPLETE, "VALIFY_BASE_URL": "http://127.0.0.1:9/"})
    assert other.base_url == "http://127.0.0.1:9"
    assert not [word for word in ("sandbox", PHONE_NUMBER) if word in repr(account)]


def test_whoever_got_the_message_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("482913\n"))
    assert LiveAccount.of(COMPLETE).read_otp() == "482913"
    assert capsys.readouterr().out == "The OTP that arrived last at 010*****678: "
