import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from tests.browser.desk import NUMBERS, Desk, come_back, log_in, send
from tests.browser.scripts import ScriptCoverage
from tests.browser.site import EXAMPLE, Site, environment_of_site, manage, path_of

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
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
    with running_site(environment) as url:
        yield Site(url, database, environment)


@contextmanager
def running_site(environment: dict[str, str]) -> Iterator[str]:
    """Run the example with new tables and a superuser; where it is."""
    manage(environment, "migrate", "-v0")
    manage(environment, "createsuperuser", "--noinput", "-v0")
    with subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", "0"],
        cwd=EXAMPLE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        url = next(line.split()[-1] for line in process.stdout if "server at http" in line)
        yield url
        process.terminate()


@pytest.fixture(scope="module")
def filled(site: Site) -> None:
    """Thirty days of attempts, which are made up."""
    site.manage("fill_example")


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


@pytest.fixture(scope="module")
def scripts(browser: Chrome) -> Iterator[ScriptCoverage]:
    """What the browser runs of the example's script."""
    coverage = ScriptCoverage(browser)
    yield coverage
    coverage.keep()


@pytest.fixture(autouse=True)
def measured(scripts: ScriptCoverage) -> Iterator[None]:
    """Note what a test made the page run, before the next one leaves it."""
    yield
    scripts.take()


@pytest.fixture
def screenshots() -> Path | None:
    """Where each step is kept to be looked at: the folder ``SCREENSHOTS``, if that is set."""
    folder = os.environ.get("SCREENSHOTS")
    return Path(folder) if folder else None


@pytest.fixture(scope="module")
def session(browser: Chrome, site: Site) -> dict[str, str]:
    """The cookie of the superuser's session."""
    return log_in(browser, site)


@pytest.fixture(scope="module")
def attempts(site: Site) -> None:
    for phone_number in NUMBERS:
        send(site, phone_number)


@pytest.fixture
def desk(
    browser: Chrome,
    site: Site,
    session: dict[str, str],
    attempts: None,
    language: str,
    screenshots: Path | None,
) -> Iterator[Desk]:
    """The admin, logged in; its console may say nothing but that there is no icon."""
    come_back(browser, session)
    yield Desk(browser, site, language, screenshots)
    console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in console if "favicon.ico" not in line["message"]]


@pytest.fixture
def busy_desk(
    browser: Chrome,
    site: Site,
    session: dict[str, str],
    filled: None,
    language: str,
    screenshots: Path | None,
) -> Desk:
    """The admin of a site that has sent for thirty days, logged in."""
    come_back(browser, session)
    return Desk(browser, site, language, screenshots)
