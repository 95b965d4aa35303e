"""Histograms of durations, which can be added up over days; percentiles cannot."""

import math
from collections import Counter
from typing import Any

from django.db.models import Expression, F, FloatField, Func, Value
from django.db.models.functions import Floor, Greatest, Ln

# Bin n has the durations from RATIO ** n microseconds to RATIO ** (n + 1), that one left out.
# What is said of a duration is right to within 5 percent.
RATIO = 1.1
SHORTEST_MICROSECONDS = 1000.0


class Microseconds(Func):
    """The microseconds from 1970 to a moment, as a number."""

    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **_context: Any) -> Any:
        """Compile for SQLite, whose own functions round to milliseconds."""
        # A text, with a fraction after its nineteenth character unless it is zero.
        template = (
            "(strftime('%%%%s', substr(%(expressions)s, 1, 19)) * 1000000"
            " + ('0' || substr(%(expressions)s, 20)) * 1000000)"
        )
        return self.as_sql(compiler, connection, template=template)

    def as_mysql(self, compiler: Any, connection: Any) -> Any:
        """Compile for MariaDB and MySQL, whose ``UNIX_TIMESTAMP`` would ask for the time zone."""
        template = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', %(expressions)s)"
        return self.as_sql(compiler, connection, template=template)

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        """Compile for PostgreSQL, whose numbers of any length are slow."""
        template = "(EXTRACT(EPOCH FROM %(expressions)s)::double precision * 1000000)"
        return self.as_sql(compiler, connection, template=template)


def bin_between(start: str, end: str) -> Expression:
    """Return an expression for the bin of the duration between two columns."""
    microseconds = Microseconds(F(end)) - Microseconds(F(start))
    in_bins = Greatest(microseconds, Value(SHORTEST_MICROSECONDS))
    return Floor(Ln(in_bins) / Value(math.log(RATIO)))


def percentile_seconds(bins: Counter[str], percent: int) -> float | None:
    """Return about the seconds that ``percent`` of the durations did not exceed.

    ``bins`` counts the durations by the number of their bin; of nothing, ``None`` is returned.
    """
    rank = math.ceil(bins.total() * percent / 100)
    for number in sorted(bins, key=int):
        rank -= bins[number]
        if rank <= 0:
            return _middle_seconds(int(number))
    return None


def _middle_seconds(number: int) -> float:
    return float(RATIO ** (number + 0.5)) / 1_000_000
