"""The audit desk, as Django's admin shows it."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_valify_otp import outcomes
from django_valify_otp.audit import changelist
from django_valify_otp.models import OtpSend, SendBlock
from tests.factories import MASKED, NUMBER, client_of, make_send, make_try, staff
from tests.pages import LIST, found, page_of

pytestmark = pytest.mark.django_db


def test_the_list_is_masked_for_everybody(desk: Client, inspector: Client, user: User) -> None:
    make_send(trials_remaining=2, purpose="signup", user=user)
    for client in (desk, inspector, client_of(User.objects.create_superuser("root"))):
        content = client.get(LIST).content.decode()
        assert f'<bdi dir="ltr">{MASKED}</bdi>' in content
        assert NUMBER not in content
        for text in ("T1", "signup", "mona", "of the token", "0.000"):
            assert text in content
    assert not LogEntry.objects.exists()


def test_trials_remaining_says_what_it_is(desk: Client) -> None:
    content = desk.get(page_of(make_send(trials_remaining=2))).content.decode()
    assert "not a balance" in content


def test_the_whole_number_takes_a_permission_and_leaves_a_trace(
    desk: Client, inspector: Client
) -> None:
    row = make_send()
    content = desk.get(page_of(row)).content.decode()
    assert MASKED in content
    assert NUMBER not in content
    assert not LogEntry.objects.exists()
    assert NUMBER in inspector.get(page_of(row)).content.decode()
    entry = LogEntry.objects.get()
    assert entry.object_id == str(row.pk)
    assert entry.change_message == f"Looked at the whole phone number {MASKED}."
    assert NUMBER not in f"{entry.object_repr}{entry.change_message}"


def test_a_page_that_may_not_be_seen_leaves_no_trace() -> None:
    client = client_of(staff("view_phone_number"))
    assert client.get(page_of(make_send())).status_code == 403
    assert client.get(LIST).status_code == 403
    assert not LogEntry.objects.exists()


def test_a_page_that_does_not_exist(inspector: Client) -> None:
    url = reverse("admin:django_valify_otp_otpsend_change", args=[0])
    assert inspector.get(url).status_code == 302
    assert not LogEntry.objects.exists()


def test_nobody_changes_the_record() -> None:
    client = client_of(User.objects.create_superuser("root"))
    row = make_send()
    assert client.get(reverse("admin:django_valify_otp_otpsend_add")).status_code == 403
    assert client.post(page_of(row), {"status": "failed"}).status_code == 403
    assert not LogEntry.objects.exists()
    delete = reverse("admin:django_valify_otp_otpsend_delete", args=[row.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [row.pk]}
    client.post(LIST, data)
    content = client.get(LIST).content.decode()
    assert "delete_selected" not in content
    row.refresh_from_db()
    assert row.status == OtpSend.Status.SENT


def test_deleting_a_user_keeps_the_record() -> None:
    root = User.objects.create_superuser("root")
    user = User.objects.create_user("mona")
    row = make_send(user=user, caller=f"user:{user.pk}")
    delete = reverse("admin:auth_user_delete", args=[user.pk])
    assert client_of(root).post(delete, {"post": "yes"}).status_code == 302
    row.refresh_from_db()
    assert (row.user, row.caller) == (None, f"user:{user.pk}")


@pytest.mark.parametrize(
    ("term", "count"),
    [
        ("01012345678", 1),
        ("+20 10 1234 5678", 1),
        (" ٠١٠١٢٣٤٥٦٧٨ ", 1),
        ("T2", 1),
        (" T2 ", 1),
        ("T", 0),
        ("0101234", 0),
        ("", 2),
        ("  ", 2),
        ("nobody", 0),
        ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", 1),
        ("6f9619ff8b86d011b42d00cf4fc964ff", 1),
        ("6f9619ff-8b86-d011-b42d-00cf4fc964fe", 0),
    ],
)
def test_search(desk: Client, term: str, count: int) -> None:
    make_send(uuid="6f9619ff-8b86-d011-b42d-00cf4fc964ff")
    make_send(phone_number="01112345678", transaction_id="T2")
    assert len(found(desk, q=term)) == count


def test_search_uses_whole_columns(desk: Client) -> None:
    """No LIKE and no UPPER(), which would miss the indexes."""
    make_send()
    with CaptureQueriesContext(connection) as queries:
        found(desk, q=NUMBER)
    [statement] = [
        query["sql"]
        for query in queries
        if re.search(r"WHERE.*transaction_id.*ORDER BY", query["sql"])
    ]
    assert "LIKE" not in statement
    assert "UPPER" not in statement


def test_nothing_counts_or_reads_the_whole_table(desk: Client) -> None:
    make_send()
    with CaptureQueriesContext(connection) as queries:
        found(desk)
    counts = [q["sql"] for q in queries if "COUNT(" in q["sql"]]
    assert counts
    assert all("LIMIT 10000" in statement for statement in counts)
    assert not [q for q in queries if "DISTINCT" in q["sql"]]


def test_the_number_of_queries_does_not_grow_with_the_rows(desk: Client) -> None:
    counts = []
    for _ in range(2):
        users = [User.objects.create_user(f"u{User.objects.count()}") for _ in range(10)]
        for user in users:
            make_send(user=user)
        with CaptureQueriesContext(connection) as queries:
            found(desk)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_only_the_newest_rows_are_paged(desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changelist, "COUNTED_ROWS", 60)
    now = timezone.now()
    for n in range(61):
        make_send(created_at=now - timedelta(minutes=n))
    assert len(found(desk)) == 50
    assert len(found(desk, p=2)) == 10


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"status__exact": "sent"}, 4),
        ({"status__exact": "failed"}, 1),
        ({"code__exact": "valify_unreachable"}, 1),
        ({"trials": "0"}, 1),
        ({"trials": "1"}, 0),
        ({"trials": "2"}, 1),
        ({"trials": "more"}, 1),
        ({"trials": "none"}, 2),
        ({"trials": "odd"}, 5),
        ({}, 5),
    ],
)
def test_filters(desk: Client, query: dict[str, str], count: int) -> None:
    for trials in (0, 2, 5, None):
        make_send(trials_remaining=trials)
    make_send(status="failed", code="valify_unreachable", transaction_id="", called_at=None)
    assert len(found(desk, **query)) == count


@pytest.mark.parametrize(
    "lookup",
    ["phone_number__startswith", "phone_number__regex", "ip_address__startswith", "user__id"],
)
def test_masked_numbers_cannot_be_guessed_digit_by_digit(desk: Client, lookup: str) -> None:
    make_send()
    assert desk.get(LIST, {lookup: "0"}).status_code == 400


def test_the_period_can_be_chosen(desk: Client) -> None:
    make_send()
    assert len(found(desk, created_at__gte="2000-01-01 00:00:00+00:00")) == 1


def test_valify_s_text_is_escaped(desk: Client) -> None:
    row = make_send(valify_message="<script>alert(1)</script>")
    assert "<script>alert" not in desk.get(page_of(row)).content.decode()


def test_arabic_reads_right_to_left(desk: Client) -> None:
    make_send()
    content = desk.get(LIST, headers={"Accept-Language": "ar"}).content.decode()
    assert 'dir="rtl"' in content
    assert "رقم الهاتف" in content


def sibling_links(content: str) -> list[str]:
    """Where a row's page links to what it has something in common with."""
    return [html.unescape(link) for link in re.findall(r'href="([^"]*sibling=[^"]*)"', content)]


