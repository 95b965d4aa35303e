from collections import Counter
from collections.abc import Iterator

import pytest
import xdist
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import settlement
from tests.clock import Clock, stop_clocks
from tests.configuration import Configure
from tests.factories import client_of, staff
from tests.leaks import watched_logs
from tests.scripted_server import ScriptedServer, sent, token, verified
from tests.stress.scenario import LIMITS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse equal names, of which pytest-xdist would run one; choose what the database needs."""
    twice = [name for name, count in Counter(item.nodeid for item in items).items() if count > 1]
    assert not twice, twice
    if django_settings.DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
        leave_to_sqlite(config, items)
    items.sort(key=place_of)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run if pytest-xdist does not see its groups, and would run them side by side."""
    grouped = [item for item in session.items if item.get_closest_marker("xdist_group")]
    names = [item.nodeid.rpartition("]")[2] for item in grouped]
    assert not xdist.is_xdist_worker(session) or all("@" in name for name in names)


def leave_to_sqlite(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that would do the same on any database, since they use none."""
    alike = [item for item in items if not uses_server(item)]
    items[:] = [item for item in items if uses_server(item)]
    config.hook.pytest_deselected(items=alike)


def uses_server(item: pytest.Item) -> bool:
    """Tell whether a test reaches the database, or servers of its own."""
    markers = {marker.name for marker in item.iter_markers()}
    return bool(markers & {"django_db", "engines", "clusters", "pgbouncer", "faketime"}) or (
        "db" in getattr(item, "fixturenames", ())
    )


def place_of(item: pytest.Item) -> tuple[float, bool, str, str]:
    """Put what may take long first, so that no process is at work on it after all others.

    Tests of one browser are beside each other: it is started anew for another language.
    """
    timeout = item.get_closest_marker("timeout")
    patience = timeout.args[0] if timeout else 0
    is_alone = not item.get_closest_marker("xdist_group")
    callspec = getattr(item, "callspec", None)
    if callspec and item.get_closest_marker("browser"):
        return -patience, is_alone, str(item.path), str(callspec.params.get("language"))
    return -patience, is_alone, "~", ""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep in one process what shares a browser or a built package; behind a router, open all."""
    if item.get_closest_marker("packaging"):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if django_settings.DATABASE_ROUTERS:
        open_every_database(item)


def open_every_database(item: pytest.Item) -> None:
    """Let the test reach the replica too."""
    marker = item.get_closest_marker("django_db")
    arguments = {**(marker.kwargs if marker else {}), "databases": "__all__"}
    item.add_marker(pytest.mark.django_db(**arguments), append=False)


@pytest.fixture(autouse=True)
def no_secret_in_any_log() -> Iterator[None]:
    """Fail the test during which a secret, an OTP or a whole number was logged."""
    with watched_logs() as watch:
        yield
    assert watch.found() == []


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is tried again at once."""
    monkeypatch.setattr(settlement, "WRITE_PAUSES_SECONDS", (0, 0, 0, 0))


@pytest.fixture(autouse=True)
def no_language_left() -> Iterator[None]:
    """Django's middleware activates the language of a request, and leaves it so."""
    yield
    translation.deactivate()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A Valify that sends and verifies, until it is told otherwise."""
    scripted = ScriptedServer()
    scripted.answer_token(token())
    scripted.answer_send(sent())
    scripted.answer_verify(verified())
    yield scripted
    scripted.close()


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Sets keys of ``VALIFY_OTP``, as in ``configure(DEADLINE=1)``."""
    return Configure(settings)


@pytest.fixture
def valify(server: ScriptedServer, configure: Configure) -> ScriptedServer:
    """The scripted Valify, as the one of the settings."""
    configure(BASE_URL=server.base_url)
    return server


@pytest.fixture
def limited(valify: ScriptedServer, configure: Configure) -> ScriptedServer:
    """The scripted Valify, with every limit on."""
    configure(**LIMITS)
    return valify


@pytest.fixture
def open_to_all(configure: Configure) -> None:
    """A site whose endpoints need no login."""
    configure(PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"])


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("mona")


@pytest.fixture
def api(user: User) -> APIClient:
    """A client of the API that is logged in as ``user``."""
    return client_of(user)


@pytest.fixture
def desk(db: None) -> Client:
    """The admin, as somebody who may view attempts."""
    return client_of(staff("view_otpsend"))


@pytest.fixture
def inspector(db: None) -> Client:
    """The admin, as somebody who may view whole numbers too."""
    return client_of(staff("view_otpsend", "view_phone_number"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Clock:
    """A time of day that stands still, in Cairo."""
    settings.TIME_ZONE = "Africa/Cairo"
    return stop_clocks(monkeypatch)
