"""The isolation levels at which limits and tries do not hold are errors."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connection
from django.db.utils import ConnectionHandler

from django_valify_otp import checks, isolation
from django_valify_otp.checks import (
    check_isolation_of_options,
    check_isolation_of_server,
    check_nodes,
)
from django_valify_otp.isolation import Levels, level_of_options, level_of_server

Level = psycopg.IsolationLevel


def handler(**options: Any) -> ConnectionHandler:
    """A PostgreSQL that is set up and never connected to."""
    engine = "django.db.backends.postgresql"
    return ConnectionHandler({"default": {"ENGINE": engine, "NAME": "none", "OPTIONS": options}})


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (Level.SERIALIZABLE, "SERIALIZABLE"),
        (Level.REPEATABLE_READ, "REPEATABLE READ"),
        (Level.READ_UNCOMMITTED, "READ UNCOMMITTED"),
        (3, "REPEATABLE READ"),
        ("repeatable read", "REPEATABLE READ"),
    ],
)
def test_levels_in_the_options_are_errors(
    monkeypatch: pytest.MonkeyPatch, level: object, name: str
) -> None:
    monkeypatch.setattr(checks, "connections", handler(isolation_level=level))
    [error] = check_isolation_of_options(None)
    assert error.id == "django_valify_otp.E004"
    assert name in error.msg
    assert error.hint
    assert "DATABASES['default']" in error.hint
    assert check_isolation_of_server(None, databases=["default"]) == [], "said twice"


@pytest.mark.parametrize("options", [{}, {"isolation_level": Level.READ_COMMITTED}])
def test_read_committed_is_none(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    monkeypatch.setattr(checks, "connections", handler(**options))
    assert check_isolation_of_options(None) == []


def test_what_is_no_level_is_left_to_django() -> None:
    assert level_of_options(handler(isolation_level=9)["default"]) is None


UNSAFE_SERVER: dict[str, dict[str, Any]] = {
    "postgresql": {"options": r"-c default_transaction_isolation=repeatable\ read"},
    "mysql": {
        "isolation_level": None,
        "init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    },
    "sqlite": {},
}
READ_COMMITTED: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": 2},
    "mysql": {"isolation_level": "read committed"},
    "sqlite": {"isolation_level": "IMMEDIATE"},
}


@pytest.fixture
def reconnected(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Opens the connection of this run anew, with further options."""

    def reconnect(options: dict[str, Any]) -> None:
        connection.close()
        merged = {**connection.settings_dict["OPTIONS"], **options}
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", merged)

    yield reconnect
    connection.close()


def found() -> list[CheckMessage]:
    """What the checks of databases say of this run's."""
    messages = run_checks(tags=[Tags.database], databases=["default"])
    return [message for message in messages if "isolation" in message.msg]


def test_the_server_s_default_is_asked_for(
    reconnected: Callable[[dict[str, Any]], None],
) -> None:
    reconnected(UNSAFE_SERVER[connection.vendor])
    assert check_isolation_of_options(None) == []
    assert check_isolation_of_server(None, databases=None) == []
    assert check_isolation_of_server(None, databases=["another"]) == []
    ids = [message.id for message in found()]
    assert ids == ["django_valify_otp.E005"] * (connection.vendor != "sqlite")


def test_the_options_overrule_the_server_s_default(
    reconnected: Callable[[dict[str, Any]], None],
) -> None:
    reconnected({**UNSAFE_SERVER[connection.vendor], **READ_COMMITTED[connection.vendor]})
    assert check_isolation_of_options(None) == []
    assert found() == []


@pytest.mark.django_db
def test_the_server_s_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Levels("SELECT 'REPEATABLE-READ'", ("read committed",))
    monkeypatch.setitem(isolation.LEVELS, connection.vendor, answering)
    [error] = found()
    assert error.id == "django_valify_otp.E005"
    assert "REPEATABLE READ" in error.msg
    assert error.hint
    assert "DATABASES['default']" in error.hint


def test_an_unknown_database_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "vendor", "unheard of")
    assert level_of_options(connection) is None
    assert level_of_server(connection) is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "is_warned_of"),
    [
        (isolation.GALERA, False),
        ("SELECT 'wsrep_on', 'ON'", True),
        ("SELECT 'wsrep_on', 'OFF'", False),
        ("SELECT 'wsrep_on', 'ON' WHERE false", False),
    ],
)
def test_galera_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, answer: str, *, is_warned_of: bool
) -> None:
    monkeypatch.setattr(isolation, "GALERA", answer)
    messages = run_checks(tags=[Tags.database], databases=["default"])
    ids = [message.id for message in messages]
    assert ("django_valify_otp.W010" in ids) is (is_warned_of and connection.vendor == "mysql")
    assert check_nodes(None, databases=None) == []
    assert check_nodes(None, databases=["another"]) == []
