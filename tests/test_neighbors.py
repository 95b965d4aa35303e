"""The app on sites with packages of others, each in a process with settings of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
OF_THIS_RUN = ("PYTEST_", "DATABASE_URL", "TEST_DATABASE", "DJANGO_SETTINGS_MODULE")


@pytest.mark.packaging
@pytest.mark.parametrize("site", ["camel_case", "headless", "jwt", "standardized", "versioned"])
def test_people_confirm_their_numbers(site: str, tmp_path: Path) -> None:
    here = {name: text for name, text in os.environ.items() if not name.startswith(OF_THIS_RUN)}
    settings, walk = f"--ds=tests.neighbors.{site}.settings", f"tests/neighbors/{site}/walk.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", settings, walk],
        cwd=PROJECT,
        check=False,
        env={**here, "TEST_SQLITE_FILE": str(tmp_path / "neighbor.sqlite3")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
