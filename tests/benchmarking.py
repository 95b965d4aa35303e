"""Run a benchmark as a process, with so few rows and sends that its figures mean nothing."""

import os
import subprocess
import sys
from pathlib import Path

from django.db import connection

PROJECT = Path(__file__).parent.parent


def run_benchmark(*arguments: str) -> str:
    """Return what a benchmark printed. Its database stands beside the one of the tests."""
    environment = dict(os.environ)
    server, _, name = environment.get("DATABASE_URL", "").rpartition("/")
    if name:
        environment["DATABASE_URL"] = f"{server}/{connection.settings_dict['NAME']}_benchmark"
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PROJECT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=250,
    ).stdout
