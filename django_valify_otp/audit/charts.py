"""Work out where a chart's lines and columns are; templates draw it as SVG.

So a page needs neither scripts nor inline styles.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

from django.utils.formats import number_format
from django.utils.translation import get_language_bidi

WIDTH, HEIGHT = 480, 220
TOP, BOTTOM, RIGHT = 14, 188, 472
# Of the largest font: that of narrow screens.
CHARACTER_WIDTH = 11
# Room for half of the first label below.
NARROWEST_SCALE = 44
LABELS_BELOW = 5
# Beyond, gaps between columns would be thinner than a pixel.
COLUMNS_WITH_GAPS = 60
# So many times the median, a value is left out of the scale.
TOWERING = 3
TOPS = (1, 2, 4, 6, 8, 10)
# The hatching by which statuses can be told apart without their colors.
PATTERNS = {
    "sent": "",
    "rejected": "M-1 7L7 -1",
    "failed": "M-1 -1L7 7",
    "unknown": "M3 1v4M1 3h4",
    "blocked": "M0 3h6",
    "pending": "M3 0v6",
    "queued": "M3 0v6M0 3h6",
}
# The same for lines.
DASHES = {"verified": "none", "median": "none", "p95": "7 5"}


class Columns(NamedTuple):
    """The parts of all columns that stand for one status."""

    name: str
    hatching: str
    path: str


class Line(NamedTuple):
    """A line, also as a legend shows it."""

    name: str
    dashes: str
    path: str = "M2 8H30"


class Marker(NamedTuple):
    """A triangle at the top, where a line leaves the drawing."""

    name: str
    path: str


class Tick(NamedTuple):
    """A line of the grid and the number beside it."""

    y: str
    text_y: str
    text: str


class Label(NamedTuple):
    """A text below the chart."""

    x: str
    text: str


@dataclass(frozen=True)
class Plot:
    """Where in the drawing a value is."""

    left: float
    count: int
    top: float

    @property
    def step(self) -> float:
        """Return the width of a column and its gap."""
        return (RIGHT - self.left) / self.count

    def x(self, number: float) -> float:
        """Return how far from the left the column of this number begins."""
        return self.left + self.step * number

    def y(self, value: float) -> float:
        """Return how far from above a value is."""
        return BOTTOM - (BOTTOM - TOP) * value / self.top

    def marker(self, number: int) -> str:
        """Return a triangle that points out of the drawing."""
        return f"M{self.x(number + 0.5) - 5:.1f} {TOP}h10l-5 -9z"

    def column(self, number: int, base: float, value: float) -> str:
        """Return the outline of a part of a column."""
        gap = self.step / 10 if self.count <= COLUMNS_WITH_GAPS else 0
        left, width = self.x(number) + gap, self.step - 2 * gap
        low, high = self.y(base), self.y(base + value)
        return f"M{left:.1f} {low:.1f}V{high:.1f}h{width:.2f}V{low:.1f}z"

    def line(self, values: Sequence[float | None]) -> str:
        """Return the path through the values; a round cap makes a dot of one that stands alone."""
        path, is_drawing = "", False
        for number, value in enumerate(values):
            if value is not None:
                point = f"{self.x(number + 0.5):.1f} {self.y(min(value, self.top)):.1f}"
                path += f"L{point}" if is_drawing else f"M{point}h0"
            is_drawing = value is not None
        return path


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart over time; ``title`` and ``description`` are for those who cannot see it."""

    name: str
    title: Any
    description: Any
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    unit: str = ""
    largest: float = 0
    width = WIDTH
    height = HEIGHT
    right = RIGHT
    below = BOTTOM + 20

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to show."""
        return all(value is None for values in self.series.values() for value in values)

    @property
    def top(self) -> float:
        """Return where the scale ends."""
        return self.largest or round_up(max(self.heights(), default=0))

    @property
    def left(self) -> int:
        """Return where the scale has room for its numbers."""
        return max(NARROWEST_SCALE, *(8 + CHARACTER_WIDTH * len(text) for text in self._texts()))

    @property
    def text_right(self) -> int:
        """Return where the numbers of the scale end."""
        return self.left - 6

    @cached_property
    def plot(self) -> Plot:
        """Return where values are."""
        return Plot(self.left, len(self.labels), self.top)

    @property
    def direction(self) -> str:
        """Return the direction of the labels; time runs to the right in every language."""
        return "rtl" if get_language_bidi() else "ltr"

    def ticks(self) -> Iterator[Tick]:
        """Return the lines of the grid."""
        for text, value in self._texts().items():
            y = self.plot.y(value)
            yield Tick(f"{y:.1f}", f"{y + 4:.1f}", text)

    def labels_below(self) -> Iterator[Label]:
        """Return as many of the labels as there is room for."""
        step = math.ceil(len(self.labels) / LABELS_BELOW)
        for number in range(0, len(self.labels), step):
            yield Label(f"{self.plot.x(number + 0.5):.1f}", self.labels[number])

    def heights(self) -> Iterator[float]:
        """Return what the scale must have room for."""
        return (value for values in self.series.values() for value in _known(values))

    def columns(self) -> Iterator[Columns]:
        """Return the columns, if the chart has any."""
        return iter(())

    def lines(self) -> Iterator[Line]:
        """Return the lines, if the chart has any."""
        return iter(())

    def markers(self) -> Iterator[Marker]:
        """Return the values that are off the scale, if the chart has any."""
        return iter(())

    def _texts(self) -> dict[str, float]:
        values = (0, self.top / 2, self.top)
        return {localized(value) + self.unit: value for value in values}


class ColumnChart(Chart):
    """Columns that stand on one another."""

    def heights(self) -> Iterator[float]:
        """Return the heights of whole columns; below two, half an attempt would be on the scale."""
        columns = zip(*self.series.values(), strict=True)
        return (max(2, sum(filter(None, values))) for values in columns)

    def columns(self) -> Iterator[Columns]:
        """Return the columns, from below."""
        bases = [0.0] * len(self.labels)
        for name, values in self.series.items():
            path = ""
            for number, value in enumerate(values):
                if value:
                    path += self.plot.column(number, bases[number], value)
                    bases[number] += value
            yield Columns(name, PATTERNS[name], path)


@dataclass(frozen=True, kw_only=True)
class LineChart(Chart):
    """Lines, broken where there is nothing to show.

    Where it is ``is_robust``, a few values that tower above the others do not flatten them: the
    scale ends below, and a triangle marks each.
    """

    is_robust: bool = False

    def heights(self) -> Iterator[float]:
        """Return what the scale must have room for."""
        found = [*super().heights()]
        if not self.is_robust:
            return iter(found)
        # The highest of each time, as a lower line would make the others outliers.
        columns = zip(*self.series.values(), strict=True)
        highest = [max(values) for column in columns if (values := [*_known(column)])]
        usual = TOWERING * median(highest) if highest else 0
        return iter([min(value, usual) for value in found])

    @property
    def is_cut(self) -> bool:
        """Tell whether there are values that are off the scale."""
        return any(self.markers())

    def markers(self) -> Iterator[Marker]:
        """Return the values that are off the scale."""
        for name, values in self.series.items():
            for number, value in enumerate(values):
                if value is not None and value > self.top:
                    yield Marker(name, self.plot.marker(number))

    def lines(self) -> Iterator[Line]:
        """Return the lines."""
        for name, values in self.series.items():
            yield Line(name, DASHES[name], self.plot.line(values))


def _known(values: Iterable[float | None]) -> Iterator[float]:
    return (value for value in values if value is not None)


def round_up(value: float) -> float:
    """Return the end of a scale with a round middle."""
    if value <= 0:
        return 2
    power = 10.0 ** math.floor(math.log10(value))
    return round(next(top for top in TOPS if top * power >= value * (1 - 1e-9)) * power, 9)


def localized(value: float) -> str:
    """Return a number as the reader's language writes it."""
    is_whole = float(value).is_integer()
    return number_format(int(value) if is_whole else value, use_l10n=True, force_grouping=True)
