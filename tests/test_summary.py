"""The summary's page."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from pytest_django import DjangoAssertNumQueries, Settings

from django_valify_otp.audit import charts, sections, summary
from django_valify_otp.audit.charts import (
    Chart,
    ColumnChart,
    LineChart,
    Plot,
    localized,
    round_up,
)
from django_valify_otp.audit.periods import DEFAULT_PERIOD, PERIODS
from django_valify_otp.audit.sections import Section, about, percentage
from django_valify_otp.audit.statistics import keep_daily_totals
from tests.clock import NOW
from tests.factories import NUMBER, client_of, make_send, staff
from tests.pages import LIST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

SUMMARY = reverse("admin:otp-send-summary")
SVG = "{http://www.w3.org/2000/svg}"


class Tags(HTMLParser):
    """Each tag of a page with its attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def rows() -> None:
    """Something for each part of the page."""
    yesterday = NOW - timedelta(days=1)
    for moment in (NOW, yesterday):
        settled_at = moment + timedelta(seconds=1.5)
        times: dict[str, Any] = {
            "created_at": moment,
            "called_at": moment,
            "settled_at": settled_at,
        }
        make_send(**times, trials_remaining=2, verified_at=moment)
        make_send(**times, phone_number="01112345678")
        make_send(**times, phone_number="")
        refused = {"status": "rejected", "code": "rejected", "error_code": "21"}
        make_send(**times, transaction_id="", **refused)
        limited = {"code": "send_limit_reached", "blocked_by": "NUMBER_SEND_LIMITS 5/1h"}
        times["called_at"] = None
        make_send(**times, status="blocked", transaction_id="", **limited)


def sections_of(client: Client, **query: str) -> dict[str, Section]:
    with translation.override("en"):
        found = client.get(SUMMARY, query).context["sections"]
        return {str(section.title): section for section in found}


def content_of(client: Client, language: str = "en", **query: str) -> str:
    response = client.get(SUMMARY, query, headers={"Accept-Language": language})
    assert response.status_code == 200
    return response.content.decode()


def main_of(content: str) -> str:
    """What the app adds to the admin's frame."""
    return content[content.index('<div id="content-main"') : content.index("<footer")]


def figures(section: Section) -> list[tuple[str, *tuple[str, ...]]]:
    return [(str(row.label), *row.cells) for row in section.rows]


def test_the_list_leads_to_the_summary(desk: Client) -> None:
    assert SUMMARY in desk.get(LIST).content.decode()


def test_only_who_may_view_sends_sees_it() -> None:
    assert client_of(staff("view_otpverification")).get(SUMMARY).status_code == 403
    assert Client().get(SUMMARY).status_code == 302


@pytest.mark.usefixtures("rows")
def test_all_figures_are_on_the_page(desk: Client) -> None:
    found = sections_of(desk)
    assert figures(found["Attempts by status"]) == [
        ("Nov. 23, 2026", "3", "1", "1"),
        ("Nov. 22, 2026", "3", "1", "1"),
    ]
    assert figures(found["Share of the codes sent that were verified"]) == [
        ("Nov. 23, 2026", "3", "1", "33.3%"),
        ("Nov. 22, 2026", "3", "1", "33.3%"),
    ]
    assert figures(found["Share verified by prefix"]) == [
        ("anonymised", "2", "0", "0%"),
        ("0111", "2", "0", "0%"),
        ("0101", "2", "2", "100%"),
    ]
    assert figures(found["Time that calls took, in seconds"]) == [
        ("Nov. 23, 2026", "1.5", "1.5"),
        ("Nov. 22, 2026", "1.5", "1.5"),
    ]
    assert figures(found["Why codes were not sent"]) == [
        ("rejected by Valify", "2"),
        ("send limit reached", "2"),
    ]
    assert figures(found["Error codes that Valify gave"]) == [("21", "2")]
    assert figures(found["Limits and blocks that refused"]) == [
        ("limit per number: 5 codes in an hour", "2")
    ]
    assert figures(found["Uses left on the access token"]) == [
        ("0", "0"),
        ("1", "0"),
        ("2", "2"),
        ("3 or more", "0"),
        ("none", "4"),
    ]


