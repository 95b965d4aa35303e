"""Support at work in the demo: find a customer, say why no code came, block, lift."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.desk import Desk
from tests.browser.site import Site, visit
from tests.browser.test_example import Page

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

# In the range of the customer's number.
NUMBERS = {"en": "01005550098", "ar": "01005550099"}


@pytest.fixture
def page(busy_desk: Desk, sandbox: ValifySandbox) -> Page:
    """The page on which a visitor confirms a number."""
    return Page(busy_desk.browser, busy_desk.language, sandbox, busy_desk.screenshots)


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


def test_support_says_why_no_code_came_and_blocks_the_range(busy_desk: Desk, page: Page) -> None:
    busy_desk.open("otpsend/")
    busy_desk.find("#searchbar").send_keys("mona@example.com")
    busy_desk.press("#changelist-search [type=submit]")
    users = busy_desk.browser.find_elements(By.CSS_SELECTOR, "#result_list td.field-short_user")
    assert {str(user.get_property("textContent")).strip() for user in users} == {"mona"}
    busy_desk.shoot("found")
    busy_desk.follow("#result_list tbody tr:nth-child(1) th a")
    assert busy_desk.says("Not sent: refused by a limit")
    busy_desk.follow("a[href*='sibling=number']")
    busy_desk.follow("#result_list tbody tr:nth-child(2) th a")
    assert busy_desk.says("Perhaps sent: no usable answer came")
    busy_desk.follow("a[href*='scope=prefix']")
    assert "0100555".startswith(str(busy_desk.find("#id_first_digits").get_property("value")))
    busy_desk.find("#id_reason").send_keys("pumping")
    busy_desk.shoot("block")
    busy_desk.press("[name=_save]")
    forbidden = busy_desk.translate("We cannot send codes to this number or at your request.")
    assert refusal(page, busy_desk.site) == forbidden
    page.shoot("forbidden")
    busy_desk.open("otpsend/?code__exact=send_forbidden")
    busy_desk.follow("#result_list tbody tr:nth-child(1) th a")
    assert busy_desk.says("Not sent: refused by a send block")
    busy_desk.follow(".valify-actions a[href*='/sendblock/'][href$='/change/']")
    busy_desk.press(".valify-lift [type=submit]")
    assert is_sent(page, busy_desk.site)


def test_support_stops_all_sending_sees_the_banner_and_lifts_it(
    busy_desk: Desk, page: Page
) -> None:
    busy_desk.open("sendblock/add/")
    Select(busy_desk.find("#id_scope")).select_by_value("everything")
    busy_desk.find("#id_confirm").click()
    busy_desk.find("#id_reason").send_keys("Valify is down")
    busy_desk.press("[name=_save]")
    paused = busy_desk.translate("We are not sending codes at the moment. Please try again later.")
    assert refusal(page, busy_desk.site) == paused
    page.shoot("paused")
    busy_desk.open("otpsend/summary/")
    assert "Valify is down" in busy_desk.find(".messagelist").text
    busy_desk.shoot("banner")
    busy_desk.follow(".messagelist a")
    busy_desk.press(".valify-lift [type=submit]")
    busy_desk.open("otpsend/")
    assert not busy_desk.says("See the block")
