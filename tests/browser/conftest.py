import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from tests.browser.site import EXAMPLE, Site, environment_of_site, path_of

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever the browser would like to tell its makers, it finds nobody but this machine.
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ValifySandbox]:
    with running_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def site(sandbox: ValifySandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = tmp_path_factory.mktemp("site") / "example.sqlite3"
    environment = environment_of_site(sandbox, database)
    manage = [sys.executable, "manage.py"]
    for command in (["migrate", "-v0"], ["createsuperuser", "--noinput", "-v0"]):
        subprocess.run([*manage, *command], cwd=EXAMPLE, env=environment, check=True)
    with subprocess.Popen(
        [*manage, "runserver", "--noreload", "0"],
        cwd=EXAMPLE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        url = next(line.split()[-1] for line in process.stdout if "server at http" in line)
        yield Site(url, database)
        process.terminate()


@pytest.fixture(scope="module", params=["en", "ar"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def downloads(language: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts files."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(
    language: str, downloads: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = path_of("chromium")
    profile = tmp_path_factory.mktemp("profile")
    for argument in (*ARGUMENTS, f"--lang={language}", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    preferences = {
        "download.default_directory": str(downloads),
        "intl.accept_languages": language,
    }
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        # The ids of its elements can look like phone numbers, for which all logs are searched.
        patch.setattr(logging.getLogger("urllib3.connectionpool"), "disabled", True)
        with Chrome(options, Service(path_of("chromedriver"))) as driver:
            yield driver


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """Where each step is kept to be looked at: the folder ``SCREENSHOTS``, if that is set."""
    return Path(os.environ.get("SCREENSHOTS", tmp_path))
