"""The admin in Chromium, as a superuser sees it."""

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.site import PATIENCE, ROOT, Site, shoot, translate

NUMBER = "01012345678"
MASKED = "010*****678"
# What Django's admin draws; it is for Django to mend.
OTHERS = ("#changelist-search", ".breadcrumbs")
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


@dataclass(frozen=True)
class Desk:
    """The admin, as a superuser sees it."""

    browser: Chrome
    site: Site
    language: str
    screenshots: Path | None

    def open(self, path: str) -> None:
        """Go to a page of this app."""
        self.browser.get(f"{self.site.url}admin/django_valify_otp/{path}")

    def find(self, selector: str) -> WebElement:
        """The first element."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self) -> str:
        """What the page says, also where it has to be scrolled to."""
        return str(self.find("body").get_property("textContent"))

    def translate(self, text: str) -> str:
        """What the page says instead, in its language."""
        return translate(text, self.language)

    def says(self, text: str) -> bool:
        """Whether the page says this, in its language."""
        return self.translate(text) in self.text()

    def follow(self, selector: str) -> None:
        """Follow a link to another page."""
        self.browser.get(str(self.find(selector).get_property("href")))

    def press(self, selector: str) -> None:
        """Press a button, and wait for the next page."""
        button = self.find(selector)
        button.click()
        WebDriverWait(self.browser, PATIENCE, 0.05).until(staleness_of(button))

    def shoot(self, step: str) -> None:
        """Keep what it looks like; the admin's own tables scroll sideways on phones."""
        shoot(self.browser, self.screenshots, f"{self.language}-audit-{step}", others=OTHERS)


def log_in(browser: Chrome, site: Site) -> dict[str, str]:
    """Log the superuser in to the admin; the cookie of the session."""
    browser.get(f"{site.url}admin/login/?next=/admin/")
    browser.find_element(By.ID, "id_username").send_keys(ROOT)
    browser.find_element(By.ID, "id_password").send_keys(ROOT)
    browser.find_element(By.CSS_SELECTOR, "#login-form [type=submit]").click()
    wait = WebDriverWait(browser, PATIENCE, 0.05)
    wait.until(lambda _: browser.find_elements(By.ID, "user-tools"))
    cookie = browser.get_cookie("sessionid")
    assert cookie
    return {"name": cookie["name"], "value": cookie["value"], "url": site.url}


def come_back(browser: Chrome, session: dict[str, str]) -> None:
    """Have no other cookie than that of a session."""
    browser.delete_all_cookies()
    browser.execute_cdp_cmd("Network.setCookie", session)
