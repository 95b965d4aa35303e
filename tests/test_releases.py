"""What the commit of a release changes, and what its notes are."""

import re
import shutil
from datetime import date
from pathlib import Path

import pytest
from docutils.core import publish_doctree

from tests import releases

PROJECT = Path(__file__).parent.parent
DAY = date(2026, 12, 1)
VERSION = "0.9.0"
NEWS = "Sending:\n\n- Add ``send_otp()``."
CHANGELOG = f"""Changelog
=========

Unreleased
----------

{NEWS}

0.8.0 (2026-11-01)
------------------

- Add a sandbox.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "CHANGELOG.rst").write_text(CHANGELOG, "utf-8")
    for name in releases.VERSION_LINES:
        shutil.copy(PROJECT / name, tmp_path / name)
    return tmp_path


def test_what_was_unreleased_becomes_the_notes_of_the_version() -> None:
    cut = releases.cut(CHANGELOG, VERSION, DAY)
    assert list(releases.sections(cut)) == [
        "Unreleased",
        "0.9.0 (2026-12-01)",
        "0.8.0 (2026-11-01)",
    ]
    assert releases.notes(cut, VERSION) == NEWS
    publish_doctree(cut, settings_overrides={"halt_level": 2, "report_level": 2})


def test_there_is_no_release_without_a_change() -> None:
    cut = releases.cut(CHANGELOG, VERSION, DAY)
    with pytest.raises(releases.NotReady, match="nothing unreleased"):
        releases.cut(cut, "0.9.1", DAY)


def test_the_next_change_starts_a_new_entry() -> None:
    first = releases.cut(CHANGELOG, VERSION, DAY)
    changed = first.replace("Nothing yet.", "- Add nothing.", 1)
    second = releases.cut(changed, "0.9.1", DAY)
    assert releases.notes(second, "0.9.1") == "- Add nothing."
    assert releases.notes(second, VERSION) == releases.notes(first, VERSION)


def test_a_version_without_an_entry_has_no_notes() -> None:
    with pytest.raises(releases.NotReady, match=r"no entry for 0\.9\.0"):
        releases.notes(CHANGELOG, VERSION)


def test_cutting_names_the_version_everywhere(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    releases.main(["cut", VERSION], folder)
    assert releases.version_of(folder) == VERSION
    assert f"\nversion: {VERSION}\n" in (folder / "CITATION.cff").read_text("utf-8")
    releases.main(["notes", VERSION], folder)
    assert capsys.readouterr().out == f"{NEWS}\n"


def test_a_tag_that_is_not_the_version_stops_the_release(folder: Path) -> None:
    releases.main(["cut", VERSION], folder)
    with pytest.raises(SystemExit, match=r"setup\.cfg says 0\.9\.0, not 0\.9\.1"):
        releases.main(["notes", "0.9.1"], folder)


def test_each_entry_of_the_changelog_is_of_a_version_and_a_day() -> None:
    changelog = (PROJECT / "CHANGELOG.rst").read_text("utf-8")
    first, *released = releases.sections(changelog)
    assert first == "Unreleased"
    wrong = [
        name for name in released if not re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", name)
    ]
    assert wrong == []


def test_the_files_agree_about_the_version() -> None:
    citation = (PROJECT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {releases.version_of(PROJECT)}\n" in citation
