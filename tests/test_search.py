"""Finding at the desk: by user, address and filters, with words for whoever finds nothing."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_valify_otp.audit import filters, people
from django_valify_otp.models import OtpVerification
from tests.clock import Clock
from tests.factories import MASKED, NUMBER, client_of, make_send, make_try, staff
from tests.pages import LIST, found

pytestmark = pytest.mark.django_db

OTHER = "01112345678"
TRIES = reverse("admin:django_valify_otp_otpverification_changelist")


@pytest.fixture
def auditor() -> Client:
    return client_of(staff("view_otpsend", "view_otpverification"))


def found_tries(client: Client, **query: Any) -> set[OtpVerification]:
    response = client.get(TRIES, query)
    assert response.status_code == 200
    return {*response.context["cl"].result_list}


def test_attempts_are_found_by_user(desk: Client) -> None:
    user = User.objects.create_user("mona", "mona@example.com")
    theirs = make_send(user=user, caller=f"user:{user.pk}")
    gone = make_send(caller="user:987654")
    principal = make_send(caller="auth.group:7")
    make_send()
    for term in (str(user.pk), "mona", " mona ", "mona@example.com", "Mona@Example.com"):
        assert found(desk, q=term) == [theirs], term
    assert found(desk, q="987654") == [gone]
    same_id = make_send(transaction_id="987654")
    assert {*found(desk, q="987654")} == {gone, same_id}
    assert found(desk, q="user:987654") == [gone]
    assert found(desk, q="auth.group:7") == [principal]
    for term in ("mon", "mona@example", "@", "987", "9" * 30, "auth.group:8"):
        assert found(desk, q=term) == [], term


def test_of_many_users_with_one_address_some_are_found(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "LARGEST_NUMBER_OF_USERS", 2)
    for n in range(3):
        user = User.objects.create_user(f"user{n}", "shared@example.com")
        make_send(user=user, caller=f"user:{user.pk}")
    assert len(found(desk, q="shared@example.com")) == 2


def test_users_whose_keys_are_uuids_and_who_have_no_address() -> None:
    command = [sys.executable, "-m", "tests.members.desk"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    # By name, key, key without dashes; as the column of callers has it; by an address; by a number.
    assert ran.stdout.split() == ["1", "1", "1", "1", "1", "1", "1", "0", "0", "0", "0", "0"]


def test_attempts_are_found_by_address(desk: Client) -> None:
    rows = [make_send(ip_address=address) for address in ("41.32.10.7", "2001:db8::1", "10.0.0.1")]
    for term, row in {
        "41.32.10.7": rows[0],
        " 41.32.10.7:443 ": rows[0],
        "::ffff:41.32.10.7": rows[0],
        "2001:DB8:0::1": rows[1],
        "10.0.0.1": rows[2],
    }.items():
        assert found(desk, q=term) == [row]
    assert found(desk, q="41.32.10.8") == []


def test_an_address_that_also_spells_a_number_finds_both(desk: Client) -> None:
    rows = {make_send(ip_address="101.223.145.6"), make_send(phone_number="01012231456")}
    assert {*found(desk, q="101.223.145.6")} == rows


def test_a_name_that_is_a_number_is_searched_for_on_file_only(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = User.objects.create_user(f"{OTHER}@example.com")
    row = make_send(user=named, caller=f"user:{named.pk}")
    assert found(desk, q=named.username) == [row]
    [entry] = LogEntry.objects.all()
    assert entry.change_message == "Searched for the whole phone number 011*****678@example.com."
    monkeypatch.setattr("django_valify_otp.audit.looks.can_be_logged", lambda _user: False)
    assert found(desk, q=named.username) == []


def test_tries_are_found_by_what_support_knows(auditor: Client, user: User) -> None:
    row = make_send(transaction_id="T2")
    first = make_try(row, ip_address="41.32.10.7")
    second = make_try(make_send(phone_number="01012231456"), user=user, caller=f"user:{user.pk}")
    third = make_try(make_send(phone_number=OTHER), ip_address="101.223.145.6")
    for term, tries in {
        "+20 10 1234 5678": {first},
        str(row.uuid): {first},
        "T2": {first},
        "41.32.10.7": {first},
        str(second.uuid): {second},
        "mona": {second},
        "101.223.145.6": {second, third},
        "": {first, second, third},
        "nobody": set(),
    }.items():
        assert found_tries(auditor, q=term) == tries, term
    assert LogEntry.objects.count() == 2
    content = auditor.get(TRIES).content.decode()
    assert MASKED in content
    assert NUMBER not in content


def test_tries_are_not_found_by_number_by_whoever_is_on_no_file(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_try(make_send())
    monkeypatch.setattr("django_valify_otp.audit.looks.can_be_logged", lambda _user: False)
    assert found_tries(auditor, q=NUMBER) == set()


def test_the_filters_narrow_the_list(desk: Client) -> None:
    now = timezone.now()
    signup = make_send(purpose="signup", verified_at=now)
    login = make_send(purpose="login", phone_number=OTHER)
    failed = make_send(status="failed", transaction_id="", code="valify_unreachable")
    limited = make_send(status="blocked", transaction_id="", blocked_by="NUMBER_SEND_LIMITS 5/1h")
    for query, rows in (
        ({"purpose": "signup"}, {signup}),
        ({"purpose": "none"}, set()),
        ({"verified": "yes"}, {signup}),
        ({"verified": "no"}, {login}),
        ({"verified": "x"}, {signup, login, failed, limited}),
        ({"prefix": "0101"}, {signup, failed, limited}),
        ({"prefix": "011"}, {login}),
        ({"prefix": "0155"}, set()),
        ({"prefix": ""}, {signup, login, failed, limited}),
        ({"blocked_by": "NUMBER_SEND_LIMITS 5/1h"}, {limited}),
    ):
        assert {*found(desk, **query)} == rows, query


def test_the_choices_of_a_purpose_come_from_its_index(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "LISTED_PURPOSES", 2)
    for purpose in ("b", "", "a", "c", "a"):
        make_send(purpose=purpose)

    def choices(**query: str) -> list[str]:
        specs = desk.get(LIST, query).context["cl"].filter_specs
        [spec] = [spec for spec in specs if spec.title == "purpose"]
        return [value for value, _label in spec.lookup_choices]

    assert choices() == ["a", "b"]
    assert choices(purpose="c") == ["a", "b", "c"]
    assert choices(purpose="b") == ["a", "b"]


def test_a_prefix_is_longer_for_those_who_see_whole_numbers(
    desk: Client, inspector: Client
) -> None:
    row = make_send()
    assert found(inspector, prefix=NUMBER) == [row]
    assert found(inspector, prefix=NUMBER[:7]) == [row]
    assert 'maxlength="11"' in inspector.get(LIST).content.decode()
    assert 'maxlength="4"' in desk.get(LIST).content.decode()
    assert desk.get(LIST, {"prefix": NUMBER[:5]}).headers["Location"].endswith("?e=1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("prefix", value) for value in ("x", "٠١٠", "0 1", "-1", "01012345678901")),
        *(
            (name, value)
            for name in ("from", "to")
            for value in ("x", "2026-02-30", "0001-01-01", "9999-12-31", "2026-1", "1" * 5000)
        ),
        *(
            (name, value)
            for name in ("created_at__gte", "created_at__lt")
            for value in ("x", "", "2026-01-01", "2026-01-01 00:00:00")
        ),
    ],
)
def test_a_bad_value_leads_back_to_the_list(inspector: Client, name: str, value: str) -> None:
    response = inspector.get(LIST, {name: value})
    assert response.status_code == 302
    assert response.headers["Location"].endswith("?e=1")
    assert inspector.get(response.headers["Location"]).status_code == 200


def test_a_period_is_one_of_whole_days_of_the_site(desk: Client, clock: Clock) -> None:
    """Cairo is three hours ahead of UTC in summer."""
    day = datetime(2026, 7, 14, 21, 0, tzinfo=UTC)
    moments = [day - timedelta(seconds=1), day, day + timedelta(days=1, seconds=-1)]
    rows = [make_send(created_at=moment) for moment in (*moments, day + timedelta(days=1))]
    one_day = {"from": "2026-07-15", "to": "2026-07-15"}
    assert {*found(desk, **one_day)} == {*rows[1:3]}
    assert {*found(desk, **{"from": "2026-07-15"})} == {*rows[1:]}
    assert {*found(desk, to="2026-07-15")} == {*rows[:3]}
    assert {*found(desk, **{"from": "2026-07-16", "to": "2026-07-15"})} == set()
    assert {*found(desk, **{"from": "", "to": ""})} == {*rows}
    exactly = {"created_at__gte": day.isoformat(), "created_at__lt": moments[2].isoformat()}
    assert found(desk, **exactly) == [rows[1]]
    content = desk.get(LIST, exactly).content.decode()
    assert 'name="from" value="2026-07-15"' in content
    assert 'name="to" value="2026-07-15"' in content


def test_the_forms_of_filters_keep_the_rest_of_the_address(desk: Client) -> None:
    make_send()
    content = desk.get(
        LIST, {"q": "T1", "status__exact": "sent", "prefix": "0101"}
    ).content.decode()
    assert content.count('<input type="hidden" name="status__exact" value="sent">') == 3
    assert content.count('<input type="hidden" name="prefix" value="0101">') == 2
    assert content.count('<input type="hidden" name="q" value="T1">') == 2
    assert "Any number" in content


def test_the_shortcuts_of_a_period(desk: Client) -> None:
    specs = desk.get(LIST, {"status__exact": "sent"}).context["cl"].filter_specs
    cl = desk.get(LIST, {"status__exact": "sent"}).context["cl"]
    form, *shortcuts = specs[0].choices(cl)
    assert specs[0].expected_parameters() == ["from", "to", "created_at__gte", "created_at__lt"]
    assert form["kept"] == [("status__exact", "sent")]
    assert [shortcut["selected"] for shortcut in shortcuts] == [True, *[False] * 4]
    for shortcut, count in zip(shortcuts, (0, 1, 1, 7, 30), strict=True):
        query = parse_qs(urlsplit(shortcut["query_string"]).query)
        assert query.pop("status__exact") == ["sent"]
        days = [date.fromisoformat(text) for name in ("from", "to") for text in query.get(name, [])]
        assert len([*days, *range(count)]) == (0 if count == 0 else (days[1] - days[0]).days + 3)
        assert desk.get(LIST + shortcut["query_string"]).status_code == 200
    today = desk.get(LIST + shortcuts[1]["query_string"]).context["cl"]
    assert [c["selected"] for c in [*today.filter_specs[0].choices(today)][1:]] == [
        False,
        True,
        *[False] * 3,
    ]


def test_whoever_finds_nothing_is_told_what_to_try(desk: Client) -> None:
    assert "There is nothing here yet." in desk.get(LIST).content.decode()
    make_send()
    assert "Nothing was found." not in desk.get(LIST).content.decode()
    content = desk.get(LIST, {"q": "0101234", "status__exact": "sent"}).content.decode()
    for text in ("Nothing was found.", 'href="?q=0101234"', "finds no parts", "Clear all filters"):
        assert text in content
    content = desk.get(LIST, {"status__exact": "failed"}).content.decode()
    assert "Nothing was found." in content
    assert "finds no parts" not in content
    assert "Search without the filters" not in desk.get(LIST, {"q": "x"}).content.decode()


def test_the_list_tells_moments_to_the_second(desk: Client, clock: Clock) -> None:
    asked = datetime(2026, 7, 14, 10, 0, 5, tzinfo=UTC)
    make_send(created_at=asked, verified_at=asked + timedelta(seconds=61))
    content = desk.get(LIST).content.decode()
    assert ">2026-07-14</span> 13:00:05</time>" in content
    assert ">13:01:06</time>" in content
    make_send(created_at=asked, verified_at=asked + timedelta(days=1))
    assert ">2026-07-15</span> 13:00:05</time>" in desk.get(LIST).content.decode()


def test_a_site_without_time_zones(desk: Client, settings: Settings) -> None:
    settings.USE_TZ = False
    moment = datetime.fromisoformat("2026-07-14 10:00:05")
    make_send(created_at=moment, settled_at=moment)
    assert len(found(desk, **{"from": "2026-07-14", "to": "2026-07-14"})) == 1
    assert ">2026-07-14</span> 10:00:05</time>" in desk.get(LIST).content.decode()


def test_a_status_is_told_by_symbol_and_word(desk: Client) -> None:
    make_send()
    make_send(status="failed", code="valify_unreachable", transaction_id="", called_at=None)
    content = desk.get(LIST).content.decode()
    assert '<span aria-hidden="true">✓</span> sent</span>' in content
    assert '<span aria-hidden="true">✗</span> failed</span>' in content
    assert "Valify unreachable" in content


def test_a_long_transaction_id_is_whole_on_hover(desk: Client) -> None:
    make_send(transaction_id="x" * 255)
    assert f'title="{"x" * 255}">{"x" * 255}</span>' in desk.get(LIST).content.decode()


def test_the_short_heading_tells_the_long_one(desk: Client) -> None:
    make_send()
    heading = '<abbr title="trials remaining (of the token)">Trials</abbr>'
    assert heading in desk.get(LIST).content.decode()
    content = desk.get(LIST, headers={"Accept-Language": "ar"}).content.decode()
    assert ">الاستخدامات</abbr>" in content
