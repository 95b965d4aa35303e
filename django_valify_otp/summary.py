"""The summary's page: what it says, from above, in charts and in tables."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.formats import date_format, get_format
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_valify_otp.charts import (
    PATTERNS,
    ColumnChart,
    LineChart,
    bar,
    localised,
    stroke,
    swatch,
)
from django_valify_otp.models import OtpSend
from django_valify_otp.totals import Bucket, Figures, Summary, local, share

ROWS_SHOWN = 12
STATUSES = dict(OtpSend.Status.choices)
TRIALS = {"0": "0", "1": "1", "2": "2", "more": _("3 or more"), "none": _("none")}


class Key(NamedTuple):
    """A line of a legend."""

    swatch: SafeString
    label: Any
    url: str = ""
    number: str = ""
    share: str = ""


class Row(NamedTuple):
    """A line of a table: what it is about, its figures, and perhaps a bar and a link."""

    label: Any
    cells: Sequence[str]
    bar: SafeString | str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: a drawing with its figures in a table, or a table with bars."""

    title: Any
    head: Sequence[Any]
    rows: Sequence[Row]
    note: Any = ""
    drawing: SafeString | str = ""
    legend: Sequence[Key] = ()


def sections(summary: Summary) -> list[Section]:
    """The summary's page, from above."""
    return [
        _attempts(summary),
        _verified(summary),
        _prefixes(summary.total),
        _times(summary),
        _codes(summary),
        _error_codes(summary.total),
        _blocks(summary.total),
        _trials(summary.total),
    ]


def percentage(part: float | None) -> str:
    """A part of 1 in percent."""
    return "–" if part is None else f"{localised(round(100 * part, 1))}%"  # noqa: RUF001


def _attempts(summary: Summary) -> Section:
    statuses = summary.total.statuses
    names = [name for name in PATTERNS if statuses[name]]
    numbers = {"attempts": localised(statuses.total()), "sent": localised(statuses["sent"])}
    chart = ColumnChart(
        name="attempts",
        title=_("Attempts by status"),
        description=_("Attempts: %(attempts)s. Sent: %(sent)s.") % numbers,
        labels=_labels(summary),
        series={name: [part.statuses[name] for part in summary.figures] for name in names},
    )
    return _over_time(
        summary,
        chart,
        note=chart.description,
        head=[STATUSES[name] for name in names],
        cells=lambda part: [localised(part.statuses[name]) for name in names],
        legend=_statuses(summary, names),
    )


def _statuses(summary: Summary, names: Sequence[str]) -> list[Key]:
    statuses, link = summary.total.statuses, _links(summary, "status")
    return [
        Key(
            swatch(name),
            STATUSES[name],
            link(name),
            localised(statuses[name]),
            percentage(share(statuses[name], statuses.total())),
        )
        for name in names
    ]


def _verified(summary: Summary) -> Section:
    shares = [part.verified_share for part in summary.figures]
    numbers = dict(zip(("sent", "verified", "share"), _shares(summary.total), strict=True))
    chart = LineChart(
        name="verified",
        title=_("Share of the codes sent that were verified"),
        description=_("Sent: %(sent)s. Verified: %(verified)s. Share: %(share)s.") % numbers,
        labels=_labels(summary),
        series={"verified": [None if part is None else 100 * part for part in shares]},
        unit="%",
        largest=100,
    )
    return _over_time(
        summary,
        chart,
        note=_(
            "When somebody has codes sent to numbers that nobody reads, as in SMS pumping, this"
            " share is what falls first. If it falls, look for the prefix that it falls with."
        ),
        head=[_("Sent"), _("Verified"), _("Share")],
        cells=_shares,
    )


def _shares(figures: Figures) -> list[str]:
    sent, verified = figures.sent.total(), figures.verified.total()
    return [localised(sent), localised(verified), percentage(figures.verified_share)]


def _prefixes(total: Figures) -> Section:
    rows = []
    for prefix, sent in _largest_first(total.sent):
        verified = total.verified[prefix]
        part = verified / sent
        cells = [localised(sent), localised(verified), percentage(part)]
        rows.append(Row(prefix or _("anonymised"), cells, bar(part)))
    return Section(
        title=_("Share verified by prefix"),
        head=[_("prefix"), _("Sent"), _("Verified"), _("Share")],
        rows=rows,
    )