def test_siblings_are_a_click_away(desk: Client) -> None:
    row = make_send(caller="user:1", token_fingerprint="abc")
    same_number = make_send(caller="user:2", token_fingerprint="def")
    same_caller = make_send(caller="user:1", phone_number="01112345678", token_fingerprint="")
    same_token = make_send(caller="user:3", phone_number="01212345678", token_fingerprint="abc")
    long_ago = timezone.now() - timedelta(days=3)
    make_send(created_at=long_ago, caller="x", phone_number="010", token_fingerprint="abc")
    links = sibling_links(desk.get(page_of(row)).content.decode())
    assert len(links) == 3
    siblings = [set(desk.get(link).context["cl"].result_list) for link in links]
    assert siblings == [{row, same_number}, {row, same_caller}, {row, same_token}]
    assert not [link for link in links if NUMBER in link]
    for link in links:
        content = desk.get(link).content.decode()
        assert NUMBER not in content
        assert "in common" in content
    assert len(sibling_links(desk.get(page_of(same_caller)).content.decode())) == 2


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("number:0", 0),
        ("number:x", 0),
        ("number:", 0),
        ("number:" + "9" * 18, 0),
        ("number:" + "9" * 19, 0),
        ("number:" + "9" * 5000, 0),
        ("number:\u0663", 0),
        ("odd:1", 1),
        ("", 1),
        (":", 1),
    ],
)
def test_siblings_of_nothing(desk: Client, value: str, count: int) -> None:
    make_send()
    assert "in common" not in desk.get(LIST).content.decode()
    assert len(found(desk, sibling=value)) == count


