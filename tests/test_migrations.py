"""Migrations go forward and back, also where there are rows, on the database of this run."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from django_valify_otp.models import DailyTotal, LimitLock, LimitTally, OtpSend, SendBlock
from django_valify_otp.services import send_otp, verify_otp
from tests.factories import make_overdue, make_send, make_try
from tests.scripted_server import ScriptedServer

APP = "django_valify_otp"
pytestmark = pytest.mark.django_db(transaction=True)


def migrate(name: str | None) -> None:
    """Migrate the app to this migration, or to nothing."""
    executor = MigrationExecutor(connection)
    executor.migrate([(APP, name)])


def migrations() -> list[str]:
    """Return the migrations of the app from the first to the newest."""
    graph = MigrationExecutor(connection).loader.graph
    [newest] = graph.leaf_nodes(APP)
    return [name for app, name in graph.forwards_plan(newest) if app == APP]


def tables() -> list[str]:
    return [model._meta.db_table for model in apps.get_app_config(APP).get_models()]


def schema() -> dict[str, Any]:
    """Return the columns and constraints of each table, indexes among them."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in tables():
            columns = connection.introspection.get_table_description(cursor, table)
            constraints = connection.introspection.get_constraints(cursor, table)
            # On MariaDB that size is of the rows, not of the column.
            found[table] = [column._replace(display_size=None) for column in columns], constraints
    return found


def fill_tables() -> None:
    """Put rows into every table."""
    user = User.objects.create_user("mona")
    make_try(make_send(user=user, idempotency_hash="a" * 64))
    make_overdue()
    SendBlock.objects.create(scope="user", user=user, created_by=user)
    DailyTotal.objects.create(day="2026-11-01", figures={})
    LimitLock.objects.get_or_create(id=1)
    LimitTally.objects.create(scope="all", counted_until="2026-11-01T00:00Z", total=1)
    for model in apps.get_app_config(APP).get_models():
        assert model._default_manager.exists()


@pytest.fixture(autouse=True)
def migrated() -> Iterator[None]:
    """Leave the tables to the next test, whatever happens in this one."""
    yield
    migrate(migrations()[-1])


def test_each_migration_goes_back_and_forth_with_rows(valify: ScriptedServer) -> None:
    fill_tables()
    before, steps = schema(), migrations()
    for step in reversed([None, *steps[:-1]]):
        migrate(step)
    assert not set(tables()) & set(connection.introspection.table_names())
    for step in steps:
        migrate(step)
    assert schema() == before
    otp_send = send_otp("01012345678", idempotency_key="again")
    assert verify_otp(otp_send, "123456").status == "verified"
    assert OtpSend.objects.get().verified_at is not None
