"""The example and its demo, as a newcomer runs them."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polib
import pytest

EXAMPLE = Path(__file__).parent.parent / "example_project"
CATALOGUE = EXAMPLE / "example" / "locale" / "ar" / "LC_MESSAGES" / "django.po"

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]


def run(folder: Path, *arguments: str, **more: str) -> str:
    """What a Python process printed in a folder."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "DJANGO", "DATABASE", "VALIFY"))
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | more,
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    ).stdout


def run_example(tmp_path: Path, *arguments: str, **more: str) -> str:
    """What a Python process printed in the example's folder, with a database of its own."""
    return run(EXAMPLE, *arguments, DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}", **more)


def page(tmp_path: Path, language: str, **more: str) -> str:
    """The headers and the text of the page at ``/``."""
    script = (
        "import django; django.setup()\n"
        "from django.test import Client\n"
        f"response = Client().get('/', headers={{'Accept-Language': '{language}',"
        " 'Host': 'localhost'})\n"
        "print(response.status_code, response.headers, response.content.decode())\n"
    )
    more |= {"DJANGO_SETTINGS_MODULE": "example.settings", "PYTHONUTF8": "1"}
    return run_example(tmp_path, "-c", script, **more)


@pytest.mark.parametrize(
    ("language", "direction", "text"),
    [("en", "ltr", "Send me a code"), ("ar", "rtl", "أرسل لي رمزًا")],
)
def test_the_page(tmp_path: Path, language: str, direction: str, text: str) -> None:
    found = page(tmp_path, language)
    assert found.startswith("200 ")
    assert f'<html lang="{language}" dir="{direction}">' in found
    assert text in found
    assert "default-src 'none'; script-src 'self'" in found
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", found)


SANDBOX = {
    "DEBUG": "true",
    "VALIFY_BUNDLE_KEY": "sandbox",
    "VALIFY_BASE_URL": "http://127.0.0.1:8901/",
}


def test_the_inbox_is_beside_the_form(tmp_path: Path) -> None:
    found = page(tmp_path, "en", **SANDBOX)
    assert "; frame-src http://127.0.0.1:8901" in found
    assert '<iframe src="http://127.0.0.1:8901/inbox/" title="' in found


@pytest.mark.parametrize("live", [{"DEBUG": "false"}, {"VALIFY_BUNDLE_KEY": "live"}])
def test_only_the_sandbox_has_an_inbox(tmp_path: Path, live: dict[str, str]) -> None:
    found = page(tmp_path, "en", **SANDBOX | live)
    assert "default-src 'none'; script-src 'self'" in found
    assert "frame-src" not in found
    assert "<iframe" not in found


def test_the_checks_pass(tmp_path: Path) -> None:
    assert "no issues" in run_example(tmp_path, "manage.py", "check")


def test_the_demo(tmp_path: Path) -> None:
    printed = run_example(tmp_path, "demo.py", ONCE="1", HTTP_PROXY="http://127.0.0.1:9")
    assert "POST /otp/sends/ -> 201" in printed
    assert '"transaction_id": "' in printed
    assert '"trials_remaining": 2' in printed
    assert "  status: sent" in printed
    assert re.search(r"masked_phone_number: 010\*{5}\d{3}", printed)


def test_demos_can_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        demos = [threads.submit(run_example, tmp_path, "demo.py", ONCE="1") for _ in range(2)]
    assert all("  status: sent" in demo.result() for demo in demos)


LIVE = """
DEBUG=false
ALLOWED_HOSTS=example.com
DATABASE_URL=sqlite:///{database}
VALIFY_BASE_URL=https://127.0.0.1:9
VALIFY_BUNDLE_KEY=live
VALIFY_USERNAME=live
VALIFY_PASSWORD=live
VALIFY_CLIENT_ID=live
VALIFY_CLIENT_SECRET=live
"""


def test_the_demo_leaves_a_live_account_and_database_alone(tmp_path: Path) -> None:
    example = tmp_path / "example_project"
    shutil.copytree(EXAMPLE, example, ignore=shutil.ignore_patterns(".env", "*.sqlite3"))
    database = tmp_path / "live.sqlite3"
    (example / ".env").write_text(LIVE.format(database=database), "utf-8")
    assert "  status: sent" in run(example, "demo.py", ONCE="1")
    assert not database.exists()
    assert (example / "example.sqlite3").exists()


def test_the_arabic_catalogue_is_complete_and_compiled() -> None:
    source = polib.pofile(str(CATALOGUE))
    assert len(source) > 5
    assert not [entry.msgid for entry in source if entry.fuzzy or not entry.translated()]
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    assert {e.msgid: e.msgstr for e in compiled} == {e.msgid: e.msgstr for e in source}
