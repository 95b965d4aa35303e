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
from django_valify_otp.sandbox.inbox_page import TEXTS
from django_valify_otp.sandbox.otps import VERIFY_REFUSALS, OtpCheck
from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.scripts import ScriptCoverage
from tests.browser.site import PATIENCE, Site, shoot, translate, visit

OTHER_LANGUAGE = {"en": "ar", "ar": "en"}

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

numbers = (f"0101234{n:04}" for n in itertools.count(1))


@dataclass(frozen=True)
class Page:
    """The page, as somebody uses it who waits for what it says."""

    browser: Chrome
    language: str
    sandbox: ValifySandbox
    screenshots: Path | None

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

    def type(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def is_shown(self, name: str) -> bool:
        """Whether an element can be seen."""
        return self.find(name).is_displayed()

    def focused(self) -> str:
        """The ID of the element with the focus."""
        return str(self.browser.switch_to.active_element.get_property("id"))

    def is_invalid(self, name: str) -> bool:
        """Whether screen readers are told that a field is wrong."""
        return self.find(name).get_attribute("aria-invalid") == "true"

    def seconds_left(self) -> int:
        """How long the page counts down yet; 0 when it does not."""
        parts = [int(part) for part in re.findall(r"\d+", self.text("wait"))]
        return sum(part * 60**place for place, part in enumerate(reversed(parts)))

    def says_to_wait(self, name: str) -> bool:
        """Whether an element asks for patience, with the time that is left."""
        beginning = {"en": r"Please wait \d+ ", "ar": r"يُرجى الانتظار "}[self.language]
        return bool(re.match(beginning, self.text(name)))

    def console(self) -> list[dict[str, Any]]:
        """What the browser has complained of since this was asked last."""
        found: list[dict[str, Any]] = self.browser.get_log("browser")  # type: ignore[no-untyped-call]
        return found

    def translate(self, text: str) -> str:
        """What the page or the package says instead, in its language."""
        return translate(text, self.language)

    def shoot(self, step: str) -> None:
        """Keep what it looks like."""
        shoot(self.browser, self.screenshots, f"{self.language}-{step}")


@pytest.fixture
def page(
    browser: Chrome,
    language: str,
    site: Site,
    sandbox: ValifySandbox,
    screenshots: Path | None,
) -> Iterator[Page]:
    """The page, just loaded; its console may say nothing but which requests were refused."""
    visit(browser, site.url)
    page = Page(browser, language, sandbox, screenshots)
    yield page
    console = page.console()
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
    frame = page.find("inbox")
    assert frame.get_attribute("title") == page.translate("Sandbox inbox")
    page.browser.switch_to.frame(frame)
    assert page.text("note") == TEXTS[page.language]["note"]
    message = f"//li[.//bdi[.='{phone_number}']]//*[@class='code']"
    page.wait_until(lambda: page.browser.find_elements(By.XPATH, message))
    # The page looks for news, and may have been loaded again meanwhile.
    found = "return document.evaluate(arguments[0], document, null, 2).stringValue"
    code = str(page.browser.execute_script(found, message))
    page.browser.switch_to.default_content()
    return code


def pass_a_minute(page: Page, site: Site) -> None:
    """Let both the browser and the site believe that the limit's window is over."""
    pass_a_minute_here(page)
    site.age(61)


def pass_a_minute_here(page: Page) -> None:
    """Let the browser believe so."""
    page.browser.execute_script("const now = Date.now; Date.now = () => now() + 61000;")


def wait_until_ready(page: Page) -> None:
    """Return when another code can be asked for."""
    page.wait_until(lambda: page.find("again").get_attribute("aria-disabled") is None)


def test_a_mistyped_number_is_seen_corrected_and_confirmed(page: Page, site: Site) -> None:
    """The whole way of somebody who mistypes, waits, and asks for another code."""
    root = page.browser.find_element(By.TAG_NAME, "html")
    assert root.get_attribute("dir") == {"en": "ltr", "ar": "rtl"}[page.language]
    assert page.text("send") == page.translate("Send me a code")
    page.shoot("1-number")
    mistyped, number = next(numbers), next(numbers)
    page.fill("phone_number", typed(mistyped, page.language))
    page.press("send")
    assert page.focused() == "otp"
    assert page.text("outcome") == page.translate("We have sent you a code.")
    assert typed(mistyped, page.language) in page.text("otp_help")
    page.shoot("2-mistyped")
    page.press("back")
    assert page.focused() == "phone_number"
    assert page.find("phone_number").get_property("value") == typed(mistyped, page.language)
    page.fill("phone_number", typed(number, page.language))
    page.press("send")
    assert typed(number, page.language) in page.text("otp_help")
    assert 0 < page.seconds_left() <= 60
    page.shoot("3-code")
    first = code_in_frame(page, number)
    pass_a_minute(page, site)
    wait_until_ready(page)
    page.press("again")
    assert page.focused() == "otp"
    page.wait_until(lambda: code_in_frame(page, number) != first)
    code = page.code(number)
    page.confirm(typed(code, page.language))
    assert page.focused() == "done"
    assert page.text("done") == page.translate("Your number is confirmed")
    page.shoot("4-done")
    page.find("continue").click()
    page.wait_until(lambda: page.browser.current_url.endswith("/signed-up/"))
    assert number in page.browser.page_source
    assert page.translate("Welcome") in page.browser.page_source
    page.shoot("5-signed-up")


def test_a_confirmation_that_was_used_before(page: Page, site: Site) -> None:
    page.browser.execute_script("document.getElementById('done_step').submit()")
    refusal = page.translate("This confirmation was used before, or it is too old.")
    page.wait_until(lambda: refusal in page.browser.page_source)
    page.shoot("used-before")
    assert all("/sign-up/" in line["message"] for line in page.console())


def test_nobody_is_welcomed_without_a_confirmation(page: Page, site: Site) -> None:
    page.browser.delete_all_cookies()
    page.browser.get(f"{site.url}signed-up/")
    assert page.browser.current_url == site.url


def test_the_code_field_offers_the_code_on_phones(page: Page) -> None:
    assert page.find("otp").get_attribute("autocomplete") == "one-time-code"
    assert page.find("otp").get_attribute("inputmode") == "numeric"


def tab_to(page: Page, name: str) -> None:
    """Move the focus as the keyboard does, a bounded number of times, to where it is seen."""
    for _ in itertools.takewhile(lambda _: page.focused() != name, range(10)):
        page.type(Keys.TAB)
    assert page.focused() == name
    assert page.find(name).value_of_css_property("outline-style") == "solid"


def test_the_whole_way_by_keyboard(page: Page, site: Site) -> None:
    number = next(numbers)
    tab_to(page, "phone_number")
    page.type(number, Keys.ENTER)
    page.wait_until(lambda: page.focused() == "otp")
    pass_a_minute(page, site)
    wait_until_ready(page)
    tab_to(page, "again")
    page.type(Keys.SPACE)
    page.wait_until(lambda: page.focused() == "otp")
    page.type(page.code(number), Keys.ENTER)
    page.wait_until(lambda: page.focused() == "done")
    tab_to(page, "continue")
    page.type(Keys.ENTER)
    page.wait_until(lambda: page.browser.current_url.endswith("/signed-up/"))


def test_a_number_in_a_script_that_the_page_cannot_read(page: Page) -> None:
    number = next(numbers)
    devanagari = number.translate(str.maketrans("0123456789", "०१२३४५६७८९"))
    page.fill("phone_number", devanagari)
    page.press("send")
    assert page.focused() == "otp"
    assert devanagari in page.text("otp_help")
    assert page.code(number)


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


def test_a_number_that_valify_refuses(page: Page) -> None:
    page.fill("phone_number", "01000000422")
    page.press("send")
    assert page.text("phone_number_error") == "This number cannot receive an OTP."
    assert page.is_invalid("phone_number")
    page.shoot("refused-number")


def test_a_wrong_code(page: Page) -> None:
    code = page.send_code(next(numbers))
    page.confirm(wrong(code))
    refusal = VERIFY_REFUSALS[OtpCheck.WRONG][1][page.language]
    tries = page.translate("Tries left:")
    assert page.text("otp_error") == f"{refusal} {tries} {Settings.verify_tries - 1}"
    assert page.is_invalid("otp")
    assert page.focused() == "otp"
    page.shoot("wrong-code")
    # What is typed now takes the place of the wrong code.
    page.type(code, Keys.ENTER)
    page.wait_until(lambda: page.focused() == "done")


def test_a_code_that_is_none(page: Page) -> None:
    page.send_code(next(numbers))
    page.confirm("12345")
    assert page.text("otp_error") == page.translate("Enter the six digits of the code.")
    assert page.focused() == "otp"


def test_an_expired_code_and_a_new_one(page: Page, site: Site) -> None:
    number = next(numbers)
    expired = page.send_code(number)
    pass_a_minute_here(page)
    site.age(601)
    wait_until_ready(page)
    page.confirm(expired)
    assert page.text("otp_error") == page.translate(
        "This code has expired. Please ask for a new one."
    )
    assert page.focused() == "again"
    assert not page.is_shown("confirm")
    page.shoot("expired-code")
    page.press("again")
    assert page.focused() == "otp"
    assert page.find("otp").get_property("value") == ""
    assert not page.is_invalid("otp")
    assert page.is_shown("confirm")
    page.confirm(page.code(number))
    assert page.focused() == "done"


def test_too_many_tries(page: Page) -> None:
    code = page.send_code(next(numbers))
    for _ in range(Settings.verify_tries):
        page.confirm(wrong(code))
    assert page.text("otp_error").endswith(f"{page.translate('Tries left:')} 0")
    assert page.focused() == "again"
    assert not page.is_shown("confirm")
    page.fill("otp", code)
    page.type(Keys.ENTER)
    too_many = page.translate("Too many incorrect codes. Please ask for a new one.")
    page.wait_until(lambda: page.text("otp_error") == too_many)
    assert page.focused() == "again"
    page.shoot("too-many-tries")
    page.press("back")
    page.fill("phone_number", next(numbers))
    page.press("send")
    assert page.is_shown("confirm")


def test_another_code_is_not_offered_before_it_can_be_sent(page: Page, site: Site) -> None:
    number = next(numbers)
    page.send_code(number)
    assert page.find("again").get_attribute("aria-disabled") == "true"
    # Screen readers say the wait with the button, and not each time it changes.
    assert page.find("again").get_attribute("aria-describedby") == "wait"
    assert page.find("wait").get_attribute("aria-live") == "off"
    seconds = page.seconds_left()
    assert 0 < seconds <= 60
    page.press("again")
    assert len(page.sandbox.inbox(number)) == 1
    page.wait_until(lambda: page.seconds_left() < seconds)
    pass_a_minute(page, site)
    wait_until_ready(page)
    assert page.text("wait") == ""
    assert page.text("outcome") == page.translate("You can ask for a new code now.")
    page.press("again")
    assert page.focused() == "otp"
    assert len(page.sandbox.inbox(number)) == 2


def test_a_wrong_clock_does_not_shorten_the_wait(page: Page) -> None:
    page.browser.execute_script("Date.now = () => performance.now();")
    page.send_code(next(numbers))
    assert 55 <= page.seconds_left() <= 60


def test_another_code_that_is_refused_all_the_same(page: Page, site: Site) -> None:
    number = next(numbers)
    page.send_code(number)
    pass_a_minute_here(page)
    wait_until_ready(page)
    page.press("again")
    assert page.says_to_wait("otp_error")
    assert not page.is_invalid("otp")
    page.shoot("limit-again")
    site.age(61)
    page.press("again")
    assert page.focused() == "otp"
    assert len(page.sandbox.inbox(number)) == 2


def test_a_number_that_must_wait_and_another_number(page: Page) -> None:
    number = next(numbers)
    page.send_code(number)
    page.press("back")
    page.fill("phone_number", number)
    page.press("send")
    assert page.says_to_wait("phone_number_error")
    assert not page.is_invalid("phone_number")
    page.shoot("limit-number")
    page.fill("phone_number", next(numbers))
    page.press("send")
    assert page.focused() == "otp"


def test_whoever_goes_back_for_nothing_returns_to_the_code(page: Page) -> None:
    number = next(numbers)
    code = page.send_code(number)
    page.press("back")
    page.press("send")
    assert page.focused() == "otp"
    assert page.text("outcome") == page.translate("We have already sent a code to this number.")
    assert len(page.sandbox.inbox(number)) == 1
    page.confirm(code)
    assert page.focused() == "done"


def test_what_is_no_fault_of_the_number(page: Page, site: Site) -> None:
    # In the other language it was asked for a moment ago, and may have been sent.
    site.age(61)
    page.fill("phone_number", "01000000429")
    page.press("send")
    assert page.text("phone_number_error") == page.translate(
        "Too many codes are being sent right now. Please try again in a moment."
    )
    page.fill("phone_number", "01000000503")
    page.press("send")
    assert page.text("phone_number_error") == page.translate(
        "We do not know whether the code was sent. Please wait a minute, then ask for another."
    )
    assert not page.is_invalid("phone_number")
    assert page.text("outcome") == ""
    page.shoot("unknown")


LOSE_ONE_ANSWER = """
const real = window.fetch;
window.fetch = async (...request) => {
  const answer = await real(...request);
  if (request[1].method === "POST") {
    window.fetch = real;
    throw new TypeError("lost");
  }
  return answer;
};
"""


def test_an_answer_that_is_lost_sends_no_second_sms(page: Page) -> None:
    number = next(numbers)
    page.browser.execute_script(LOSE_ONE_ANSWER)
    page.fill("phone_number", number)
    page.press("send")
    assert page.text("phone_number_error") == page.translate(
        "This site cannot be reached. Check your connection and try again."
    )
    page.press("send")
    assert page.focused() == "otp"
    assert len(page.sandbox.inbox(number)) == 1


def test_a_double_click_does_nothing_twice(page: Page) -> None:
    number = next(numbers)
    page.fill("phone_number", number)
    ActionChains(page.browser).double_click(page.find("send")).perform()
    page.wait_until(lambda: page.focused() == "otp")
    assert len(page.sandbox.inbox(number)) == 1
    # Its second click, if the answer was quicker.
    second = "new MouseEvent('click', { detail: 2, bubbles: true, cancelable: true })"
    page.browser.execute_script(f"document.getElementById('confirm').dispatchEvent({second})")
    page.wait_for_the_answer()
    assert page.text("otp_error") == ""


def block(page: Page, *urls: str) -> None:
    """Let no request to these addresses through."""
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": urls})


def test_the_page_says_when_the_sandbox_is_away(page: Page) -> None:
    page.wait_until(lambda: page.is_shown("inbox"))
    assert not page.is_shown("inbox_down")
    block(page, "*/inbox/*")
    try:
        page.wait_until(lambda: page.is_shown("inbox_down"))
        assert not page.is_shown("inbox")
        page.shoot("sandbox-away")
    finally:
        block(page)
    page.wait_until(lambda: page.is_shown("inbox"))
    assert not page.is_shown("inbox_down")
    number = next(numbers)
    code = page.send_code(number)
    assert code_in_frame(page, number) == code
    assert all("/inbox/" in line["message"] for line in page.console())


def test_the_inbox_by_itself(page: Page) -> None:
    number = next(numbers)
    code = page.send_code(number)
    page.browser.get(f"{page.sandbox.base_url}/inbox/")
    root = page.browser.find_element(By.TAG_NAME, "html")
    assert root.get_attribute("lang") == page.language
    assert code in page.browser.page_source
    page.shoot("inbox")
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/inbox/*"]})
    try:
        page.wait_until(lambda: page.text("down") == TEXTS[page.language]["down"])
    finally:
        page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    page.wait_until(lambda: page.text("down") == "")
    assert all("/inbox/" in line["message"] for line in page.console())


def masked(number: str) -> str:
    return f"{number[:3]}*****{number[-3:]}"


def wait_for_the_code_step(page: Page) -> None:
    page.wait_until(lambda: page.focused() == "otp")


def stored(page: Page) -> str:
    """What the tab remembers."""
    return str(page.browser.execute_script("return JSON.stringify({...sessionStorage})"))


def switch_to(page: Page, language: str) -> None:
    """Change the language of the page, as its button does."""
    page.browser.find_element(By.CSS_SELECTOR, f".languages [value={language}]").click()
    root = "return document.documentElement?.lang"
    page.wait_until(lambda: page.browser.execute_script(root) == language)


def paste(page: Page, text: str) -> None:
    """Put a text into the field with the focus, all at once."""
    page.browser.execute_cdp_cmd("Input.insertText", {"text": text})


def test_a_reload_keeps_the_code_step(page: Page) -> None:
    number = next(numbers)
    code = page.send_code(number)
    assert number not in stored(page)
    seconds = page.seconds_left()
    page.browser.refresh()
    wait_for_the_code_step(page)
    assert 0 < page.seconds_left() <= seconds
    page.confirm(code)
    assert page.focused() == "done"
    page.browser.refresh()
    page.wait_until(lambda: page.find("send").is_enabled())
    assert page.is_shown("phone_number")
    assert not page.is_shown("otp")


def test_another_language_keeps_the_code_step(page: Page, site: Site) -> None:
    number = next(numbers)
    code = page.send_code(number)
    switch_to(page, OTHER_LANGUAGE[page.language])
    wait_for_the_code_step(page)
    switch_to(page, page.language)
    wait_for_the_code_step(page)
    page.browser.delete_all_cookies()
    assert page.text("recipient") == masked(number)
    # Nobody knows the whole number any more: it has to be typed again.
    pass_a_minute(page, site)
    wait_until_ready(page)
    page.press("again")
    assert page.focused() == "phone_number"
    assert page.text("phone_number_error") == page.translate(
        "Enter an Egyptian mobile number: 11 digits that begin with 01."
    )
    assert page.sandbox.inbox(number)[0].code == code


def test_a_code_for_another_purpose_is_not_asked_for(page: Page) -> None:
    page.send_code(next(numbers))
    # As on a page that includes the field with another purpose.
    other = "if (self === top) document.addEventListener('readystatechange', () => {"
    other += " document.querySelector('[data-otp-entry]').dataset.purpose = 'login'; })"
    script = page.browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": other}
    )
    try:
        page.browser.refresh()
        page.wait_until(lambda: page.find("send").is_enabled())
        assert page.is_shown("phone_number")
        assert not page.is_shown("otp")
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_reload_while_the_site_is_away(page: Page, scripts: ScriptCoverage) -> None:
    number = next(numbers)
    page.send_code(number)
    block(page, "*/otp/sends/*")
    try:
        page.browser.refresh()
        page.wait_until(lambda: page.find("send").is_enabled())
        assert page.is_shown("phone_number")
        scripts.take()
    finally:
        block(page)
    page.browser.refresh()
    wait_for_the_code_step(page)


def test_whoever_edits_the_number_gives_up_the_code(page: Page) -> None:
    page.send_code(next(numbers))
    page.press("back")
    page.fill("phone_number", "0")
    page.browser.refresh()
    page.wait_until(lambda: page.find("send").is_enabled())
    assert page.is_shown("phone_number")
    assert not page.is_shown("otp")


@pytest.mark.parametrize(
    ("digits", "form"),
    [("0123456789", "{} {}"), ("٠١٢٣٤٥٦٧٨٩", "{}-{}"), ("۰۱۲۳۴۵۶۷۸۹", "{}{}\n")],
)
def test_a_pasted_code(page: Page, digits: str, form: str) -> None:
    code = page.send_code(next(numbers)).translate(str.maketrans("0123456789", digits))
    paste(page, form.format(code[:3], code[3:]))
    page.press("confirm")
    assert page.focused() == "done"


def test_a_wait_of_more_than_an_hour(page: Page) -> None:
    page.send_code(next(numbers))
    page.browser.execute_script("const now = Date.now; Date.now = () => now() - 7200000;")
    page.wait_until(lambda: page.seconds_left() > 7200)
    assert page.text("wait").rpartition(" ")[2].startswith("02:")


# The first answer of the site is that the first request is still running.
CONFLICT = """
window.keys = [];
const real = window.fetch;
window.fetch = async (...request) => {
  if (request[1].method === "POST") {
    keys.push(request[1].headers["Idempotency-Key"]);
  }
  if (keys.length === 1) {
    return Response.json({ detail: "Still running", code: "idempotency_conflict", id: null });
  }
  return real(...request);
};
"""


def test_a_second_request_while_the_first_one_runs_keeps_the_key(page: Page) -> None:
    number = next(numbers)
    page.browser.execute_script(CONFLICT)
    page.fill("phone_number", number)
    page.press("send")
    assert page.text("phone_number_error") == "Still running"
    page.press("send")
    assert page.focused() == "otp"
    keys = page.browser.execute_script("return keys")
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_an_edited_number_gets_another_key(page: Page) -> None:
    """The old key belongs to the other number, so that the request would be refused."""
    page.browser.execute_script(CONFLICT)
    page.fill("phone_number", next(numbers))
    page.press("send")
    page.fill("phone_number", next(numbers))
    page.press("send")
    assert page.focused() == "otp"
    assert len(set(page.browser.execute_script("return keys"))) == 2


def test_a_lost_answer_to_a_code_is_no_fault_of_the_code(page: Page) -> None:
    code = page.send_code(next(numbers))
    page.browser.execute_script(LOSE_ONE_ANSWER)
    page.confirm(code)
    assert page.text("otp_error") == page.translate(
        "This site cannot be reached. Check your connection and try again."
    )
    assert not page.is_invalid("otp")


def test_one_press_at_a_time(page: Page) -> None:
    code = page.send_code(next(numbers))
    pass_a_minute_here(page)
    wait_until_ready(page)
    page.fill("otp", code)
    both = "for (const name of ['confirm', 'again']) document.getElementById(name).click();"
    page.browser.execute_script(both)
    page.wait_until(lambda: page.focused() == "done")