@pytest.mark.usefixtures("rows")
def test_kept_totals_make_the_same_page(
    desk: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    live = main_of(content_of(desk))
    assert keep_daily_totals() == 1
    # Those of the session, the user, two kinds of permissions, blocks, and the summary's own four;
    # the period before was over when there was nothing yet.
    with django_assert_num_queries(9):
        assert main_of(content_of(desk)) == live


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("period", PERIODS)
def test_no_whole_number_is_on_the_page(desk: Client, language: str, period: str) -> None:
    content = content_of(desk, language, period=period)
    assert NUMBER not in content
    assert "0101" in content


@pytest.mark.parametrize("wanted", [*PERIODS, "", "8d", "<b>"])
def test_the_period_is_chosen_by_a_link(desk: Client, wanted: str) -> None:
    content = main_of(content_of(desk, period=wanted))
    chosen = wanted if wanted in PERIODS else DEFAULT_PERIOD
    assert re.findall(r'<a href="\?period=(\w+)" aria-current="page">', content) == [chosen]
    assert re.findall(r'<a href="\?period=(\w+)"', content) == list(PERIODS)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(("period", "count"), [("24h", 1), ("7d", 2)])
def test_statuses_and_codes_lead_to_their_rows(desk: Client, period: str, count: int) -> None:
    make_send(
        created_at=NOW - timedelta(days=60), status="rejected", code="rejected", transaction_id=""
    )
    found = sections_of(desk, period=period)
    [key] = [key for key in found["Attempts by status"].legend if key.label == "rejected"]
    [row] = [row for row in found["Why codes were not sent"].rows if "Valify" in row.label]
    for url in (key.url, row.url):
        assert urlsplit(url).path == LIST
        assert len(desk.get(url).context["cl"].result_list) == count


@pytest.mark.usefixtures("rows")
def test_prefixes_limits_and_blocks_lead_to_their_rows(desk: Client) -> None:
    found = sections_of(desk)
    linked = {
        str(row.label): parse_qs(urlsplit(row.url).query)
        for title in ("Share verified by prefix", "Limits and blocks that refused")
        for row in found[title].rows
    }
    since = ["2026-11-17 00:00:00+02:00"]
    assert linked == {
        "anonymised": {},
        "0101": {"prefix": ["0101"], "created_at__gte": since},
        "0111": {"prefix": ["0111"], "created_at__gte": since},
        "limit per number: 5 codes in an hour": {
            "blocked_by": ["NUMBER_SEND_LIMITS 5/1h"],
            "created_at__gte": since,
        },
    }


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "ar"])
def test_it_works_under_a_strict_content_security_policy(desk: Client, language: str) -> None:
    """No script, no style of its own, nothing from elsewhere."""
    content = content_of(desk, language)
    tags = Tags(main_of(content)).tags
    assert not {tag for tag, _ in tags} & {"script", "style", "link", "img", "iframe", "object"}
    names = {name for _, attributes in tags for name in attributes}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]
    assert "http" not in main_of(content)
    head = Tags(content[: content.index("</head>")]).tags
    sheets = [attributes["href"] for tag, attributes in head if tag == "link"]
    assert [sheet for sheet in sheets if sheet and sheet.endswith("django_valify_otp/summary.css")]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "ar"])
def test_charts_can_be_read_aloud(desk: Client, language: str) -> None:
    content = main_of(content_of(desk, language))
    drawings = re.findall(r'<svg class="valify-chart".*?</svg>', content, re.DOTALL)
    assert (
        len(drawings)
        == content.count("<summary>Figures" if language == "en" else "<summary>الأرقام")
        == 3
    )
    for drawing in drawings:
        svg = ET.fromstring(drawing)
        assert svg.attrib["role"] == "img"
        texts = {child.attrib["id"]: child.text for child in svg if "id" in child.attrib}
        assert [*texts] == svg.attrib["aria-labelledby"].split()
        assert all(texts.values())
    ids = [attributes["id"] for _, attributes in Tags(content).tags if attributes.get("id")]
    assert len(set(ids)) == len(ids)


