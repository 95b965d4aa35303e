"""The audit desk in Chromium: list, attempt, summary and export, in two languages."""

import csv
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.site import PATIENCE, ROOT, Site, shoot, translate

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

NUMBER = "01012345678"
MASKED = "010*****678"
# The second one of them is refused by a limit.
NUMBERS = (NUMBER, NUMBER, "01000000422", "01000000429", "01000000500", "01112345678")


def send(site: Site, phone_number: str) -> None:
    """Ask for a code, whatever becomes of it."""
    connection = HTTPConnection(urlsplit(site.url).netloc, timeout=PATIENCE)
    with closing(connection):
        body = json.dumps({"phone_number": phone_number, "purpose": "signup"})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/otp/sends/", body, headers)
        assert connection.getresponse().status in {201, 422, 429, 503, 504}


@pytest.fixture(scope="module")
def attempts(site: Site) -> None:
    for phone_number in NUMBERS:
        send(site, phone_number)


@dataclass(frozen=True)
class Desk:
    """The admin, as a superuser sees it."""

    browser: Chrome
    site: Site
    language: str
    screenshots: Path

    def open(self, path: str) -> None:
        """Go to a page of this app."""
        self.browser.get(f"{self.site.url}admin/django_valify_otp/{path}")

    def find(self, selector: str) -> WebElement:
        """The first element."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self) -> str:
        """What the page says, also where it has to be scrolled to."""
        return str(self.find("body").get_property("textContent"))

    def says(self, text: str) -> bool:
        """Whether the page says this, in its language."""
        return translate(text, self.language) in self.text()

    def follow(self, selector: str) -> None:
        """Follow a link to another page."""
        self.browser.get(str(self.find(selector).get_property("href")))

    def shoot(self, step: str) -> None:
        """Keep what it looks like; the admin's own tables scroll sideways on phones."""
        shoot(self.browser, self.screenshots, f"{self.language}-audit-{step}")


@pytest.fixture
def desk(
    browser: Chrome, site: Site, attempts: None, language: str, screenshots: Path
) -> Iterator[Desk]:
    """The admin, logged in; its console may say nothing but that there is no icon."""
    browser.delete_all_cookies()
    browser.get(f"{site.url}admin/login/?next=/admin/")
    browser.find_element(By.ID, "id_username").send_keys(ROOT)
    browser.find_element(By.ID, "id_password").send_keys(ROOT)
    browser.find_element(By.CSS_SELECTOR, "#login-form [type=submit]").click()
    wait = WebDriverWait(browser, PATIENCE, 0.05)
    wait.until(lambda _: browser.find_elements(By.ID, "user-tools"))
    yield Desk(browser, site, language, screenshots)
    console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in console if "favicon.ico" not in line["message"]]


def test_the_list(desk: Desk) -> None:
    desk.open("otpsend/")
    assert desk.find("html").get_attribute("dir") == {"en": "ltr", "ar": "rtl"}[desk.language]
    assert len(desk.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) == len(NUMBERS)
    assert MASKED in desk.text()
    assert NUMBER not in desk.browser.page_source
    assert desk.says("send limit reached")
    desk.shoot("list")


def test_the_search_in_any_spelling(desk: Desk) -> None:
    desk.open("otpsend/")
    desk.find("#searchbar").send_keys("+20 ١١ 1234-5678")
    desk.find("#changelist-search [type=submit]").click()
    wait = WebDriverWait(desk.browser, PATIENCE, 0.05)
    wait.until(lambda _: "q=" in desk.browser.current_url)
    assert len(desk.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) == 1
    assert "011*****678" in desk.text()


def test_one_attempt(desk: Desk) -> None:
    desk.open("otpsend/?code__exact=send_limit_reached")
    desk.follow("#result_list tbody th a")
    assert NUMBER in desk.text()
    assert desk.says(
        "A limit of this site refused it, so no SMS was sent. The person can try again later."
    )
    assert "NUMBER_SEND_LIMITS 1/60s" in desk.text()
    desk.shoot("attempt")
    desk.follow("a[href*='sibling=number']")
    assert len(desk.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) == 2
    assert desk.says("same number")


def test_the_summary(desk: Desk) -> None:
    desk.open("otpsend/")
    desk.follow("a[href*='summary']")
    assert desk.says("Summary")
    assert len(desk.browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3
    desk.shoot("summary")


def test_the_export(desk: Desk, downloads: Path) -> None:
    desk.open("otpsend/?status__exact=sent")
    link = desk.find("a[href*='export']")
    assert link.text.casefold() == translate("Export as CSV", desk.language).casefold()
    link.click()
    wait = WebDriverWait(desk.browser, PATIENCE, 0.05)
    [path] = wait.until(lambda _: [*downloads.glob("*.csv")])
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"sent"}
    assert {row["phone_number"] for row in rows} == {NUMBER, "01112345678"}
    entry = translate("Exported as CSV with whole phone numbers: %(filters)s", desk.language)
    assert entry % {"filters": "status__exact=sent"} in desk.site.log()
