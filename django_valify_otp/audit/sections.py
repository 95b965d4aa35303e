"""The parts of which the summary's page is made, for its templates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.translation import pgettext, pgettext_lazy

from django_valify_otp.audit.bidi import isolated
from django_valify_otp.audit.charts import Chart, Line, localized

ROWS_SHOWN = 12
NO_FIGURE = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


class LegendItem(NamedTuple):
    """A line of a legend: of a chart's line, or of a status with its number and share."""

    label: Any
    line: Line | None = None
    pattern: str = ""
    url: str = ""
    number: str = ""
    share: str = ""


class Bar(NamedTuple):
    """A bar that is full at its largest value."""

    value: float
    largest: float = 1


class TableRow(NamedTuple):
    """A line of a table: what it is about, its figures, and perhaps a bar and a link."""

    label: Any
    cells: Sequence[str]
    bar: Bar | None = None
    url: str = ""


class Headline(NamedTuple):
    """A figure of the period beside that of the period before, and the difference."""

    label: Any
    value: str
    before: str
    change: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: a chart with its figures in a table, or a table with bars.

    ``folded`` are rows that are shown when somebody asks for them.
    """

    title: Any
    head: Sequence[Any]
    rows: Sequence[TableRow]
    folded: Sequence[TableRow] = field(default=())
    folded_label: Any = ""
    note: Any = ""
    warning: str = ""
    chart: Chart | None = None
    legend: Sequence[LegendItem] = field(default=())


def chart_section(
    chart: Chart,
    *,
    note: Any,
    head: Sequence[Any],
    rows: Sequence[TableRow],
    legend: Sequence[LegendItem] = (),
    warning: str = "",
) -> Section:
    """Return a chart and its figures; nothing but a title if there is nothing to show."""
    head = [pgettext_lazy("OTP", "Time"), *head]
    if chart.is_empty:
        return Section(title=chart.title, head=head, rows=[])
    return Section(
        title=chart.title,
        note=note,
        warning=warning,
        chart=chart,
        legend=legend,
        head=head,
        rows=rows,
    )


def rows_by_size(
    counts: Counter[str], labels: Mapping[str, Any], urls: Mapping[str, str]
) -> list[TableRow]:
    """Return the counts beside bars, the largest first, and the smallest of many as one."""
    pairs = largest_first(counts)
    rows = bar_rows(dict(pairs[:ROWS_SHOWN]), labels, urls)
    others = sum(count for _name, count in pairs[ROWS_SHOWN:])
    if others:
        rows.append(TableRow(pgettext_lazy("OTP", "others"), [localized(others)]))
    return rows


def bar_rows(
    counts: Mapping[str, int], labels: Mapping[str, Any], urls: Mapping[str, str]
) -> list[TableRow]:
    """Return the counts beside bars, in their own order; of nothing, no rows."""
    largest = max(counts.values(), default=0)
    if not largest:
        return []
    return [
        TableRow(
            labels.get(name, name), [localized(count)], Bar(count, largest), urls.get(name, "")
        )
        for name, count in counts.items()
    ]


def largest_first(counts: Counter[str]) -> list[tuple[str, int]]:
    """Return the largest first; equal ones by name, whatever a database answers first."""
    return sorted(counts.items(), key=_by_size_and_name)


def _by_size_and_name(pair: tuple[str, int]) -> tuple[int, str]:
    name, count = pair
    return -count, name


def relative_change(value: float | None, before: float | None) -> str:
    """Return by what part of itself a figure has changed, in percent."""
    if value is None or not before:
        return NO_FIGURE
    return isolated(f"{_signed(round(100 * (value - before) / before))}%")


def change_in_points(value: float | None, before: float | None) -> str:
    """Return by how many percentage points a share has changed."""
    if value is None or before is None:
        return NO_FIGURE
    points = isolated(_signed(round(100 * (value - before), 1)))
    return pgettext("OTP", "%(points)s points") % {"points": points}


def _signed(number: float) -> str:
    sign = "+" if number > 0 else MINUS if number < 0 else "\N{PLUS-MINUS SIGN}"
    return f"{sign}{localized(abs(number))}"


def percentage(part: float | None) -> str:
    """Return a part of 1 in percent."""
    return NO_FIGURE if part is None else f"{localized(round(100 * part, 1))}%"


def about(seconds: float | None) -> str:
    """Return seconds with as many digits as are right."""
    return NO_FIGURE if seconds is None else localized(float(f"{seconds:.2g}"))