@pytest.mark.usefixtures("rows")
def test_every_colour_and_pattern_is_defined(desk: Client) -> None:
    content = main_of(content_of(desk))
    used = set(re.findall(r"url\(#([\w-]+)\)", content))
    assert used == {"valify-sent", "valify-rejected", "valify-blocked"}
    assert used <= set(re.findall(r'<pattern id="([\w-]+)"', content))


@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_reader_s_language_does_not_outlive_the_test(desk: Client, language: str) -> None:
    """Whichever of the two comes second: the middleware leaves a request's language active."""
    assert translation.get_language() == "en-us"
    other = {"en": "ar", "ar": "en"}[language]
    assert f'lang="{other}"' in content_of(desk, other)


def headlines_of(client: Client, **query: str) -> dict[str, tuple[str, str, str]]:
    with translation.override("en"):
        found = client.get(SUMMARY, query).context["headlines"]
        return {str(label): (value, before, change) for label, value, before, change in found}


def test_headlines_are_beside_those_of_the_period_before(desk: Client) -> None:
    for days, seconds, count in ((0, 1, 4), (8, 2, 2)):
        moment = NOW - timedelta(days=days)
        settled_at = moment + timedelta(seconds=seconds)
        times = {"created_at": moment, "called_at": moment, "settled_at": settled_at}
        for n in range(count):
            make_send(**times, verified_at=moment if n < 1 + days else None)
        blocked = {"status": "blocked", "code": "sending_paused", "transaction_id": ""}
        make_send(**{**times, "called_at": None}, **blocked)
    make_send(status="failed", code="valify_unreachable", transaction_id="", called_at=None)
    assert headlines_of(desk) == {
        "Sent": ("4", "2", "+100%"),
        "Share verified": ("25%", "100%", "−75 points"),
        "Refused by limits and blocks": ("1", "1", "±0%"),
        "Refused by Valify": ("0", "0", "–"),
        "Failed": ("1", "0", "–"),
        "Outcome unknown": ("0", "0", "–"),
        "Median time of a call, in seconds": ("0.96", "2.1", "−53%"),
    }
    content = main_of(content_of(desk))
    assert "before: <bdi>2</bdi> (<bdi>+100%</bdi>)" in content
    assert "\u2066+100%\u2069" in main_of(content_of(desk, "ar"))
    assert "\u2066−75\u2069 نقطة" in main_of(content_of(desk, "ar"))


def test_headlines_of_nothing(desk: Client) -> None:
    assert headlines_of(desk)["Share verified"] == ("–", "–", "–")
    assert headlines_of(desk)["Median time of a call, in seconds"] == ("–", "–", "–")


def test_the_prefix_that_is_verified_least_comes_first(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "ENOUGH_TO_JUDGE", 2)
    for prefix, sent, verified in (("0100", 3, 3), ("0101", 4, 1), ("0111", 2, 0), ("0150", 1, 0)):
        for n in range(sent):
            make_send(phone_number=f"{prefix}1234567", verified_at=NOW if n < verified else None)
    section = sections_of(desk)["Share verified by prefix"]
    assert [str(row.label) for row in section.rows] == ["0111", "0101", "0100"]
    assert [str(row.label) for row in section.folded] == ["0150"]
    assert section.folded_label == "Too few to judge: fewer than 2 sent"
    content = main_of(content_of(desk))
    folded = content[content.index("<summary>Too few to judge: fewer than 2 sent</summary>") :]
    assert ">0150</a>" in folded
    assert ">0111</a>" not in folded


