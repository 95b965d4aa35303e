"""What the summary's page says, from above."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format, get_format
from django.utils.http import urlencode
from django.utils.translation import pgettext, pgettext_lazy

from django_valify_otp.audit.charts import (
    DASHES,
    PATTERNS,
    ColumnChart,
    Line,
    LineChart,
    localized,
)
from django_valify_otp.audit.figures import Figures, share
from django_valify_otp.audit.periods import Bucket, Period, local
from django_valify_otp.audit.sections import (
    Bar,
    Headline,
    LegendItem,
    Section,
    TableRow,
    about,
    bar_rows,
    change_in_points,
    chart_section,
    percentage,
    relative_change,
    rows_by_size,
)
from django_valify_otp.audit.statistics import Summary
from django_valify_otp.audit.wording import name_refusal
from django_valify_otp.models import OtpSend

# Of fewer codes, the share says little.
ENOUGH_TO_JUDGE = 20
STATUSES = dict(OtpSend.Status.choices)
TRIALS = {
    "0": "0",
    "1": "1",
    "2": "2",
    "more": pgettext_lazy("OTP", "3 or more"),
    "none": pgettext_lazy("OTP", "none"),
}


def headlines(summary: Summary) -> list[Headline]:
    """Return the figures of the period that matter most, beside those of the period before."""
    now, before = summary.total, summary.before
    labels = {
        "sent": pgettext_lazy("OTP", "Sent"),
        "blocked": pgettext_lazy("OTP", "Refused by limits and blocks"),
        "rejected": pgettext_lazy("OTP", "Refused by Valify"),
        "failed": pgettext_lazy("OTP", "Failed"),
        "unknown": pgettext_lazy("OTP", "Outcome unknown"),
    }
    sent, *others = [
        _counted(label, now.statuses[status], before.statuses[status])
        for status, label in labels.items()
    ]
    verified = Headline(
        pgettext_lazy("OTP", "Share verified"),
        percentage(now.verified_share),
        percentage(before.verified_share),
        change_in_points(now.verified_share, before.verified_share),
    )
    median = Headline(
        pgettext_lazy("OTP", "Median time of a call, in seconds"),
        about(now.median_seconds),
        about(before.median_seconds),
        relative_change(now.median_seconds, before.median_seconds),
    )
    return [sent, verified, *others, median]


def _counted(label: Any, now: int, before: int) -> Headline:
    return Headline(label, localized(now), localized(before), relative_change(now, before))


def sections(summary: Summary) -> list[Section]:
    """Return the parts of the summary's page."""
    return [
        _attempts(summary),
        _verified(summary),
        _prefixes(summary),
        _times(summary),
        _codes(summary),
        _error_codes(summary.total),
        _blocks(summary),
        _trials(summary.total),
    ]


def _attempts(summary: Summary) -> Section:
    statuses = summary.total.statuses
    names = [name for name in PATTERNS if statuses[name]]
    numbers = {"attempts": localized(statuses.total()), "sent": localized(statuses["sent"])}
    parts = summary.figures.values()
    chart = ColumnChart(
        name="attempts",
        title=pgettext_lazy("OTP", "Attempts by status"),
        description=pgettext_lazy("OTP", "Attempts: %(attempts)s. Sent: %(sent)s.") % numbers,
        labels=_labels(summary),
        series={name: [part.statuses[name] for part in parts] for name in names},
    )
    return chart_section(
        chart,
        note=chart.description,
        head=[STATUSES[name] for name in names],
        rows=[
            TableRow(time, [localized(part.statuses[name]) for name in names])
            for time, part in _newest_first(summary)
        ],
        legend=_statuses(summary, names),
    )


def _statuses(summary: Summary, names: Sequence[str]) -> list[LegendItem]:
    statuses = summary.total.statuses
    return [
        LegendItem(
            STATUSES[name],
            pattern=name,
            url=_list_url(summary, status__exact=name),
            number=localized(statuses[name]),
            share=percentage(share(statuses[name], statuses.total())),
        )
        for name in names
    ]


