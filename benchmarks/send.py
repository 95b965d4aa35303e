"""Measure what a send costs beside the floor, which nobody goes below who uses ``requests``.

The floor is one POST on a shared session, a token used three times, one INSERT and one UPDATE of
the smallest record, in autocommit and plain SQL. A vendor that costs next to nothing runs beside
it. Each round runs a batch of every variant. The table has the medians of the rounds' ratios to the
floor of the same round; raw figures go to a JSON file.

SQLite is a file in a temporary folder, as Django sets it up: each commit waits for the disk, unless
``TMPDIR`` names a folder in memory. Another database is measured too if ``DATABASE_URL`` names one:
in a test database, which is removed at the end. The extra ``benchmark`` has what this needs.

    python -m benchmarks.send [--rounds 15] [--variants "limits on"] [--scenarios "plain, 0 ms"]
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure_send import add_options
from benchmarks.send_table import lines

PACKAGES = (
    "django",
    "djangorestframework",
    "gunicorn",
    "phonenumberslite",
    "psycopg",
    "requests",
    "urllib3",
)


def figures_of_databases(options: list[str]) -> Iterator[dict[str, Any]]:
    """Measure each database in a process of its own, in which nothing goes through a proxy."""
    command = [sys.executable, "-m", "benchmarks.measure_send", *options]
    here = {name: value for name, value in os.environ.items() if not name.lower().endswith("proxy")}
    url = here.pop("DATABASE_URL", None)
    for environment in [here, {**here, "DATABASE_URL": url}] if url else [here]:
        printed = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        found: dict[str, Any] = json.loads(printed.stdout)
        yield found


def processor() -> str:
    """Return the name of the processor, as Linux has it."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    return found[1] if found else platform.machine()


def circumstances() -> dict[str, Any]:
    """Return where and how this run was measured."""
    return {
        "command": ["python", "-m", "benchmarks.send", *sys.argv[1:]],
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def main() -> None:
    """Print the table, and write the raw figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    options = [f"--{name}={value}" for name, value in vars(arguments).items() if name != "json"]
    found = {**circumstances(), "databases": [*figures_of_databases(options)]}
    arguments.json.write_text(json.dumps(found, indent=1))
    print(f"{found['processor']}, {found['cores']} cores, Python {found['python']}")
    for database in found["databases"]:
        print("\n".join(lines(database)))


if __name__ == "__main__":
    main()
