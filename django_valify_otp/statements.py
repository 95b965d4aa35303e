"""Write rows by statements that are composed once.

Django's ORM composes a statement anew at each call, which takes longer than the database needs to
run it. None of Django's model signals is sent.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import CharField, Model, Value

Where = Mapping[str, Sequence[Any] | None]
# The columns that are compared, each with the number of values that it may have.
Wanted = tuple[tuple[str, int], ...]
NOTHING: Mapping[str, str] = MappingProxyType({})


class Values(NamedTuple):
    """The SQL of a row's values, ``%s`` where a parameter stands; and the parameters."""

    sql: tuple[str, ...]
    parameters: list[Any]


def insert(row: Model, *, using: str, first: str = "") -> None:
    """Run a statement first, if there is one; then insert the row, and set its primary key."""
    connection = connections[using]
    values = values_of(row, using)
    returns_key = connection.features.can_return_columns_from_insert
    statement = _insert_statement(type(row), using, values.sql, returns_key=returns_key)
    with connection.cursor() as cursor:
        run(cursor, first, statement, parameters=values.parameters)
        mark_inserted(row, cursor.fetchone()[0] if returns_key else cursor.lastrowid, using)


def values_of(row: Model, using: str, *, instead: Mapping[str, str] = NOTHING) -> Values:
    """Return the values of the row's columns, with SQL ``instead`` of some."""
    connection, sql, parameters = connections[using], [], []
    for column in _written_columns(type(row)):
        value = getattr(row, column.attname)
        # Most columns are empty until the row is settled, so that is written into the statement.
        literal = instead.get(column.name) or _empty(value)
        sql.append(literal or "%s")
        if not literal:
            parameters.append(column.prepared(value, connection))
    return Values(tuple(sql), parameters)


def mark_inserted(row: Model, pk: Any, using: str) -> None:
    """Set what Django sets of a row that it has inserted."""
    row.pk = pk
    row._state.adding, row._state.db = False, using  # noqa: SLF001


@lru_cache
def columns_of(model: type[Model], using: str) -> str:
    """Return the SQL of the columns that ``values_of()`` gives values for."""
    quote = connections[using].ops.quote_name
    return ", ".join(quote(column.name) for column in _written_columns(model))


def run(cursor: Any, *statements: str, parameters: Sequence[Any] = ()) -> list[int]:
    """Execute the statements, of which the last has the parameters and leaves its rows to fetch.

    Return the number of rows of each. Where the driver can, they are one round trip.
    """
    *first, last = [statement for statement in statements if statement]
    if not first or takes_statements_together(cursor.db):
        cursor.execute("; ".join([*first, last]), parameters)
        counts = [cursor.rowcount]
        while len(counts) <= len(first):
            cursor.nextset()
            counts.append(cursor.rowcount)
        return counts
    counts = []
    for statement in first:
        cursor.execute(statement)
        counts.append(cursor.rowcount)
        if cursor.description:
            counts[-1] = len(cursor.fetchall())
    cursor.execute(last, parameters)
    return [*counts, cursor.rowcount]


def takes_statements_together(connection: Any) -> bool:
    """Tell whether the driver takes several statements at once, and returns each result.

    They are one transaction then, if none is open.
    """
    is_psycopg_3 = connection.vendor == "postgresql" and connection.Database.__name__ == "psycopg"
    return is_psycopg_3 and not connection.settings_dict["OPTIONS"].get("server_side_binding")


def update(row: Model, columns: dict[str, Any], *, where: Where, using: str) -> bool:
    """Update columns of the row if it is as ``where`` says in the database: else ``False``.

    ``where`` has the values that a column may have, or ``None`` for null.
    """
    connection = connections[using]
    names = tuple(columns)
    values = [
        column.prepared(value, connection)
        for column, value in zip(_columns(type(row), names), columns.values(), strict=True)
    ]
    wanted, compared = _conditions(type(row), where, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            _update_statement(type(row), using, names, wanted), [*values, row.pk, *compared]
        )
        return bool(cursor.rowcount)


