"""The example as a running site, and how it is looked at."""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polib
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from django_valify_otp.sandbox.process import ValifySandbox

PROJECT = Path(__file__).parent.parent.parent
EXAMPLE = PROJECT / "example_project"
CATALOGUE = "locale/ar/LC_MESSAGES/django.po"
WIDE, NARROW = (1100, 720), (380, 1150)
PATIENCE = 30
# The superuser's name and password.
ROOT = "root"


@dataclass(frozen=True)
class Site:
    """The running example, and the file with its rows."""

    url: str
    database: Path

    def age(self, seconds: int) -> None:
        """Make everything that was sent so much older."""
        older = "created_at = datetime(created_at, ?1), settled_at = datetime(settled_at, ?1)"
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as connection, connection:
            connection.execute(
                f"UPDATE django_valify_otp_otpsend SET {older}", [f"-{seconds} seconds"]
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
    found = [polib.pofile(str(path)).find(text) for path in catalogues]
    return next(str(entry.msgstr) for entry in found if entry)


def shoot(browser: Chrome, folder: Path, name: str) -> None:
    """Keep what it looks like, wide and narrow; it must never have to be scrolled sideways."""
    for width, height in (NARROW, WIDE):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        assert browser.save_screenshot(str(folder / f"{name}-{width}.png"))
        root = browser.find_element(By.TAG_NAME, "html")
        assert int(str(root.get_property("scrollWidth"))) <= width
