"""The example's page in Chromium: the whole way of a number, by mouse and by keyboard."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from django_valify_otp.conf import Settings
from django_valify_otp.sandbox.codes import Verdict
from django_valify_otp.sandbox.outcomes import VERIFY_REFUSALS
from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.site import PATIENCE, Site, shoot, translate

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

numbers = (f"0101234{n:04}" for n in itertools.count(1))


@dataclass(frozen=True)
class Page:
    """The page, as somebody uses it who waits for what it says."""

    browser: Chrome
    language: str
    sandbox: ValifySandbox
    screenshots: Path

    def find(self, name: str) -> WebElement:
        """The element with this ID."""
        return self.browser.find_element(By.ID, name)

    def text(self, name: str) -> str:
        """What an element says, to screen readers too."""
        return str(self.find(name).get_property("textContent"))

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Return as soon as something is so."""
        WebDriverWait(self.browser, PATIENCE, 0.05).until(lambda _: condition())

    def press(self, name: str) -> None:
        """Press a button and wait for the answer."""
        self.find(name).click()
        self.wait_for_the_answer()

    def wait_for_the_answer(self) -> None:
        """Return when nothing is under way."""
        under_way = [self.translate("Sending…"), self.translate("Checking…")]
        self.wait_until(lambda: self.text("outcome") not in under_way)

    def fill(self, name: str, text: str) -> None:
        """Type into a field, instead of what stood there."""
        self.find(name).clear()
        self.find(name).send_keys(text)

    def send_code(self, phone_number: str) -> str:
        """Type a number and ask for the code; the code that the inbox has then."""
        self.fill("phone_number", phone_number)
        self.press("send")
        assert self.focused() == "otp"
        return self.code(phone_number)

    def code(self, phone_number: str) -> str:
        """The newest code for this number."""
        return self.sandbox.inbox(phone_number)[0].code

    def confirm(self, code: str) -> None:
        """Type a code and confirm it."""
        self.fill("otp", code)
        self.press("confirm")

    def focused(self) -> str:
        """The ID of the element with the focus."""
        return str(self.browser.switch_to.active_element.get_property("id"))

    def is_invalid(self, name: str) -> bool:
        """Whether screen readers are told that a field is wrong."""
        return self.find(name).get_attribute("aria-invalid") == "true"

    def seconds_left(self, name: str) -> int:
        """What a button counts down from; 0 when it does not."""
        return int((re.findall(r"\d+", self.text(name)) or "0")[0])

    def translate(self, text: str) -> str:
        """What the page or the package says instead, in its language."""
        return translate(text, self.language)

    def shoot(self, step: str) -> None:
        """Keep what it looks like."""
        shoot(self.browser, self.screenshots, f"{self.language}-{step}")


@pytest.fixture
def page(
    browser: Chrome, language: str, site: Site, sandbox: ValifySandbox, screenshots: Path
) -> Iterator[Page]:
    """The page, just loaded; its console may say nothing but which requests were refused."""
    browser.get(site.url)
    yield Page(browser, language, sandbox, screenshots)
    console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [line for line in console if line["source"] != "network"]
    assert all("/otp/sends/" in line["message"] for line in console)


def typed(digits: str, language: str) -> str:
    """Digits as people type them: those of their own script, or in two parts."""
    if language == "ar":
        return digits.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    return f"{digits[:3]} {digits[3:]}"


def wrong(code: str) -> str:
    """Another code."""
    return f"{(int(code) + 1) % 1_000_000:06}"


def code_in_frame(page: Page, phone_number: str) -> str:
    """The code that the inbox beside the form shows."""
    frame = page.browser.find_element(By.TAG_NAME, "iframe")
    assert frame.get_attribute("title") == page.translate("The sandbox's inbox")
    page.browser.switch_to.frame(frame)
    message = f"//li[.//bdi[.='{phone_number}']]//*[@class='code']"
    page.wait_until(lambda: page.browser.find_elements(By.XPATH, message))
    code = page.browser.find_element(By.XPATH, message).text
    page.browser.switch_to.default_content()
    return code


def test_the_whole_way(page: Page) -> None:
    root = page.browser.find_element(By.TAG_NAME, "html")
    assert root.get_attribute("dir") == {"en": "ltr", "ar": "rtl"}[page.language]
    assert page.text("send") == page.translate("Send me a code")
    page.shoot("1-number")
    number = next(numbers)
    page.fill("phone_number", typed(number, page.language))
    page.press("send")
    assert page.focused() == "otp"
    assert page.text("outcome") == page.translate("The code is on its way.")
    assert f"{number[:3]}*****{number[-3:]}" in page.text("otp_help")
    code = code_in_frame(page, number)
    assert code == page.code(number)
    page.shoot("2-code")
    page.confirm(typed(code, page.language))
    assert page.focused() == "done"
    assert page.text("done") == page.translate("Your number is confirmed")
    page.shoot("3-done")


def test_the_code_field_offers_the_code_on_phones(page: Page) -> None:
    assert page.find("otp").get_attribute("autocomplete") == "one-time-code"
    assert page.find("otp").get_attribute("inputmode") == "numeric"


def press_keys(page: Page, *keys: str) -> None:
    ActionChains(page.browser).send_keys(*keys).perform()


def tab_to(page: Page, name: str) -> None:
    """Move the focus as the keyboard does, a bounded number of times, to where it is seen."""
    for _ in itertools.takewhile(lambda _: page.focused() != name, range(10)):
        press_keys(page, Keys.TAB)
    assert page.focused() == name
    assert page.find(name).value_of_css_property("outline-style") == "solid"


