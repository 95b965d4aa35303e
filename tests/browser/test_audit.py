"""The audit desk in Chromium: list, attempt, summary and export, in two languages."""

import csv
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.desk import MASKED, NUMBER, NUMBERS, Desk
from tests.browser.site import PATIENCE, translate

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

LIMIT = {
    "en": "limit per number: 1 code in a minute",
    "ar": "حد الرقم الواحد: رمز واحد خلال دقيقة",
}


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
    assert LIMIT[desk.language] in desk.text()
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