def test_a_slow_day_does_not_flatten_the_others(desk: Client) -> None:
    for days in range(6):
        moment = NOW - timedelta(days=days)
        seconds = 25 if days == 3 else 0.5
        settled_at = moment + timedelta(seconds=seconds)
        make_send(created_at=moment, called_at=moment, settled_at=settled_at)
    section = sections_of(desk)["Time that calls took, in seconds"]
    assert section.chart
    assert section.chart.top == 2
    assert section.warning == (
        "Times above 2 seconds are off the scale. Triangles mark them, and the figures below the"
        " chart have them."
    )
    assert [row.cells[0] for row in section.rows] == ["0.49", "0.49", "0.49", "24", "0.49", "0.49"]
    drawing = ET.fromstring(drawing_of(section.chart))
    markers = [path for path in drawing.iter("path") if "marker" in path.get("class", "")]
    assert len(markers) == 2
    lines = [path.attrib["d"] for path in drawing.iter("path") if "line" in path.get("class", "")]
    assert len(lines) == 2
    for line in lines:
        assert min(float(y) for y in re.findall(r" ([\d.]+)", line)) == charts.TOP


def test_times_without_towers_are_all_on_the_scale(desk: Client) -> None:
    make_send()
    section = sections_of(desk)["Time that calls took, in seconds"]
    assert section.warning == ""
    assert "valify-marker" not in content_of(desk)