def _times(summary: Summary) -> Section:
    names = {"median": _("median"), "p95": _("95th percentile")}
    chart = LineChart(
        name="times",
        title=_("Time that calls took, in seconds"),
        description=_(
            "Until Valify answered, or it was clear that it would not. Half of the calls took no"
            " longer than the median, and 95 of 100 no longer than the 95th percentile."
        ),
        labels=_labels(summary),
        series={
            "median": [part.median_seconds for part in summary.figures],
            "p95": [part.p95_seconds for part in summary.figures],
        },
    )
    return _over_time(
        summary,
        chart,
        note=chart.description,
        head=[*names.values()],
        cells=_seconds,
        legend=[Key(stroke(name, n), names[name]) for n, name in enumerate(names)],
    )


def _codes(summary: Summary) -> Section:
    return Section(
        title=_("Why codes were not sent"),
        head=[_("code"), _("Attempts")],
        rows=_bars(summary.total.codes, dict(OtpSend.Code.choices), link=_links(summary, "code")),
    )


def _error_codes(total: Figures) -> Section:
    return Section(
        title=_("Error codes that Valify gave"),
        head=[_("Valify's error code"), _("Attempts")],
        rows=_bars(total.error_codes, {"": _("others")}),
    )


def _blocks(total: Figures) -> Section:
    return Section(
        title=_("Limits and blocks that refused"),
        head=[_("blocked by"), _("Attempts")],
        rows=_bars(total.blocked_by, {}),
    )


def _trials(total: Figures) -> Section:
    counts = Counter({key: total.trials[key] for key in TRIALS})
    return Section(
        title=_("Uses left on the access token"),
        note=_(
            "After each code that was sent: how often the token of its call could still be used."
            " It is not a balance of messages."
        ),
        head=[_("Uses left"), _("Sent")],
        rows=_bars(counts, TRIALS, is_scale=True),
    )


def _over_time(
    summary: Summary,
    chart: ColumnChart | LineChart,
    *,
    note: Any,
    head: Sequence[Any],
    cells: Callable[[Figures], list[str]],
    legend: Sequence[Key] = (),
) -> Section:
    """A chart and its figures; empty if there is nothing to show."""
    head = [_("Time"), *head]
    if all(value is None for values in chart.series.values() for value in values):
        return Section(title=chart.title, head=head, rows=[])
    return Section(
        title=chart.title,
        note=note,
        drawing=chart.draw(),
        legend=legend,
        head=head,
        rows=_rows(summary, cells),
    )


def _seconds(figures: Figures) -> list[str]:
    times = (figures.median_seconds, figures.p95_seconds)
    return ["–" if seconds is None else localised(seconds) for seconds in times]  # noqa: RUF001


def _rows(summary: Summary, cells: Callable[[Figures], list[str]]) -> list[Row]:
    """The newest first, without the time in which nothing happened."""
    parts = zip(summary.buckets, summary.figures, strict=True)
    return [Row(_long(summary, b), cells(part)) for b, part in parts if part.statuses][::-1]


def _bars(
    counts: Counter[str],
    labels: Mapping[str, Any],
    *,
    link: Callable[[str], str] = lambda _name: "",
    is_scale: bool = False,
) -> list[Row]:
    """The counts beside bars: in their own order if they are a scale, else the largest first."""
    if not counts.total():
        return []
    largest = max(counts.values())
    pairs = [*counts.items()] if is_scale else _largest_first(counts)
    rows = [
        Row(labels.get(name, name), [localised(count)], bar(count / largest), link(name))
        for name, count in pairs[:ROWS_SHOWN]
    ]
    others = sum(count for _name, count in pairs[ROWS_SHOWN:])
    return [*rows, Row(_("others"), [localised(others)])] if others else rows


def _largest_first(counts: Counter[str]) -> list[tuple[str, int]]:
    """With equal ones in the order of their names, whatever a database answers first."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _links(summary: Summary, field: str) -> Callable[[str], str]:
    """Where the list shows what a figure has counted."""
    url = reverse("admin:django_valify_otp_otpsend_changelist")
    since = summary.buckets[0].start.isoformat(" ")
    return lambda value: f"{url}?{urlencode({f'{field}__exact': value, 'created_at__gte': since})}"


def _local(bucket: Bucket) -> Any:
    return local(bucket.start)


def _labels(summary: Summary) -> list[str]:
    return [_short(summary, bucket) for bucket in summary.buckets]


def _short(summary: Summary, bucket: Bucket) -> str:
    if summary.period.hours:
        return date_format(_local(bucket), "H:i")
    # The language's order of day and month, but with the months' short names.
    return date_format(bucket.day, get_format("MONTH_DAY_FORMAT").replace("F", "M"))


def _long(summary: Summary, bucket: Bucket) -> str:
    if summary.period.hours:
        return date_format(_local(bucket), "SHORT_DATETIME_FORMAT")
    return date_format(bucket.day, "DATE_FORMAT")
