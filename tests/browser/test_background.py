"""The example's page in Chromium, while a worker of a task queue does the sending."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.conftest import running_site
from tests.browser.site import EXAMPLE, PATIENCE, environment_of_site, translate, visit

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

numbers = (f"0111234{n:04}" for n in itertools.count(1))


@pytest.fixture(scope="module")
def environment(sandbox: ValifySandbox, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    database = tmp_path_factory.mktemp("background") / "example.sqlite3"
    return {**environment_of_site(sandbox, database), "SEND_IN_BACKGROUND": "true"}


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    with running_site(environment) as url:
        yield url


@contextmanager
def running_worker(environment: dict[str, str]) -> Iterator[None]:
    """Run a worker of the queue."""
    command = [sys.executable, "manage.py", "db_worker", "--no-reload", "--interval", "0.1"]
    with subprocess.Popen(
        command, cwd=EXAMPLE, env=environment, stderr=subprocess.DEVNULL
    ) as worker:
        try:
            yield
        finally:
            worker.terminate()


def ask_for_a_code(browser: Chrome, address: str, phone_number: str) -> None:
    visit(browser, address)
    browser.find_element(By.ID, "phone_number").send_keys(phone_number)
    browser.find_element(By.ID, "send").click()


def wait_for(browser: Chrome, name: str, text: str) -> None:
    """Return as soon as an element says this."""
    said = f"return document.getElementById({name!r}).textContent"
    WebDriverWait(browser, PATIENCE, 0.05).until(
        lambda _: str(browser.execute_script(said)).strip().startswith(text)
    )


def test_the_page_waits_for_the_worker(
    browser: Chrome,
    language: str,
    address: str,
    environment: dict[str, str],
    sandbox: ValifySandbox,
) -> None:
    number = next(numbers)
    ask_for_a_code(browser, address, number)
    wait_for(browser, "outcome", translate("Waiting for our turn to send…", language))
    # Whoever loads the page again meanwhile waits on.
    browser.refresh()
    wait_for(browser, "outcome", translate("Waiting for our turn to send…", language))
    assert not browser.find_element(By.ID, "otp").is_displayed()
    with running_worker(environment):
        wait_for(browser, "outcome", translate("We have sent you a code.", language))
    browser.find_element(By.ID, "otp").send_keys(sandbox.inbox(number)[0].code)
    browser.find_element(By.ID, "confirm").click()
    WebDriverWait(browser, PATIENCE).until(
        lambda _: browser.find_element(By.ID, "done").is_displayed()
    )


def test_the_page_says_what_the_worker_was_told(
    browser: Chrome, language: str, address: str, environment: dict[str, str]
) -> None:
    reason = translate("The code could not be sent. The problem is on our side.", language)
    with running_worker(environment):
        ask_for_a_code(browser, address, "01000000404")
        wait_for(browser, "phone_number_error", reason)
    assert not browser.find_element(By.ID, "otp").is_displayed()
