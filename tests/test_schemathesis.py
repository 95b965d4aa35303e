"""The running example under Schemathesis, which makes requests out of the OpenAPI document.

``SCHEMATHESIS_EXAMPLES`` and ``SCHEMATHESIS_SEED`` make the run longer or another one; the seed
``fresh`` is a new one in each run.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from django_valify_otp.sandbox.process import running_sandbox
from tests.browser.conftest import running_site
from tests.browser.site import environment_of_site
from tests.environment import unmeasured
from tests.seeds import seed_of

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "10")
SEED = seed_of("SCHEMATHESIS_SEED", otherwise="1")
PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")
CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
PROGRAM = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"]
OPTIONS = ("--checks", "all", "--max-examples", EXAMPLES, "--seed", SEED)


def test_no_request_is_answered_otherwise_than_documented(tmp_path: Path) -> None:
    database = tmp_path / "example.sqlite3"
    with running_sandbox() as sandbox:
        environment = environment_of_site(sandbox, database)
        with running_site(environment) as url:
            printed = run_schemathesis(f"{url}openapi/", tmp_path)
    for phase in PHASES:
        assert f"✅  {phase}" in printed, printed
    # Not all of them were turned away at the door.
    assert count(database, "otpsend", "sent")
    assert count(database, "otpverification", "rejected")


def run_schemathesis(url: str, folder: Path) -> str:
    """Return what it has printed."""
    done = subprocess.run(
        [*PROGRAM, url, *OPTIONS],
        cwd=folder,
        check=False,
        env={**unmeasured(), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def count(database: Path, table: str, status: str) -> int:
    """Return how many rows ended so."""
    with closing(sqlite3.connect(database)) as connection:
        query = f"SELECT COUNT(*) FROM django_valify_otp_{table} WHERE status = ?"
        return int(connection.execute(query, [status]).fetchone()[0])
