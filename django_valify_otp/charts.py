"""The summary's charts: SVG, drawn here, so that a page needs neither scripts nor inline styles."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language_bidi

WIDTH, HEIGHT = 480, 220
TOP, BOTTOM, RIGHT = 14, 188, 472
CHARACTER_WIDTH = 8
# Room for half of the first label below.
NARROWEST_SCALE = 44
LABELS_BELOW = 5
# Beyond, gaps between columns would be thinner than a pixel.
COLUMNS_WITH_GAPS = 60
TOPS = (1, 2, 4, 6, 8, 10)
# What tells the areas apart without their colours.
PATTERNS = {
    "sent": "",
    "rejected": "M-1 7L7 -1",
    "failed": "M-1 -1L7 7",
    "unknown": "M3 1v4M1 3h4",
    "blocked": "M0 3h6",
    "pending": "M3 0v6",
    "queued": "M3 0v6M0 3h6",
}
DASHES = ("none", "7 5")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What a chart over time shows; ``title`` and ``description`` are for who cannot see it."""

    name: str
    title: Any
    description: Any
    labels: Sequence[str]
    series: Mapping[str, Sequence[float | None]]
    unit: str = ""
    largest: float = 0

    @property
    def top(self) -> float:
        """Where the scale ends."""
        return self.largest or round_up(max(self.heights(), default=0))

    def heights(self) -> Iterator[float]:
        """What the scale must have room for."""
        return (value for values in self.series.values() for value in values if value is not None)


class ColumnChart(Chart):
    """Columns that stand on one another."""

    def heights(self) -> Iterator[float]:
        """The whole columns; of fewer than two attempts the scale's middle would be half a one."""
        columns = zip(*self.series.values(), strict=True)
        return (max(2, sum(filter(None, values))) for values in columns)

    def draw(self) -> SafeString:
        """The chart as SVG."""
        return _draw(self, _patterns(self.series), self._columns)

    def _columns(self, plot: "Plot") -> SafeString:
        bases = [0.0] * len(self.labels)
        paths = []
        for name, values in self.series.items():
            path = "".join(
                plot.column(n, base, value or 0)
                for n, (base, value) in enumerate(zip(bases, values, strict=True))
                if value
            )
            paths.append((name, path))
            bases = [base + (value or 0) for base, value in zip(bases, values, strict=True)]
        return format_html_join("", '<path fill="url(#valify-{})" d="{}"/>', paths)


class LineChart(Chart):
    """Lines, broken where there is nothing to show."""

    def draw(self) -> SafeString:
        """The chart as SVG."""
        return _draw(self, mark_safe(""), self._lines)

    def _lines(self, plot: "Plot") -> SafeString:
        lines = zip(self.series.items(), DASHES, strict=False)
        return format_html_join(
            "",
            '<path class="valify-line valify-{}" stroke-dasharray="{}" d="{}"/>',
            ((name, dashes, plot.line(values)) for (name, values), dashes in lines),
        )


@dataclass(frozen=True)
class Plot:
    """Where in the drawing a value is."""

    left: float
    count: int
    top: float

    @property
    def step(self) -> float:
        """The width of a column and its gap."""
        return (RIGHT - self.left) / self.count

    def x(self, number: float) -> float:
        """From the left; in the middle of a column with half a number more."""
        return self.left + self.step * number

    def y(self, value: float) -> float:
        """From above."""
        return BOTTOM - (BOTTOM - TOP) * value / self.top

    def column(self, number: int, base: float, value: float) -> str:
        """The outline of a part of a column."""
        gap = self.step / 10 if self.count <= COLUMNS_WITH_GAPS else 0
        left, width = self.x(number) + gap, self.step - 2 * gap
        low, high = self.y(base), self.y(base + value)
        return f"M{left:.1f} {low:.1f}V{high:.1f}h{width:.2f}V{low:.1f}z"

    def line(self, values: Sequence[float | None]) -> str:
        """The way through the values; one that stands alone is a dot, by the line's round cap."""
        path, is_drawing = "", False
        for number, value in enumerate(values):
            if value is not None:
                point = f"{self.x(number + 0.5):.1f} {self.y(value):.1f}"
                path += f"L{point}" if is_drawing else f"M{point}h0"
            is_drawing = value is not None
        return path


