"""The example and its demo, as a newcomer runs them."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polib
import pytest
import requests
from pytest_django import Settings

EXAMPLE = Path(__file__).parent.parent / "example_project"
CATALOGUE = EXAMPLE / "example" / "locale" / "ar" / "LC_MESSAGES" / "django.po"

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]


def environment(**more: str) -> dict[str, str]:
    """Return the environment of somebody who has set nothing of ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO", "DATABASE", "VALIFY"))
    }
    return inherited | more


def run(folder: Path, *arguments: str, **more: str) -> str:
    """What a Python process printed in a folder."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment(**more),
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


SWAGGER = """
import django; django.setup()
from django.contrib.staticfiles import finders
from django.test import Client
client = Client(headers={"Host": "localhost"})
page = client.get("/swagger/")
print(page.status_code, page.headers["Content-Security-Policy"])
print(page.content.decode())
for path in sys.argv[1:]:
    print(path, bool(finders.find(path.removeprefix("/static/"))))
print(client.get("/openapi/", headers={"Accept": "application/json"}).json()["info"]["title"])
"""


def test_the_page_of_the_api_needs_no_other_host(tmp_path: Path) -> None:
    more = {"DJANGO_SETTINGS_MODULE": "example.settings"}
    page = run_example(tmp_path, "-c", f"import sys\n{SWAGGER}", **more)
    assert page.startswith("200 default-src 'none'; script-src 'self'; style-src 'self'")
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|//", page)
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(files) == 4
    found = run_example(tmp_path, "-c", f"import sys\n{SWAGGER}", *files, **more)
    assert [f"{file} True" in found for file in files] == [True] * len(files)
    assert found.endswith("\ndjango-valify-otp\n")


SANDBOX = {
    "DEBUG": "true",
    "VALIFY_BUNDLE_KEY": "sandbox",
    "VALIFY_BASE_URL": "http://127.0.0.1:8901/",
}


def test_the_inbox_is_beside_the_form(tmp_path: Path) -> None:
    found = page(tmp_path, "en", **SANDBOX)
    origin = "http://127.0.0.1:8901"
    assert f"; connect-src 'self' {origin}; frame-src {origin}\"" in found
    assert f'<iframe id="inbox" src="{origin}/inbox/?lang=en" title="' in found


def test_nothing_can_be_sent_before_the_script_runs(tmp_path: Path) -> None:
    assert '<button id="send" type="submit" disabled>' in page(tmp_path, "en")


@pytest.mark.parametrize("live", [{"DEBUG": "false"}, {"VALIFY_BUNDLE_KEY": "live"}])
def test_only_the_sandbox_has_an_inbox(tmp_path: Path, live: dict[str, str]) -> None:
    found = page(tmp_path, "en", **SANDBOX | live)
    assert "; connect-src 'self'\"" in found
    assert "frame-src" not in found
    assert "<iframe" not in found


SIGN_UP = """
import django; django.setup()
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django_valify_otp.models import OtpSend, OtpVerification
call_command("migrate", verbosity=0)
now = timezone.now()
moments = dict(caller="anonymous", created_at=now, called_at=now, settled_at=now)
otp_send = OtpSend.objects.create(
    phone_number="01012345678", lang="en", purpose="signup", status="sent", transaction_id="T1",
    verified_at=now, **moments)
token = OtpVerification.objects.create(otp_send=otp_send, status="verified", **moments).token
client = Client(headers={"Host": "localhost"})
def show(response):
    print(response.status_code, response.redirect_chain, response.content.decode())
show(client.get("/signed-up/", follow=True))
for _ in range(2):
    show(client.post("/sign-up/", {"verification_token": token}, follow=True))
