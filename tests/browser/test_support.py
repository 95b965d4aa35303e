"""Support at work in the demo: find a customer, say why no code came, block, lift."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.desk import Desk, come_back
from tests.browser.site import Site, visit
from tests.browser.test_example import Page

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

# In the range of the customer's number.
NUMBERS = {"en": "01005550098", "ar": "01005550099"}


@pytest.fixture
def desk(
    browser: Chrome,
    site: Site,
    session: dict[str, str],
    filled: None,
    language: str,
    screenshots: Path | None,
) -> Desk:
    """The admin, logged in."""
    come_back(browser, session)
    return Desk(browser, site, language, screenshots)


@pytest.fixture
def page(desk: Desk, sandbox: ValifySandbox) -> Page:
    """The page on which a visitor confirms a number."""
    return Page(desk.browser, desk.language, sandbox, desk.screenshots)


def ask_for_a_code(page: Page, site: Site) -> None:
    visit(page.browser, site.url)
    page.fill("phone_number", NUMBERS[page.language])
    page.press("send")


def is_sent(page: Page, site: Site) -> bool:
    """Whether a visitor gets a code now."""
    ask_for_a_code(page, site)
    return page.focused() == "otp"


def refusal(page: Page, site: Site) -> str:
    """What a visitor is told who asks for a code."""
    ask_for_a_code(page, site)
    return page.text("phone_number_error")


def test_support_says_why_no_code_came_and_blocks_the_range(desk: Desk, page: Page) -> None:
    desk.open("otpsend/")
    desk.find("#searchbar").send_keys("mona@example.com")
    desk.press("#changelist-search [type=submit]")
    users = desk.browser.find_elements(By.CSS_SELECTOR, "#result_list td.field-short_user")
    assert {str(user.get_property("textContent")).strip() for user in users} == {"mona"}
    desk.shoot("found")
    desk.follow("#result_list tbody tr:nth-child(1) th a")
    assert desk.says("Not sent: refused by a limit")
    desk.follow("a[href*='sibling=number']")
    desk.follow("#result_list tbody tr:nth-child(2) th a")
    assert desk.says("Perhaps sent: no usable answer came")
    desk.follow("a[href*='scope=prefix']")
    assert "0100555".startswith(str(desk.find("#id_first_digits").get_property("value")))
    desk.find("#id_reason").send_keys("pumping")
    desk.shoot("block")
    desk.press("[name=_save]")
    forbidden = desk.translate("We cannot send codes to this number or at your request.")
    assert refusal(page, desk.site) == forbidden
    page.shoot("forbidden")
    desk.open("otpsend/?code__exact=send_forbidden")
    desk.follow("#result_list tbody tr:nth-child(1) th a")
    assert desk.says("Not sent: refused by a send block")
    desk.follow(".valify-actions a[href*='/sendblock/'][href$='/change/']")
    desk.press(".valify-lift [type=submit]")
    assert is_sent(page, desk.site)


def test_support_stops_all_sending_sees_the_banner_and_lifts_it(desk: Desk, page: Page) -> None:
    desk.open("sendblock/add/")
    Select(desk.find("#id_scope")).select_by_value("everything")
    desk.find("#id_confirm").click()
    desk.find("#id_reason").send_keys("Valify is down")
    desk.press("[name=_save]")
    paused = desk.translate("We are not sending codes at the moment. Please try again later.")
    assert refusal(page, desk.site) == paused
    page.shoot("paused")
    desk.open("otpsend/summary/")
    assert "Valify is down" in desk.find(".messagelist").text
    desk.shoot("banner")
    desk.follow(".messagelist a")
    desk.press(".valify-lift [type=submit]")
    desk.open("otpsend/")
    assert not desk.says("See the block")
