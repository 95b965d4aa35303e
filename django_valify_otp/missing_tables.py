"""Recognize a database in which the tables of this app are missing, or are those of before."""

from django.db import Error, ProgrammingError

ADVICE = "A table or a column of django_valify_otp is missing: run `manage.py migrate`."
POSTGRESQL_STATES = {"42P01", "42703"}
MYSQL_CODES = {1054, 1146}
SQLITE_TEXTS = ("no such table", "no such column", "has no column named")


class TablesMissing(ProgrammingError):
    """The database has not been migrated."""


def lacks_tables(error: Error) -> bool:
    """Tell whether this is why the database refused."""
    if isinstance(error, TablesMissing):
        return True
    state = getattr(error.__cause__, "sqlstate", None) or getattr(error.__cause__, "pgcode", None)
    if state in POSTGRESQL_STATES or (error.args and error.args[0] in MYSQL_CODES):
        return True
    is_of_sqlite = hasattr(error.__cause__, "sqlite_errorcode")
    return is_of_sqlite and any(text in str(error) for text in SQLITE_TEXTS)
