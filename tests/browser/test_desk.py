"""Support at work in Chromium: find a customer, block their range, see the stop, lift it."""

import sqlite3
from contextlib import closing

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.desk import Desk
from tests.browser.scripts import ScriptCoverage
from tests.browser.site import PATIENCE, Site

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

LAPTOP = (1280, 800)
LONGEST_ROWS = """
UPDATE django_valify_otp_otpsend SET transaction_id = :transaction_id, purpose = :purpose,
    user_id = :user_id, trials_remaining = 32767, code = 'valify_misconfigured',
    settled_at = datetime(called_at, '+24.5 seconds'), verified_at = datetime(created_at, '+1 day')
WHERE status = 'sent'
"""
CUSTOMER = """
INSERT INTO auth_user (username, email, password, first_name, last_name, is_superuser, is_staff,
    is_active, date_joined)
SELECT :name, :email, '', '', '', 0, 0, 1, '2026-01-01'
WHERE NOT EXISTS (SELECT 1 FROM auth_user WHERE username = :name)
"""
NAME, EMAIL = "mona.abdelrahman.elsayed@example-company.com", "mona@example.com"


@pytest.fixture
def customer(site: Site, attempts: None) -> int:
    """Somebody with a long name, whose attempts have long values everywhere."""
    with closing(sqlite3.connect(site.database, timeout=PATIENCE)) as connection, connection:
        connection.execute(CUSTOMER, {"name": NAME, "email": EMAIL})
        [(key,)] = connection.execute("SELECT id FROM auth_user WHERE username = ?", [NAME])
        values = {"transaction_id": "0123456789abcdef" * 4, "purpose": "p" * 32, "user_id": key}
        connection.execute(LONGEST_ROWS, values)
        connection.execute(
            "UPDATE django_valify_otp_otpsend SET caller = 'user:' || user_id WHERE user_id = ?",
            [key],
        )
    return int(key)


def submit(desk: Desk, selector: str) -> None:
    """Press a button, and wait for the next page."""
    button = desk.find(selector)
    button.click()
    WebDriverWait(desk.browser, PATIENCE, 0.05).until(lambda _: is_gone(desk, button.id))


def is_gone(desk: Desk, element_id: str) -> bool:
    """Whether an element was on a page that was left."""
    body = desk.browser.find_elements(By.CSS_SELECTOR, "body *")
    return bool(body) and element_id not in {element.id for element in body}


def test_nothing_is_off_screen_on_a_laptop(desk: Desk, customer: int) -> None:
    width, height = LAPTOP
    desk.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    for page in ("otpsend", "otpverification", "sendblock"):
        desk.open(f"{page}/?q=")
        root = desk.find("html")
        assert int(str(root.get_property("scrollWidth"))) <= width
    desk.open("otpsend/")
    table = desk.find("#changelist .results")
    assert table.get_property("scrollWidth") == table.get_property("clientWidth")
    shown = desk.find(".valify-id")
    whole = "0123456789abcdef" * 4
    assert (shown.get_attribute("title"), shown.get_property("textContent")) == (whole, whole)


def shown_fields(desk: Desk) -> list[str]:
    """Which fields for values the form shows."""
    names = ("number", "first_digits", "ip_address", "user", "confirm")
    return [name for name in names if desk.find(f".field-{name}").is_displayed()]


def rows(desk: Desk) -> int:
    return len(desk.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr"))


def test_support_blocks_the_range_of_a_customer(desk: Desk, customer: int) -> None:
    desk.open("otpsend/")
    desk.find("#searchbar").send_keys(EMAIL)
    submit(desk, "#changelist-search [type=submit]")
    assert rows(desk) == 2
    key = str(desk.find("#result_list tbody th a").get_property("href")).split("/")[-3]
    desk.open(f"sendblock/add/?attempt={key}&scope=prefix")
    assert shown_fields(desk) == ["first_digits"]
    assert desk.find("#id_first_digits").get_property("value") == "0111234"
    desk.find("#id_reason").send_keys("pumping")
    desk.shoot("block-form")
    submit(desk, "[name=_save]")
    assert desk.says("in force")
    assert "011*234" in desk.text()
    desk.open("sendblock/?q=0111234")
    desk.follow("#result_list tbody th a")
    desk.shoot("block")
    submit(desk, ".valify-lift [type=submit]")
    assert desk.says("ended")


def test_to_stop_all_sending_is_asked_once_more_and_said_on_each_page(
    desk: Desk,
    scripts: ScriptCoverage,
) -> None:
    desk.open("sendblock/add/")
    scope = Select(desk.find("#id_scope"))
    for value, name in (("number", "number"), ("user", "user"), ("everything", "confirm")):
        scope.select_by_value(value)
        assert shown_fields(desk) == [name]
    # A page that is left takes its counts along.
    scripts.take()
    submit(desk, "[name=_save]")
    assert desk.says("This block stops all sending. Tick the box if you mean it.")
    desk.shoot("stop-asked")
    desk.find("#id_confirm").click()
    desk.find("#id_reason").send_keys("attack")
    submit(desk, "[name=_save]")
    for page in ("otpsend/", "otpsend/summary/", "otpverification/", "sendblock/"):
        desk.open(page)
        assert desk.says("See the block")
        assert "attack" in desk.find(".messagelist").text
    desk.open("otpsend/")
    desk.shoot("stopped")
    desk.follow(".messagelist a")
    assert desk.says("Lift this block now")
    submit(desk, ".valify-lift [type=submit]")
    desk.open("otpsend/")
    assert not desk.says("See the block")


def test_the_form_works_without_scripts(desk: Desk) -> None:
    off = "Emulation.setScriptExecutionDisabled"
    desk.browser.execute_cdp_cmd(off, {"value": True})
    desk.open("sendblock/add/")
    assert len(shown_fields(desk)) == 5
    desk.browser.execute_cdp_cmd(off, {"value": False})


def test_whoever_finds_nothing_is_told_what_to_try(desk: Desk) -> None:
    desk.open("otpsend/?q=0101234&status__exact=sent")
    assert desk.says("Type the whole value: the search finds no parts.")
    desk.shoot("nothing")
