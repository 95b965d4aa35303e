"""Cut a release: name its version everywhere, and take its notes from the changelog.

``python -m tests.releases cut 0.2.0`` edits the files, ``notes 0.2.0`` prints what is new in it.
It needs nothing but Python.
"""

import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

PROJECT = Path(__file__).parent.parent
UNRELEASED = "Unreleased"
NOTHING_YET = f"{UNRELEASED}\n{'-' * len(UNRELEASED)}\n\nNothing yet.\n\n"
VERSION_LINES = {
    "setup.cfg": r"^version = (.+)$",
    "CITATION.cff": r"^version: (.+)$",
}


class NotReady(Exception):
    """The release cannot be cut or described; the message says why."""


def sections(changelog: str) -> dict[str, str]:
    """Return what is below each heading of the changelog."""
    _, *parts = re.split(r"^(.+)\n-{3,}\n", changelog, flags=re.MULTILINE)
    return {heading: text.strip() for heading, text in zip(parts[::2], parts[1::2], strict=True)}


def notes(changelog: str, version: str) -> str:
    """Return what is new in a version. Raise ``NotReady`` if the changelog has no entry for it."""
    for heading, text in sections(changelog).items():
        if heading.startswith(f"{version} ("):
            return text
    raise NotReady(f"CHANGELOG.rst has no entry for {version}.")


def cut(changelog: str, version: str, day: date) -> str:
    """Give what is unreleased the version and the day, below an empty "Unreleased"."""
    if sections(changelog)[UNRELEASED] == "Nothing yet.":
        raise NotReady("CHANGELOG.rst has nothing unreleased.")
    heading = f"{version} ({day})"
    old = f"{UNRELEASED}\n{'-' * len(UNRELEASED)}\n"
    return changelog.replace(old, f"{NOTHING_YET}{heading}\n{'-' * len(heading)}\n", 1)


def with_version(text: str, pattern: str, version: str) -> str:
    """Return the text with this version in its one line of the pattern."""
    [found] = re.finditer(pattern, text, re.MULTILINE)
    return text[: found.start(1)] + version + text[found.end(1) :]


def version_of(folder: Path) -> str:
    """Return the version in setup.cfg."""
    text = (folder / "setup.cfg").read_text("utf-8")
    [version] = re.findall(VERSION_LINES["setup.cfg"], text, re.MULTILINE)
    return str(version)


def write_release(folder: Path, version: str) -> None:
    """Cut the release in the files of this folder."""
    path = folder / "CHANGELOG.rst"
    path.write_text(cut(path.read_text("utf-8"), version, datetime.now(UTC).date()), "utf-8")
    for name, pattern in VERSION_LINES.items():
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(with_version(text, pattern, version), "utf-8")


def print_notes(folder: Path, version: str) -> None:
    """Print what is new. Raise ``NotReady`` if the version is not the one of the package."""
    if version != version_of(folder):
        raise NotReady(f"setup.cfg says {version_of(folder)}, not {version}.")
    print(notes((folder / "CHANGELOG.rst").read_text("utf-8"), version))


def main(arguments: list[str], folder: Path = PROJECT) -> None:
    """Run the command that the arguments name."""
    commands = {"cut": write_release, "notes": print_notes}
    command, version = arguments
    try:
        commands[command](folder, version)
    except NotReady as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