def _verified(summary: Summary) -> Section:
    total = summary.total
    numbers = {
        "sent": localized(total.sent.total()),
        "verified": localized(total.verified.total()),
        "share": percentage(total.verified_share),
    }
    chart = LineChart(
        name="verified",
        title=pgettext_lazy("OTP", "Share of the codes sent that were verified"),
        description=pgettext_lazy(
            "OTP", "Sent: %(sent)s. Verified: %(verified)s. Share: %(share)s."
        )
        % numbers,
        labels=_labels(summary),
        series={"verified": [_percent(part.verified_share) for part in summary.figures.values()]},
        unit="%",
        largest=100,
    )
    return chart_section(
        chart,
        note=pgettext_lazy(
            "OTP",
            "When somebody has codes sent to numbers that nobody reads, as in SMS pumping, this"
            " share is what falls first. If it falls, look for the prefix that it falls with.",
        ),
        head=[
            pgettext_lazy("OTP", "Sent"),
            pgettext_lazy("OTP", "Verified"),
            pgettext_lazy("OTP", "Share"),
        ],
        rows=[TableRow(time, _shares(part)) for time, part in _newest_first(summary)],
    )


def _percent(part: float | None) -> float | None:
    return None if part is None else 100 * part


def _shares(figures: Figures) -> list[str]:
    sent, verified = figures.sent.total(), figures.verified.total()
    return [localized(sent), localized(verified), percentage(figures.verified_share)]


def _prefixes(summary: Summary) -> Section:
    """Return the prefixes, those first that should worry people."""
    total = summary.total
    rows: list[TableRow] = []
    folded: list[TableRow] = []
    for prefix in sorted(total.sent, key=lambda prefix: _by_share(total, prefix)):
        sent, verified = total.sent[prefix], total.verified[prefix]
        part = verified / sent
        cells = [localized(sent), localized(verified), percentage(part)]
        label = prefix or pgettext_lazy("OTP", "anonymised")
        url = _list_url(summary, prefix=prefix) if prefix else ""
        row = TableRow(label, cells, Bar(part), url)
        (rows if sent >= ENOUGH_TO_JUDGE else folded).append(row)
    if not rows:
        # On a small site, few are all there is.
        rows, folded = folded, []
    few = pgettext_lazy("OTP", "Too few to judge: fewer than %(number)s sent")
    return Section(
        title=pgettext_lazy("OTP", "Share verified by prefix"),
        head=[
            pgettext_lazy("OTP", "prefix"),
            pgettext_lazy("OTP", "Sent"),
            pgettext_lazy("OTP", "Verified"),
            pgettext_lazy("OTP", "Share"),
        ],
        rows=rows,
        folded=folded,
        folded_label=few % {"number": localized(ENOUGH_TO_JUDGE)},
    )


def _by_share(total: Figures, prefix: str) -> tuple[float, int, str]:
    """Sort by the lowest share; of equal ones, the largest number first."""
    sent = total.sent[prefix]
    return total.verified[prefix] / sent, -sent, prefix


def _times(summary: Summary) -> Section:
    parts = summary.figures.values()
    chart = LineChart(
        name="times",
        title=pgettext_lazy("OTP", "Time that calls took, in seconds"),
        description=pgettext_lazy(
            "OTP",
            "Until Valify answered, or it was clear that it would not. About half of the calls took"
            " no longer than the median, and about 95 of 100 no longer than the 95th percentile.",
        ),
        labels=_labels(summary),
        series={
            "median": [part.median_seconds for part in parts],
            "p95": [part.p95_seconds for part in parts],
        },
        is_robust=True,
    )
    return chart_section(
        chart,
        note=chart.description,
        warning=_cut(chart),
        head=[pgettext_lazy("OTP", "median"), pgettext_lazy("OTP", "95th percentile")],
        rows=[
            TableRow(time, [about(part.median_seconds), about(part.p95_seconds)])
            for time, part in _newest_first(summary)
        ],
        legend=_times_legend(summary.total),
    )


