"""The page of the REST API in Chromium, under a policy that keeps it from other hosts."""

from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.site import PATIENCE, Site

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]


def test_each_operation_is_shown(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.url}swagger/")
    shown = WebDriverWait(browser, PATIENCE).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, ".opblock-summary")
    )
    assert [line.text.split("\n")[:2] for line in shown] == [
        ["GET", "/otp/sends/"],
        ["POST", "/otp/sends/"],
        ["GET", "/otp/sends/{id}/"],
        ["POST", "/otp/sends/{id}/verify/"],
    ]
    console: list[dict[str, Any]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert console == []
