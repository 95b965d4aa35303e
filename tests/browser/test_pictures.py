"""The pictures of the documents, as ``make pictures`` keeps them."""

import os
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from django_valify_otp.sandbox.process import ValifySandbox
from tests.browser.desk import OTHERS, Desk
from tests.browser.site import PATIENCE, PROJECT, Site, shoot, show, visit
from tests.browser.test_example import Page, code_in_frame

pytestmark = [pytest.mark.browser, pytest.mark.packaging, pytest.mark.timeout(300)]

WIDTH = 1280
# In bytes: they are part of the repository for ever.
LARGEST = 150_000
NUMBERS = {"en": "01055550198", "ar": "01055550199"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """The folder for the pictures: ``PICTURES``, if that is set."""
    return Path(os.environ.get("PICTURES", tmp_path))


def take(browser: Chrome, path: Path, *, height: int) -> None:
    """Keep the upper part of the page, in the light."""
    show(browser, width=WIDTH, height=height, scheme="light")
    assert browser.save_screenshot(str(path))
    assert path.stat().st_size < LARGEST


def test_the_picture_of_the_page(
    browser: Chrome, site: Site, sandbox: ValifySandbox, language: str, pictures: Path
) -> None:
    visit(browser, site.url)
    page = Page(browser, language, sandbox, pictures)
    page.send_code(NUMBERS[language])
    assert code_in_frame(page, NUMBERS[language])
    take(browser, pictures / f"page-{language}.png", height=560)


def test_the_picture_of_the_list(busy_desk: Desk, pictures: Path) -> None:
    busy_desk.open("otpsend/")
    take(busy_desk.browser, pictures / f"list-{busy_desk.language}.png", height=680)
    assert len(busy_desk.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) > 20


def test_the_picture_of_an_attempt(busy_desk: Desk, pictures: Path) -> None:
    busy_desk.open("otpsend/?code__exact=outcome_unknown")
    busy_desk.follow("#result_list tbody th a")
    take(busy_desk.browser, pictures / f"attempt-{busy_desk.language}.png", height=1000)
    assert "outcome_unknown" not in busy_desk.find("h1").text


def test_the_picture_of_the_summary(busy_desk: Desk, pictures: Path) -> None:
    busy_desk.open("otpsend/summary/?period=7d")
    wait = WebDriverWait(busy_desk.browser, PATIENCE, 0.05)
    wait.until(lambda _: busy_desk.browser.find_elements(By.CSS_SELECTOR, "svg[role=img]"))
    take(busy_desk.browser, pictures / f"summary-{busy_desk.language}.png", height=1000)


def test_each_step_of_another_test_can_be_looked_at(busy_desk: Desk, tmp_path: Path) -> None:
    busy_desk.open("sendblock/")
    shoot(busy_desk.browser, tmp_path, "blocks", others=OTHERS)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {f"blocks-{w}-{s}.png" for w in (380, 1280) for s in ("dark", "light")}


def test_the_repository_has_each_picture_and_no_large_one() -> None:
    found = {path.name: path.stat().st_size for path in (PROJECT / "docs/pictures").glob("*.png")}
    names = ("attempt", "list", "page", "summary")
    assert found.keys() == {f"{name}-{lang}.png" for name in names for lang in ("ar", "en")}
    assert max(found.values()) < LARGEST