def bar(part: float) -> SafeString:
    """A bar from 0 to 1, to stand beside its number."""
    return format_html(
        '<svg class="valify-bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"'
        ' focusable="false"><rect class="valify-groove" width="100" height="10"/>'
        '<rect class="valify-filled" width="{}" height="10"/></svg>',
        f"{100 * part:.1f}",
    )


def swatch(status: str) -> SafeString:
    """The pattern of a status, for a legend; a chart of the same page defines it."""
    return format_html(
        '<svg class="valify-swatch" viewBox="0 0 16 16" aria-hidden="true" focusable="false">'
        '<rect width="16" height="16" fill="url(#valify-{})"/></svg>',
        status,
    )


def stroke(name: str, number: int) -> SafeString:
    """A line of a chart, for a legend."""
    return format_html(
        '<svg class="valify-swatch" viewBox="0 0 32 16" aria-hidden="true" focusable="false">'
        '<path class="valify-line valify-{}" stroke-dasharray="{}" d="M2 8H30"/></svg>',
        name,
        DASHES[number],
    )


def round_up(value: float) -> float:
    """The end of a scale with a round middle."""
    if value <= 0:
        return 2
    power = 10.0 ** math.floor(math.log10(value))
    return round(next(top for top in TOPS if top * power >= value * (1 - 1e-9)) * power, 9)


def localised(value: float) -> str:
    """A number as the reader's language writes it."""
    is_whole = float(value).is_integer()
    return number_format(int(value) if is_whole else value, use_l10n=True, force_grouping=True)


def _draw(chart: Chart, defs: SafeString, content: Callable[[Plot], SafeString]) -> SafeString:
    ticks = [(value, localised(value) + chart.unit) for value in (0, chart.top / 2, chart.top)]
    left = max(NARROWEST_SCALE, *(8 + CHARACTER_WIDTH * len(label) for _value, label in ticks))
    plot = Plot(left, len(chart.labels), chart.top)
    # Time runs to the right in every language.
    return format_html(
        '<svg class="valify-chart" role="img" viewBox="0 0 {width} {height}" direction="ltr"'
        ' aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-desc">{description}</desc>{defs}{scale}{content}{labels}</svg>',
        width=WIDTH,
        height=HEIGHT,
        name=f"valify-{chart.name}",
        title=chart.title,
        description=chart.description,
        defs=defs,
        scale=_scale(plot, ticks),
        content=content(plot),
        labels=_labels_below(plot, chart.labels),
    )


def _scale(plot: Plot, ticks: Sequence[tuple[float, str]]) -> SafeString:
    return format_html_join(
        "",
        '<path class="valify-grid" d="M{} {}H{}"/><text x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (plot.left, f"{y:.1f}", RIGHT, plot.left - 6, f"{y + 4:.1f}", label)
            for value, label in ticks
            for y in [plot.y(value)]
        ),
    )


def _labels_below(plot: Plot, labels: Sequence[str]) -> SafeString:
    step = math.ceil(plot.count / LABELS_BELOW)
    direction = "rtl" if get_language_bidi() else "ltr"
    return format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle" direction="{}">{}</text>',
        (
            (f"{plot.x(n + 0.5):.1f}", BOTTOM + 20, direction, labels[n])
            for n in range(0, plot.count, step)
        ),
    )


def _patterns(names: Mapping[str, Any]) -> SafeString:
    patterns = format_html_join(
        "",
        '<pattern id="valify-{0}" width="6" height="6" patternUnits="userSpaceOnUse">'
        '<rect class="valify-fill-{0}" width="6" height="6"/><path class="valify-hatch" d="{1}"/>'
        "</pattern>",
        ((name, PATTERNS[name]) for name in names),
    )
    return format_html("<defs>{}</defs>", patterns)
