"""Measure which lines of the scripts Chromium runs. As a program: print the others.

Each browser leaves a file in ``FOLDER``; what one of them ran has been run.
"""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from selenium.webdriver import Chrome

PROJECT = Path(__file__).parent.parent.parent
SCRIPTS = (
    PROJECT / "example_project/example/static/example/page.js",
    PROJECT / "django_valify_otp/static/django_valify_otp/block_form.js",
    PROJECT / "django_valify_otp/static/django_valify_otp/otp_entry.js",
)
FOLDER = PROJECT / ".coverage-scripts"


class ScriptCoverage:
    """Which parts of the scripts one browser has run."""

    def __init__(self, browser: Chrome) -> None:
        self._browser = browser
        self._reached: dict[str, set[int]] = {script.name: set() for script in SCRIPTS}
        browser.execute_cdp_cmd("Profiler.enable", {})
        browser.execute_cdp_cmd(
            "Profiler.startPreciseCoverage", {"callCount": True, "detailed": True}
        )

    def take(self) -> None:
        """Add what ran since the last time. A page that is left takes its counts along."""
        found = self._browser.execute_cdp_cmd("Profiler.takePreciseCoverage", {})
        for script in found["result"]:
            name = script["url"].rpartition("/")[2]
            if name in self._reached:
                self._reached[name] |= reached(script["functions"])

    def keep(self) -> None:
        """Write it to a file."""
        FOLDER.mkdir(exist_ok=True)
        found = {name: sorted(offsets) for name, offsets in self._reached.items()}
        (FOLDER / f"{uuid4()}.json").write_text(json.dumps(found), "utf-8")


def reached(functions: list[dict[str, Any]]) -> set[int]:
    """Return the offsets that ran. Ranges are nested, and an inner one knows better."""
    ranges = [found for function in functions for found in function["ranges"]]
    ranges.sort(key=lambda found: (found["startOffset"], -found["endOffset"]))
    offsets: set[int] = set()
    for found in ranges:
        span = range(found["startOffset"], found["endOffset"])
        if found["count"]:
            offsets.update(span)
        else:
            offsets.difference_update(span)
    return offsets


def lines_never_run(text: str, ran: set[int]) -> list[str]:
    """Return the lines of which a part never ran, with their numbers."""
    lines, start = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        missed = set(range(start, start + len(line))) - ran
        # Brackets that close a block are part of none.
        if any(text[offset] not in " \n})];," for offset in missed):
            lines.append(f"{number}: {line.rstrip()}")
        start += len(line)
    return lines


def main() -> int:
    """Exit status 0 if every line was run."""
    browsers = [json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")]
    missed = 0
    for script in SCRIPTS:
        ran = set[int]().union(*(browser[script.name] for browser in browsers))
        lines = lines_never_run(script.read_text("utf-8"), ran)
        print("\n".join([f"{script.name}: {len(lines)} lines never ran", *lines]))
        missed += len(lines)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