def test_the_whole_way_by_keyboard(page: Page, site: Site) -> None:
    number = next(numbers)
    tab_to(page, "phone_number")
    press_keys(page, number, Keys.ENTER)
    page.wait_until(lambda: page.focused() == "otp")
    site.age(61)
    tab_to(page, "again")
    press_keys(page, Keys.SPACE)
    page.wait_until(lambda: page.focused() == "otp")
    press_keys(page, page.code(number), Keys.ENTER)
    page.wait_until(lambda: page.focused() == "done")


def test_a_number_that_is_none(page: Page) -> None:
    page.fill("phone_number", "0123")
    page.press("send")
    assert page.text("phone_number_error") == page.translate(
        "Enter an Egyptian mobile number: 11 digits that begin with 01."
    )
    assert page.is_invalid("phone_number")
    assert page.focused() == "phone_number"
    described_by = str(page.find("phone_number").get_attribute("aria-describedby"))
    assert "phone_number_error" in described_by.split()
    page.shoot("bad-number")


def test_a_wrong_code(page: Page) -> None:
    code = page.send_code(next(numbers))
    page.confirm(wrong(code))
    assert page.text("otp_error") == VERIFY_REFUSALS[Verdict.WRONG][1][page.language]
    assert page.is_invalid("otp")
    assert page.focused() == "otp"
    page.shoot("wrong-code")
    page.confirm(code)
    assert page.focused() == "done"


def test_a_code_that_is_none(page: Page) -> None:
    page.send_code(next(numbers))
    page.confirm("12345")
    assert page.text("otp_error") == page.translate("Enter the six digits of the code.")
    assert page.focused() == "otp"


def test_an_expired_code_and_a_new_one(page: Page, site: Site) -> None:
    number = next(numbers)
    expired = page.send_code(number)
    site.age(601)
    page.confirm(expired)
    assert page.text("otp_error") == page.translate("This code has expired. Ask for a new one.")
    assert page.focused() == "otp"
    page.shoot("expired-code")
    page.press("again")
    assert page.focused() == "otp"
    assert page.find("otp").get_property("value") == ""
    assert not page.is_invalid("otp")
    page.confirm(page.code(number))
    assert page.focused() == "done"


def test_too_many_tries(page: Page) -> None:
    code = page.send_code(next(numbers))
    for _ in range(Settings.verify_tries):
        page.confirm(wrong(code))
    page.confirm(code)
    assert page.text("otp_error") == page.translate("Too many codes were tried. Ask for a new one.")
    assert page.focused() == "otp"
    assert page.seconds_left("again") == 0
    page.shoot("too-many-tries")


def test_the_limit_and_its_countdown(page: Page, site: Site) -> None:
    number = next(numbers)
    page.send_code(number)
    page.press("again")
    assert page.text("again_error") == page.translate(
        "Too many codes were asked for. Try again later."
    )
    assert page.focused() == "again"
    assert page.find("again").get_attribute("aria-disabled") == "true"
    # To screen readers the name stays, and the wait is said once.
    assert page.find("again").get_attribute("aria-label") == page.translate("Send again")
    said, seconds = page.text("spoken"), page.seconds_left("again")
    assert 0 < seconds <= 60
    page.shoot("limit-again")
    page.wait_until(lambda: page.seconds_left("again") < seconds)
    assert page.text("spoken") == said
    pass_a_minute(page, site)
    page.wait_until(lambda: page.text("again") == page.translate("Send again"))
    assert page.text("spoken") == page.translate("You can send again now.")
    assert page.text("again_error") == ""
    page.press("again")
    assert page.focused() == "otp"
    assert len(page.sandbox.inbox(number)) == 2


def pass_a_minute(page: Page, site: Site) -> None:
    """Let both the browser and the site believe that the limit's window is over."""
    page.browser.execute_script("const now = Date.now; Date.now = () => now() + 61000;")
    site.age(61)


def test_the_limit_of_a_number_and_another_number(page: Page) -> None:
    page.send_code(next(numbers))
    page.press("back")
    assert page.focused() == "phone_number"
    page.press("send")
    assert page.text("phone_number_error") == page.translate(
        "Too many codes were asked for. Try again later."
    )
    assert page.seconds_left("send") > 0
    page.shoot("limit-number")
    page.fill("phone_number", next(numbers))
    assert page.text("send") == page.translate("Send me a code")
    page.press("send")
    assert page.focused() == "otp"


def test_what_is_no_fault_of_the_number(page: Page) -> None:
    page.fill("phone_number", "01000000429")
    page.press("send")
    assert page.text("outcome") == page.translate(
        "Too many codes are being sent. Try again in a while."
    )
    assert not page.is_invalid("phone_number")
    assert page.seconds_left("send") > 0
    page.shoot("busy")


LOSE_ONE_ANSWER = """
const real = window.fetch;
window.fetch = async (...request) => {
  window.fetch = real;
  await real(...request);
  throw new TypeError("lost");
};
"""


def test_an_answer_that_is_lost_sends_no_second_sms(page: Page) -> None:
    number = next(numbers)
    page.browser.execute_script(LOSE_ONE_ANSWER)
    page.fill("phone_number", number)
    page.press("send")
    assert page.text("outcome") == page.translate(
        "This site cannot be reached. Check your connection and try again."
    )
    page.press("send")
    assert page.focused() == "otp"
    assert len(page.sandbox.inbox(number)) == 1
