"""The environment of a process whose lines nobody counts."""

import os

OF_COVERAGE = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


def unmeasured() -> dict[str, str]:
    """Return the environment of this process, without what has coverage measure others."""
    return {name: text for name, text in os.environ.items() if name not in OF_COVERAGE}