print(client.get("/sign-up/").status_code)
"""


def test_a_verification_token_is_redeemed_once(tmp_path: Path) -> None:
    more = {"DJANGO_SETTINGS_MODULE": "example.settings"}
    printed = run_example(tmp_path, "-c", SIGN_UP, **more)
    stranger, welcome, again = re.split("(?m)^(?=[24]00 )", printed)[1:]
    assert stranger.startswith("200 [('/', 302)]")
    assert welcome.startswith("200 [('/signed-up/', 302)]")
    assert '<bdi dir="ltr">01012345678</bdi>' in welcome
    assert again.startswith("400 []")
    assert "This confirmation was used before, or it is too old." in again
    assert again.endswith("405\n")


def test_the_checks_pass(tmp_path: Path) -> None:
    assert "no issues" in run_example(tmp_path, "manage.py", "check")


def test_the_demo_in_the_background(tmp_path: Path) -> None:
    printed = run_example(tmp_path, "demo.py", ONCE="1", SEND_IN_BACKGROUND="true")
    assert "POST /otp/sends/ -> 202" in printed
    assert "  status: sent" in printed


def test_demos_can_start_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads:
        demos = [
            threads.submit(run_example, tmp_path, "demo.py", ONCE="1", **more)
            for more in ({}, {"HTTP_PROXY": "http://127.0.0.1:9"})
        ]
    for demo in demos:
        check_demo(demo.result())


def check_demo(printed: str) -> None:
    assert "POST /otp/sends/ -> 201" in printed
    assert '"transaction_id": "' in printed
    assert '"trials_remaining": 2' in printed
    assert "  status: sent" in printed
    assert re.search(r"masked_phone_number: 010\*{5}\d{3}", printed)


def test_the_demo_serves_until_it_is_stopped(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "demo.py"],
        cwd=EXAMPLE,
        env=environment(DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}"),
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout
        try:
            lines = list(iter(demo.stdout.readline, "Press Ctrl-C to stop.\n"))
            assert any(
                re.match(r"Made up \d+ attempts and \d+ tries of 30", line) for line in lines
            )
            addresses = dict(re.findall(r"^(\w+): +(http\S+)", "".join(lines), re.MULTILINE))
            assert list(addresses) == ["Site", "Admin", "Summary", "List", "Inbox"]
            for address in addresses.values():
                assert requests.get(address, timeout=30).status_code == 200
        finally:
            demo.terminate()
        assert demo.stdout.read() == "demo: stopped\n"
    assert demo.returncode == 0


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the demo as a module."""
    monkeypatch.syspath_prepend(EXAMPLE)
    return importlib.import_module("demo")


@pytest.fixture
def ended() -> subprocess.Popen[bytes]:
    """Return a server that broke."""
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    return process


def test_the_demo_fails_if_a_server_does_not_start(demo: Any, ended: object) -> None:
    with pytest.raises(SystemExit, match=r"^demo: the site ended with status 3$"):
        demo.wait_until_up("the site", ended, "http://127.0.0.1:9/")


def test_the_demo_fails_if_a_server_never_answers(
    demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "START_SECONDS", 1)
    with (
        demo.running("the site", "-c", "import time; time.sleep(60)") as process,
        pytest.raises(SystemExit, match=r"^demo: the site did not start in 1 seconds$"),
    ):
        demo.wait_until_up("the site", process, "http://127.0.0.1:9/")


def test_the_demo_ends_if_a_server_ends(
    demo: Any, ended: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.serve({"the site": ended}) == 1
    assert capsys.readouterr().out == "demo: the site ended with status 3\n"


STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1], "w").close()
time.sleep(60)
"""


def test_the_demo_kills_a_server_that_does_not_stop(
    demo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "STOP_SECONDS", 0.1)
    is_deaf = tmp_path / "deaf"
    with demo.running("the site", "-c", STUBBORN, str(is_deaf)) as process:
        while not is_deaf.exists():
            time.sleep(0.01)
    assert process.wait() == -signal.SIGKILL
    assert capsys.readouterr().out == "demo: the site did not stop and was killed\n"


@pytest.fixture
def site(request: pytest.FixtureRequest, settings: Settings) -> str:
    """Return the address of the site of the tests."""
    # The live server looks at each address for a static file, from its start on.
    settings.STATIC_URL = "/static/"
    return str(request.getfixturevalue("live_server").url)


@pytest.mark.django_db(transaction=True)
def test_the_demo_fails_if_there_is_no_row(
    demo: Any, site: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not demo.send_one(site)
    assert capsys.readouterr().out.startswith("POST /otp/sends/ -> 403\n")


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
