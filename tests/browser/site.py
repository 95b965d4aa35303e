"""The example as a running site, and how it is looked at."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import chain, product
from pathlib import Path

import polib
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from django_valify_otp.sandbox.process import ValifySandbox

PROJECT = Path(__file__).parent.parent.parent
EXAMPLE = PROJECT / "example_project"
CATALOGUE = "locale/ar/LC_MESSAGES/django.po"
WIDE, NARROW = (1280, 800), (380, 1150)
SCHEMES = ("dark", "light")
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
WAIT_FOR_TRANSITIONS = """
const [done] = arguments;
requestAnimationFrame(() => {
  Promise.allSettled(document.getAnimations().map(({ finished }) => finished)).then(() => done());
});
"""
RUN_AXE = """
const [others, done] = arguments;
const place = (node) => `${node.target.join(" ")}: ${node.failureSummary}`;
const options = { iframes: false, resultTypes: ["violations"] };
axe.run({ exclude: others }, options).then((found) => {
  done(found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id} ${place(node)}`)));
});
"""
PATIENCE = 30
MOMENTS = ("created_at", "settled_at")
# The superuser's name and password.
ROOT = "root"


@dataclass(frozen=True)
class Site:
    """The running example, the file with its rows, and what the example reads."""

    url: str
    database: Path
    environment: Mapping[str, str] = field(repr=False)

    def manage(self, *arguments: str) -> None:
        """Run a command of Django's."""
        manage(self.environment, *arguments)

    def age(self, seconds: int) -> None:
        """Make everything that was sent so much older."""
        older = ", ".join(f"{name} = datetime({name}, :older)" for name in MOMENTS)
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as connection, connection:
            connection.execute(
                f"UPDATE django_valify_otp_otpsend SET {older}", {"older": f"-{seconds} seconds"}
            )

    def log(self) -> list[str]:
        """What the admin's log says."""
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as connection:
            found = connection.execute("SELECT change_message FROM django_admin_log")
            return [message for (message,) in found]


def environment_of_site(sandbox: ValifySandbox, database: Path) -> dict[str, str]:
    """What the example reads, so that a developer's ``.env`` changes nothing."""
    credentials = ("BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **inherited,
        **{f"VALIFY_{name}": "sandbox" for name in credentials},
        "VALIFY_BASE_URL": sandbox.base_url,
        "DATABASE_URL": f"sqlite:///{database}",
        "DEBUG": "true",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SUPERUSER_USERNAME": ROOT,
        "DJANGO_SUPERUSER_PASSWORD": ROOT,
        "DJANGO_SUPERUSER_EMAIL": "root@example.com",
        "PYTHONUNBUFFERED": "1",
    }


def manage(environment: Mapping[str, str], *arguments: str) -> None:
    """Run a command of Django's in the example."""
    subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=EXAMPLE, env=environment, check=True
    )


def path_of(program: str) -> str:
    """Where it is, so that selenium does not look for one to download."""
    found = shutil.which(program)
    assert found, f"{program} is missing"
    return found


def translate(text: str, language: str) -> str:
    """What the example or the package says instead, in this language."""
    if language == "en":
        return text
    catalogues = (EXAMPLE / "example" / CATALOGUE, PROJECT / "django_valify_otp" / CATALOGUE)
    entries = chain.from_iterable(polib.pofile(str(path)) for path in catalogues)
    return next(str(entry.msgstr) for entry in entries if entry.msgid == text)


def shoot(browser: Chrome, folder: Path | None, name: str, *, others: Sequence[str] = ()) -> None:
    """Look for barriers, wide and narrow, dark and light, and keep what it looks like in a folder.

    It must never have to be scrolled sideways. ``others`` are the parts that are not ours.
    """
    for scheme, (width, height) in product(SCHEMES, (NARROW, WIDE)):
        show(browser, width=width, height=height, scheme=scheme)
        if folder:
            assert browser.save_screenshot(str(folder / f"{name}-{width}-{scheme}.png"))
        root = browser.find_element(By.TAG_NAME, "html")
        assert int(str(root.get_property("scrollWidth"))) <= width
        found = barriers(browser, others)
        assert not found, "\n".join(found)


def visit(browser: Chrome, url: str) -> None:
    """Load a page as somebody who has never sent a code in this tab."""
    browser.get(url)
    browser.execute_script("window.stop(); sessionStorage.clear();")
    browser.refresh()


def show(browser: Chrome, *, width: int, height: int, scheme: str) -> None:
    """Make the window so large, and let the reader prefer this color scheme."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    # Colors change bit by bit.
    browser.execute_async_script(WAIT_FOR_TRANSITIONS)


def barriers(browser: Chrome, others: Sequence[str]) -> list[str]:
    """Return what axe finds on the page that keeps people from using it."""
    if not browser.execute_script("return Boolean(window.axe)"):
        browser.execute_script(AXE)
    found: list[str] = browser.execute_async_script(RUN_AXE, [*others])
    return found