def lock_and_refresh(
    row: Model, *, names: tuple[str, ...], using: str, where: Where = NOTHING
) -> bool:
    """Lock the row until the transaction ends, and read these columns as they are now.

    Return ``False`` if there is no such row any more, or it is not as ``where`` says.
    """
    connection = connections[using]
    wanted, compared = _conditions(type(row), where, connection)
    with connection.cursor() as cursor:
        # SQLite locks by writing, and a transaction that reads first cannot wait for its turn.
        if not connection.features.has_select_for_update:
            cursor.execute(_touch_statement(type(row), using), [row.pk])
        cursor.execute(_select_statement(type(row), using, names, wanted), [row.pk, *compared])
        found = cursor.fetchone()
    if found is None:
        return False
    for column, value in zip(_columns(type(row), names), found, strict=True):
        setattr(row, column.attname, column.converted(value, connection))
    return True


class _Column:
    """A column of a model, and how its values go to the database and come back."""

    def __init__(self, field: Any) -> None:
        self.name, self.attname, self._field = field.column, field.attname, field
        self._is_text = type(field) is CharField

    def prepared(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the value as the ORM would save it."""
        if self._is_text and type(value) is str:
            return value
        return self._field.get_db_prep_save(value, connection)

    def converted(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Return the value as the ORM would load it."""
        if self._is_text:
            return value
        expression = Value(None, output_field=self._field)
        of_vendor = connection.ops.get_db_converters(expression)
        for convert in [*of_vendor, *self._field.get_db_converters(connection)]:
            value = convert(value, expression, connection)
        return value


@lru_cache
def _written_columns(model: type[Model]) -> list[_Column]:
    fields = model._meta.concrete_fields
    return [_Column(f) for f in fields if not f.primary_key and not f.generated]


@lru_cache
def _columns(model: type[Model], names: tuple[str, ...]) -> list[_Column]:
    return [_Column(model._meta.get_field(name)) for name in names]


def _empty(value: Any) -> str:
    return "NULL" if value is None else "''" if value == "" else ""


@lru_cache
def _insert_statement(
    model: type[Model], using: str, values: tuple[str, ...], *, returns_key: bool
) -> str:
    quote = connections[using].ops.quote_name
    statement = (
        f"INSERT INTO {quote(model._meta.db_table)} ({columns_of(model, using)})"  # noqa: S608
        f" VALUES ({', '.join(values)})"
    )
    if not returns_key:
        return statement
    return f"{statement} RETURNING {quote(_key_column(model))}"


@lru_cache
def _update_statement(
    model: type[Model], using: str, names: tuple[str, ...], wanted: Wanted
) -> str:
    quote = connections[using].ops.quote_name
    assignments = [f"{quote(column.name)} = %s" for column in _columns(model, names)]
    return (
        f"UPDATE {quote(model._meta.db_table)} SET {', '.join(assignments)}"  # noqa: S608
        f" WHERE {_where_sql(model, using, wanted)}"
    )


@lru_cache
def _select_statement(
    model: type[Model], using: str, names: tuple[str, ...], wanted: Wanted
) -> str:
    connection = connections[using]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(column.name) for column in _columns(model, names))
    lock = connection.ops.for_update_sql() if connection.features.has_select_for_update else ""
    where = _where_sql(model, using, wanted)
    return f"SELECT {columns} FROM {quote(model._meta.db_table)} WHERE {where} {lock}"  # noqa: S608


@lru_cache
def _touch_statement(model: type[Model], using: str) -> str:
    quote = connections[using].ops.quote_name
    key = quote(_key_column(model))
    table = quote(model._meta.db_table)
    return f"UPDATE {table} SET {key} = {key} WHERE {_key_sql(model, using)}"  # noqa: S608


def _conditions(
    model: type[Model], where: Where, connection: BaseDatabaseWrapper
) -> tuple[Wanted, list[Any]]:
    wanted = tuple((name, len(values or ())) for name, values in where.items())
    compared = [
        column.prepared(str(value) if isinstance(value, str) else value, connection)
        for column, values in zip(_columns(model, tuple(where)), where.values(), strict=True)
        for value in values or ()
    ]
    return wanted, compared


def _where_sql(model: type[Model], using: str, wanted: Wanted) -> str:
    quote = connections[using].ops.quote_name
    conditions = [
        f"{quote(name)} IN ({', '.join(['%s'] * values)})" if values else f"{quote(name)} IS NULL"
        for name, values in wanted
    ]
    return " AND ".join([_key_sql(model, using), *conditions])


def _key_sql(model: type[Model], using: str) -> str:
    return f"{connections[using].ops.quote_name(_key_column(model))} = %s"


def _key_column(model: type[Model]) -> str:
    return str(model._meta.pk.column)