@pytest.mark.parametrize("sheet", ["desk", "record", "summary"])
def test_every_variable_of_a_style_sheet_has_a_fallback(settings: Settings, sheet: str) -> None:
    """Themes of the admin do not have its variables, and without a value a bar is black."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    path = finders.find(f"django_valify_otp/{sheet}.css")
    assert path
    used = re.findall(r"var\(--[\w-]+(.?)", Path(path).read_text("utf-8"))
    assert used
    assert {*used} == {","}


def test_an_empty_site(desk: Client) -> None:
    content = main_of(content_of(desk))
    assert content.count("Nothing in this period.") == 8
    assert "<table" not in content
    assert "valify-chart" not in content


def test_attempts_that_sent_nothing(desk: Client) -> None:
    make_send(status="blocked", code="sending_paused", transaction_id="", called_at=None)
    found = sections_of(desk)
    assert [title for title, section in found.items() if section.rows] == [
        "Attempts by status",
        "Why codes were not sent",
    ]


def test_arabic_reads_right_to_left(desk: Client) -> None:
    make_send()
    content = content_of(desk, "ar")
    assert 'dir="rtl"' in content
    assert ">أُرسلت</a>" in content
    labels = re.findall(r'text-anchor="middle" direction="(\w+)">([^<]+)<', content)
    assert labels
    assert {direction for direction, _ in labels} == {"rtl"}
    assert "نوفمبر" in labels[0][1]
    # The scale and the time run to the right in every language.
    assert content.count('direction="ltr"') == content.count('class="valify-chart"')


def test_hours_have_the_time_of_the_site(desk: Client) -> None:
    make_send()
    assert figures(sections_of(desk, period="24h")["Attempts by status"]) == [
        ("11/23/2026 2 p.m.", "1")
    ]
    assert ">15:00</text>" in content_of(desk, period="24h")


def test_many_limits_and_blocks_are_cut_short(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "ROWS_SHOWN", 2)
    blocked: dict[str, Any] = {"status": "blocked", "transaction_id": "", "called_at": None}
    for n in range(5):
        for _ in range(5 - n):
            make_send(**blocked, code="send_forbidden", blocked_by=f"SendBlock {n}")
    assert figures(sections_of(desk)["Limits and blocks that refused"]) == [
        ("send block 0", "5"),
        ("send block 1", "4"),
        ("others", "6"),
    ]


def test_texts_are_escaped(desk: Client) -> None:
    make_send(status="blocked", blocked_by="<b>", transaction_id="", called_at=None)
    content = main_of(content_of(desk))
    assert "<b>" not in content
    assert "&lt;b&gt;" in content


def test_the_style_sheet_has_a_place(settings: Settings) -> None:
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    assert finders.find("django_valify_otp/summary.css")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 2), (0.7, 0.8), (1, 1), (1.1, 2), (2, 2), (7, 8), (9.5, 10), (1000, 1000), (10_001, 2e4)],
)
def test_scales_end_on_round_numbers(value: float, expected: float) -> None:
    assert round_up(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0"), (1234, "1,234"), (2.0, "2"), (0.25, "0.25")]
)
def test_numbers_are_localized(value: float, expected: str) -> None:
    with translation.override("en"):
        assert localized(value) == expected


def test_a_decimal_comma() -> None:
    with translation.override("ar"):
        assert localized(0.25) == "0,25"


@pytest.mark.parametrize(("part", "text"), [(None, "–"), (0, "0%"), (1, "100%"), (0.3333, "33.3%")])
def test_shares_are_in_percent(part: float | None, text: str) -> None:
    assert percentage(part) == text


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("language", ["en", "ar"])
def test_a_bar_is_as_long_as_its_share(desk: Client, language: str) -> None:
    make_send(phone_number="01112345678", verified_at=NOW)
    tags = Tags(main_of(content_of(desk, language))).tags
    bars = [(meter["value"], meter["max"]) for tag, meter in tags if tag == "meter"]
    shares = [("0.0", "1"), ("0.3333333333333333", "1"), ("1.0", "1")]
    codes, error_codes, blocks = [("2", "2"), ("2", "2")], [("2", "2")], [("2", "2")]
    trials = [("0", "5"), ("0", "5"), ("2", "5"), ("0", "5"), ("5", "5")]
    assert bars == [*shares, *codes, *error_codes, *blocks, *trials]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.0123456, "0.012"), (1.5425, "1.5"), (9.96, "10"), (123.4, "120")],
)
def test_times_have_no_more_digits_than_are_right(seconds: float | None, text: str) -> None:
    with translation.override("en"):
        assert about(seconds) == text


@pytest.mark.usefixtures("rows")
def test_the_times_of_the_whole_period(desk: Client) -> None:
    legend = sections_of(desk)["Time that calls took, in seconds"].legend
    assert [item.label for item in legend] == ["median: about 1.5", "95th percentile: about 1.5"]


def drawing_of(chart: Chart) -> str:
    template = "admin/django_valify_otp/otpsend/chart.html"
    return render_to_string(template, {"chart": chart}).strip()


def test_lines_break_where_nothing_is_known() -> None:
    plot = Plot(left=72, count=4, top=2)
    assert plot.line([1, None, 2, 0]) == "M122.0 101.0h0M322.0 14.0h0L422.0 188.0"


def test_columns_stand_on_one_another() -> None:
    chart = ColumnChart(
        name="n", title="t", description="d", labels=["a"], series={"sent": [3], "failed": [1]}
    )
    lower, upper = re.findall(r'<path fill="url\(#([\w-]+)\)" d="([^"]+)"', drawing_of(chart))
    assert lower == ("valify-sent", "M86.8 188.0V57.5h342.40V188.0z")
    assert upper == ("valify-failed", "M86.8 57.5V14.0h342.40V57.5z")


@pytest.mark.parametrize("count", [1, 7, 24, 48, 90, 365])
def test_everything_is_inside_the_drawing(count: int) -> None:
    chart = LineChart(
        name="n",
        title="t",
        description="d",
        labels=[str(n) for n in range(count)],
        series={"p95": [1_234_567.0] * count},
    )
    svg = ET.fromstring(drawing_of(chart).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" '))
    texts = svg.findall(f"{SVG}text")
    assert 3 < len(texts) <= 3 + charts.LABELS_BELOW
    for text in texts:
        assert 0 < float(text.attrib["x"]) < charts.WIDTH
        assert 0 < float(text.attrib["y"]) < charts.HEIGHT


@pytest.mark.parametrize("period", PERIODS)
def test_a_site_with_naive_moments(
    desk: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, period: str
) -> None:
    settings.USE_TZ = False
    monkeypatch.setattr(timezone, "now", lambda: NOW.replace(tzinfo=None))
    for days in (0, 3, 10):
        moment = timezone.now() - timedelta(days=days)
        make_send(created_at=moment, called_at=moment, settled_at=moment)
    assert keep_daily_totals() > 2
    response = desk.get(SUMMARY, {"period": period})
    assert response.status_code == 200
    assert "sent" in response.content.decode()