def _cut(chart: LineChart) -> str:
    """Return that values are off the scale, if any are."""
    if not chart.is_cut:
        return ""
    text = pgettext(
        "OTP",
        "Times above %(seconds)s seconds are off the scale. Triangles mark them, and the figures"
        " below the chart have them.",
    )
    return text % {"seconds": localized(chart.top)}


def _times_legend(total: Figures) -> list[LegendItem]:
    median, p95 = {"seconds": about(total.median_seconds)}, {"seconds": about(total.p95_seconds)}
    labels = {
        "median": pgettext_lazy("OTP", "median: about %(seconds)s") % median,
        "p95": pgettext_lazy("OTP", "95th percentile: about %(seconds)s") % p95,
    }
    return [LegendItem(labels[name], line=Line(name, DASHES[name])) for name in labels]


def _codes(summary: Summary) -> Section:
    codes = summary.total.codes
    urls = {code: _list_url(summary, code__exact=code) for code in codes}
    return Section(
        title=pgettext_lazy("OTP", "Why codes were not sent"),
        head=[pgettext_lazy("OTP", "code"), pgettext_lazy("OTP", "Attempts")],
        rows=rows_by_size(codes, dict(OtpSend.Code.choices), urls),
    )


def _error_codes(total: Figures) -> Section:
    return Section(
        title=pgettext_lazy("OTP", "Error codes that Valify gave"),
        head=[pgettext_lazy("OTP", "Valify's error code"), pgettext_lazy("OTP", "Attempts")],
        rows=rows_by_size(total.error_codes, {"": pgettext_lazy("OTP", "others")}, {}),
    )


def _blocks(summary: Summary) -> Section:
    blocked_by = summary.total.blocked_by
    labels = {name: name_refusal(name) for name in blocked_by}
    urls = {name: _list_url(summary, blocked_by=name) for name in blocked_by}
    return Section(
        title=pgettext_lazy("OTP", "Limits and blocks that refused"),
        head=[pgettext_lazy("OTP", "blocked by"), pgettext_lazy("OTP", "Attempts")],
        rows=rows_by_size(blocked_by, labels, urls),
    )


def _trials(total: Figures) -> Section:
    return Section(
        title=pgettext_lazy("OTP", "Uses left on the access token"),
        note=pgettext_lazy(
            "OTP",
            "After each code that was sent: how often the token of its call could still be used."
            " It is not a balance of messages.",
        ),
        head=[pgettext_lazy("OTP", "Uses left"), pgettext_lazy("OTP", "Sent")],
        rows=bar_rows(Counter({name: total.trials[name] for name in TRIALS}), TRIALS, {}),
    )


def _newest_first(summary: Summary) -> list[tuple[str, Figures]]:
    """Return the hours or days with their names, without those in which nothing happened."""
    found = [
        (_long_name(summary.period, bucket), figures)
        for bucket, figures in summary.figures.items()
        if figures.statuses
    ]
    return found[::-1]


def _list_url(summary: Summary, **filters: str) -> str:
    """Return where the list shows the attempts of the period with these filters."""
    url = reverse("admin:django_valify_otp_otpsend_changelist")
    since = next(iter(summary.figures)).start.isoformat(" ")
    return f"{url}?{urlencode({**filters, 'created_at__gte': since})}"


def _labels(summary: Summary) -> list[str]:
    return [_short_name(summary.period, bucket) for bucket in summary.figures]


def _short_name(period: Period, bucket: Bucket) -> str:
    if period.hours:
        return date_format(local(bucket.start), "H:i")
    # The language's order of day and month, but with the months' short names.
    return date_format(bucket.day, get_format("MONTH_DAY_FORMAT").replace("F", "M"))


def _long_name(period: Period, bucket: Bucket) -> str:
    if period.hours:
        return date_format(local(bucket.start), "SHORT_DATETIME_FORMAT")
    return date_format(bucket.day, "DATE_FORMAT")
