"""What SQL of our own writes and reads is what the ORM would write and read."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, models, transaction
from pytest_django import Settings

from django_valify_otp import statements
from django_valify_otp.models import OtpSend, OtpVerification
from tests.clock import CAIRO
from tests.factories import make_send

pytestmark = pytest.mark.django_db

TEXTS = [
    'it\'s "quoted" `so`',
    "100 % %s %(x)s %%",
    "back\\slash \\n \\' \\0",
    "'; DROP TABLE x; --",
    "رمز التحقق ١٢٣",
    "😀👩‍👩‍👧‍👦 é e\u0301",
    " spaces,\ttabs\r\n and lines\n ",
    "NULL",
    "",
    "x" * 600,
]
MODELS = [OtpSend, OtpVerification]
MOMENT = datetime(2026, 11, 23, 14, 30, 1, 234567, tzinfo=UTC)
MOMENTS = [MOMENT, MOMENT.replace(microsecond=0), MOMENT.astimezone(CAIRO)]
ADDRESSES = ["41.32.10.7", "2a00:1450::1", "::ffff:41.32.10.7"]
SQL_OF_SENDS = f"FROM {OtpSend._meta.db_table} WHERE phone_number"


def columns_of(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def value_of(field: Any, text: str, number: int, *, use_tz: bool) -> Any:
    """Return a value of the right type for a column."""
    if field.is_relation:
        return number
    if isinstance(field, models.DateTimeField):
        moment = MOMENTS[number % len(MOMENTS)]
        return moment if use_tz else moment.replace(tzinfo=None)
    if isinstance(field, models.PositiveSmallIntegerField):
        return 32_767 - number
    if isinstance(field, models.GenericIPAddressField):
        return ADDRESSES[number % len(ADDRESSES)]
    if isinstance(field, models.UUIDField):
        return uuid4()
    return text[: field.max_length]


def values_of(model: type[models.Model], text: str, *, use_tz: bool) -> dict[str, Any]:
    """Return a value for each column that is written, and such as the table's checks accept."""
    found = {
        field.attname: value_of(field, text, number, use_tz=use_tz)
        for number, field in enumerate(columns_of(model))
        if not field.generated
    }
    if model is OtpSend:
        found |= {"status": OtpSend.Status.SENT, "transaction_id": text[:255] or "T1"}
    else:
        found |= {"status": OtpVerification.Status.VERIFIED}
    return found


def stored(row: models.Model) -> list[Any]:
    """Return what the database has in the row, but for its key."""
    names = [field.column for field in columns_of(type(row))]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(names)} FROM {row._meta.db_table} WHERE id = %s", [row.pk]
        )
        return [*cursor.fetchone()]


def stored_once(row: models.Model) -> list[Any]:
    """Return the same, and delete the row, whose ID and key another one is to have."""
    found = stored(row)
    type(row)._default_manager.filter(pk=row.pk).delete()
    return found