def test_an_anonymised_attempt_shows_nobody(inspector: Client) -> None:
    row = make_send(phone_number="", caller="erased", token_fingerprint="abc")
    content = inspector.get(page_of(row)).content.decode()
    assert [link.partition("sibling=")[2][:5] for link in sibling_links(content)] == ["token"]
    assert not LogEntry.objects.exists()
    assert "anonymised" in inspector.get(LIST).content.decode()


def test_every_way_to_end_has_its_advice(desk: Client) -> None:
    codes = {*OtpSend.Code.values}
    assert codes | {"queued", "pending", "sent"} == {*outcomes.EXPLANATIONS}
    row = make_send(status="blocked", code="sending_paused", blocked_by="SendBlock 1")
    assert "A send block stops all sending" in desk.get(page_of(row)).content.decode()


TRIES = reverse("admin:django_valify_otp_otpverification_changelist")


@pytest.fixture
def auditor() -> Client:
    return client_of(staff("view_otpsend", "view_otpverification"))


def test_tries_stand_under_their_send(auditor: Client, user: User) -> None:
    row = make_send(verified_at=timezone.now())
    make_try(row, error_code="21", valify_message="<b>Wrong</b>", user=user)
    make_try(make_send(), error_code="778899")
    content = auditor.get(page_of(row)).content.decode()
    for text in ("A wrong code was typed", "21", "&lt;b&gt;Wrong", "mona"):
        assert text in content
    assert "778899" not in content


def test_tries_of_a_send_take_one_query(auditor: Client) -> None:
    counts = []
    row = make_send()
    # The first request of a process fills caches.
    auditor.get(page_of(row))
    for _ in range(2):
        for _ in range(5):
            make_try(row, user=User.objects.create_user(f"u{User.objects.count()}"))
        with CaptureQueriesContext(connection) as queries:
            auditor.get(page_of(row))
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_the_list_of_tries(auditor: Client) -> None:
    row = make_send()
    make_try(row)
    make_try(row, status="verified", code="")
    response = auditor.get(TRIES)
    content = response.content.decode()
    assert len(response.context["cl"].result_list) == 2
    assert NUMBER not in content
    for text in (str(row.uuid), "code rejected by Valify", "0.000"):
        assert text in content
    filtered = auditor.get(TRIES, {"status__exact": "verified"})
    assert len(filtered.context["cl"].result_list) == 1
    guess = {"otp_send__phone_number__startswith": "0"}
    assert auditor.get(TRIES, guess).status_code == 400


def test_one_try(auditor: Client) -> None:
    row = make_try(make_send(), reason="HTTP 500")
    page = reverse("admin:django_valify_otp_otpverification_change", args=[row.pk])
    content = auditor.get(page).content.decode()
    assert str(row.uuid) in content
    assert "HTTP 500" in content


def test_an_empty_name_of_a_field(auditor: Client) -> None:
    row = make_send()
    assert auditor.get(page_of(row), {"_to_field": ""}).status_code == 200


@pytest.mark.parametrize("page", ["change", "history"])
@pytest.mark.parametrize("charset", ["unicode_escape", "utf-16", "ascii"])
def test_pages_read_their_address_as_utf_8(page: str, charset: str) -> None:
    client = client_of(User.objects.create_superuser("root"))
    block = SendBlock.objects.create(scope="everything")
    url = reverse(f"admin:django_valify_otp_sendblock_{page}", args=[block.pk])
    query = {"_changelist_filters": "\\ud800\\x00😀"}
    content_type = f"text/plain; charset={charset}"
    assert client.get(url, query, CONTENT_TYPE=content_type).status_code == 200


@pytest.mark.parametrize("name", ["", "verifications", "nothing"])
def test_only_the_key_is_a_field_to_refer_to(desk: Client, name: str) -> None:
    row = make_send()
    assert desk.get(LIST, {"_to_field": name}).status_code in {200, 400}
    assert desk.get(page_of(row), {"_to_field": name}).status_code in {200, 400}
    assert desk.get(page_of(row), {"_to_field": "id"}).status_code == 200


def test_fields_that_belong_to_no_row_stay_masked(rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = staff("view_otpsend")
    shown = flatten_fieldsets(site.get_model_admin(OtpSend).get_fieldsets(request))
    assert {"number", "masked_user", "masked_caller"} <= {*shown}
    assert not {"phone_number", "user", "caller"} & {*shown}


def test_a_row_without_an_answer_has_no_duration() -> None:
    model_admin: Any = site.get_model_admin(OtpSend)
    assert model_admin.duration_in_seconds(OtpSend()) == "-"
