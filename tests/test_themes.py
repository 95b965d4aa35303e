"""The admin's pages under themes from PyPI, each in a process: they replace the admin's site."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
pytestmark = pytest.mark.packaging
THEMES = ["admin-interface", "grappelli", "jazzmin", "unfold"]
# Themes may be behind Django.
OPTIONS = ["-W", "ignore", "-p", "no:cacheprovider", "--ds", "tests.themes.settings"]


@pytest.mark.parametrize("theme", THEMES)
def test_every_page_of_the_app_under_a_theme(theme: str) -> None:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, "tests/themes/pages.py"],
        cwd=PROJECT,
        env={**inherited, "THEME": theme},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