def make_open(model: type[models.Model]) -> Any:
    """Make a row that a call is under way for."""
    row = make_send(status="pending", settled_at=None, transaction_id="")
    if model is OtpSend:
        return row
    moment = row.created_at
    return OtpVerification.objects.create(
        otp_send=row, status="pending", caller="system", created_at=moment, called_at=moment
    )


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", MODELS)
def test_an_insert_writes_what_the_orm_writes(
    settings: Settings, model: Any, text: str, *, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    values = values_of(model, text, use_tz=use_tz)
    wanted = stored_once(model.objects.create(**values))
    row = model(**values)
    statements.insert(row, using="default")
    assert stored(row) == wanted
    assert (row._state.adding, row._state.db) == (False, "default")


@pytest.mark.parametrize("model", MODELS)
def test_an_insert_leaves_empty_what_the_orm_leaves_empty(model: Any) -> None:
    values = {"uuid": uuid4(), "status": "pending", "created_at": MOMENT}
    if model is OtpVerification:
        values["otp_send_id"] = 1
    wanted = stored_once(model.objects.create(**values))
    row = model(**values)
    statements.insert(row, using="default")
    assert stored(row) == wanted


# PostgreSQL always returns it, and MySQL never does.
RETURNS_KEY = [True] if connection.vendor == "postgresql" else [True, False]


@pytest.mark.parametrize("returns_key", RETURNS_KEY)
def test_an_insert_sets_the_key(monkeypatch: pytest.MonkeyPatch, *, returns_key: bool) -> None:
    monkeypatch.setattr(connection.features, "can_return_columns_from_insert", returns_key)
    row = OtpSend(**values_of(OtpSend, "", use_tz=True))
    statements.insert(row, using="default")
    assert OtpSend.objects.get() == row


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", MODELS)
def test_an_update_writes_what_the_orm_writes(
    settings: Settings, model: Any, text: str, *, use_tz: bool
) -> None:
    by_orm, row = make_open(model), make_open(model)
    settings.USE_TZ = use_tz
    values = values_of(model, text, use_tz=use_tz)
    model.objects.filter(pk=by_orm.pk).update(**values)
    wanted = stored_once(by_orm)
    columns = {model._meta.get_field(name).name: value for name, value in values.items()}
    assert statements.update(row, columns, where={"status": model.OPEN}, using="default")
    assert stored(row) == wanted


@pytest.mark.parametrize(
    ("where", "is_met"),
    [
        ({"status": ["pending"]}, True),
        ({"status": ["queued", "pending"]}, True),
        ({"status": OtpSend.OPEN}, True),
        ({"status": ["sent"]}, False),
        ({"verified_at": None}, True),
        ({"called_at": None}, False),
        ({"status": ["pending"], "verified_at": None}, True),
        ({"status": ["sent"], "verified_at": None}, False),
        ({}, True),
        ({"uuid": [UUID(int=1), UUID(int=7)]}, True),
        ({"status": ["pending"], "uuid": [UUID(int=1)]}, False),
    ],
)
def test_an_update_changes_only_a_row_that_is_as_wanted(where: Any, *, is_met: bool) -> None:
    other, row = make_open(OtpSend), make_open(OtpSend)
    OtpSend.objects.filter(pk=row.pk).update(uuid=UUID(int=7))
    found = statements.update(row, {"reason": "changed"}, where=where, using="default")
    assert found is is_met
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.reason, other.reason) == ("changed" if is_met else "", "")


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("model", MODELS)
def test_a_refresh_reads_what_the_orm_reads(
    settings: Settings, model: Any, text: str, *, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    by_orm = model.objects.create(**values_of(model, text, use_tz=use_tz))
    by_orm.refresh_from_db()
    row = model(pk=by_orm.pk)
    names = tuple(field.name for field in columns_of(model))
    with transaction.atomic():
        assert statements.lock_and_refresh(row, names=names, using="default")
    for field in columns_of(model):
        found, wanted = getattr(row, field.attname), getattr(by_orm, field.attname)
        assert (type(found), found) == (type(wanted), wanted)


def test_a_refresh_reads_no_other_column_and_finds_no_row_that_is_gone() -> None:
    row = make_send(purpose="signup")
    stale = OtpSend(pk=row.pk, purpose="another")
    with transaction.atomic():
        assert statements.lock_and_refresh(stale, names=("status",), using="default")
        assert (stale.status, stale.purpose) == ("sent", "another")
        OtpSend.objects.all().delete()
        assert not statements.lock_and_refresh(stale, names=("status",), using="default")


def test_a_run_counts_the_rows_of_each_statement_and_returns_those_of_the_last() -> None:
    for number in ("01012345678", "01112345678", "01212345678"):
        make_send(phone_number=number)
    lock = f"SELECT id {SQL_OF_SENDS} <> '01012345678'"
    if connection.features.has_select_for_update:
        lock += " FOR UPDATE"
    with transaction.atomic(), connection.cursor() as cursor:
        counts = statements.run(
            cursor,
            "",
            lock,
            f"SELECT phone_number {SQL_OF_SENDS} = %s",
            parameters=["01012345678"],
        )
        assert counts[-2] == 2
        assert [*cursor.fetchall()] == [("01012345678",)]
