"""The list as CSV."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection, connections
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from django_valify_otp.audit import export
from django_valify_otp.models import OtpSend
from tests.factories import MASKED, NUMBER, make_send, staff
from tests.pages import EXPORT, LIST

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH_ROWS", 3)


def text_of(client: Client, **query: Any) -> str:
    response = client.get(EXPORT, query)
    assert response.status_code == 200
    assert response.streaming
    return b"".join(response).decode()


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


def exported(client: Client, **query: Any) -> list[dict[str, str]]:
    return rows_of(text_of(client, **query))


def test_all_that_is_known(desk: Client, user: User) -> None:
    moment = datetime(2026, 1, 2, 10, tzinfo=UTC)
    row = make_send(
        created_at=moment,
        called_at=moment,
        settled_at=moment + timedelta(seconds=1.5),
        status="rejected",
        code="rejected",
        transaction_id="",
        user=user,
        caller=f"user:{user.pk}",
        ip_address="41.32.10.7",
        purpose="signup",
        http_status=422,
        calls=1,
        error_code="21",
        valify_message='الرقم "غير" صحيح,\nلا',
        trials_remaining=0,
    )
    [found] = exported(desk)
    assert found == {
        "id": str(row.uuid),
        "created_at": "2026-01-02T10:00:00+00:00",
        "called_at": "2026-01-02T10:00:00+00:00",
        "settled_at": "2026-01-02T10:00:01.500000+00:00",
        "status": "rejected",
        "code": "rejected",
        "phone_number": MASKED,
        "lang": "en",
        "purpose": "signup",
        "user": "mona",
        "caller": f"user:{user.pk}",
        "ip_address": "41.32.10.7",
        "blocked_by": "",
        "transaction_id": "",
        "trials_remaining": "0",
        "calls": "1",
        "http_status": "422",
        "error_code": "21",
        "valify_message": 'الرقم "غير" صحيح,\nلا',
        "reason": "",
        "token_fingerprint": "",
        "verified_at": "",
        "duration_seconds": "1.5",
    }


def test_an_attempt_without_a_call_has_no_duration(desk: Client) -> None:
    make_send(status="blocked", transaction_id="", called_at=None)
    [found] = exported(desk)
    assert (found["called_at"], found["duration_seconds"]) == ("", "")


def test_it_is_a_file_that_excel_reads(desk: Client) -> None:
    response = desk.get(EXPORT)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    disposition = f'attachment; filename="otp-sends-{timezone.now():%Y-%m-%d}.csv"'
    assert response["Content-Disposition"] == disposition
    assert "no-store" in response["Cache-Control"]
    assert b"".join(response).startswith(b"\xef\xbb\xbfid,created_at,")


def test_numbers_are_masked(desk: Client) -> None:
    make_send()
    text = text_of(desk, q=NUMBER)
    assert MASKED in text
    assert NUMBER not in text
    entry = LogEntry.objects.latest("pk")
    assert entry.change_message == f"Exported as CSV with masked phone numbers: q={MASKED}"


def test_whole_numbers_take_a_permission_and_leave_a_trace(inspector: Client) -> None:
    make_send()
    assert exported(inspector, q="+20 1012345678")[0]["phone_number"] == NUMBER
    entry = LogEntry.objects.get()
    assert entry.change_message == f"Exported as CSV with whole phone numbers: q={MASKED}"
    assert (entry.object_id, entry.object_repr) == (None, "OTP sends")
    assert NUMBER not in inspector.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize(
    ("term", "shown"),
    [
        ("T1", "T1"),
        ("01012345678;", "010*****678;"),
        ("+20 1012345678 x", "010*****678 x"),
        ("010-6750-23299", "010-****-**299"),
        ("010 6750 232", "010 **** 232"),
        ("0106750232O9", "010*****32O9"),
        ("٠١٠٦٧٥٠٢٣٢٩٩", "٠١٠******٢٩٩"),
        ("0106750", "010*750"),
        ("01012345678 01112345678", "010*****678 011*****678"),
        ("6f9619ff-8b86-d011-b42d-00cf4fc964ff", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
    ],
)
def test_what_was_searched_for_is_in_the_trace(desk: Client, term: str, shown: str) -> None:
    desk.get(EXPORT, {"q": term})
    # A text with a number in it could be a user's name: the search for it is an entry too.
    export = LogEntry.objects.get(change_message__startswith="Exported")
    assert export.change_message.endswith(f": q={shown}")


def test_the_trace_is_there_before_the_first_row(inspector: Client) -> None:
    inspector.get(EXPORT, {"status__exact": "sent", "trials": "0"})
    message = LogEntry.objects.get().change_message
    assert message == "Exported as CSV with whole phone numbers: status__exact=sent trials=0"
    inspector.get(EXPORT)
    assert LogEntry.objects.first().change_message.endswith("numbers: *")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "  =1",
        "\u200b=1",
        "\u200f\u2060=1",
        "\ufeff+1",
        "\x7f\x1b=1",
        "\u00ad@A1",
        '"=1',
        "('=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ],
)
def test_spreadsheets_compute_nothing(desk: Client, text: str) -> None:
    make_send(valify_message=text)
    assert exported(desk)[0]["valify_message"] == f"'{text}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a; =1;+2", "a;' =1;'+2"),
        ('a;"=1', "a;'\"=1"),
        ("a\n=1", "a\n'=1"),
        ("\t=1", "\t'=1"),
        ("\r\n@A1", "\r\n'@A1"),
        ("a|-1", "a|'-1"),
        ("a,\u200b=1", "a,'\u200b=1"),
        ("أ؛=1", "أ؛'=1"),
        (";;;=1", ";;;'=1"),
    ],
)
def test_no_separator_begins_a_formula(desk: Client, text: str, shown: str) -> None:
    """Excel in Arabic splits at semicolons, and inside of quotes that begin in another cell."""
    make_send(valify_message=text)
    assert exported(desk)[0]["valify_message"] == shown


@pytest.mark.parametrize("text", ["1=1, 'x'", "a;b=1", "(a) - b; c", "x@y.z, w", "٣=1", "", "; "])
def test_other_texts_are_as_they_were(desk: Client, text: str) -> None:
    make_send(valify_message=text, transaction_id="a-b")
    [found] = exported(desk)
    assert (found["valify_message"], found["transaction_id"]) == (text, "a-b")


def test_names_of_users_compute_nothing(desk: Client) -> None:
    make_send(user=User.objects.create_user("@mona"))
    assert exported(desk)[0]["user"] == "'@mona"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 4),
        ({"status__exact": "failed"}, 1),
        ({"trials": "2"}, 1),
        ({"q": "T2"}, 1),
        ({"q": "T2", "status__exact": "failed"}, 0),
        ({"created_at__gte": "2999-01-01 00:00:00+00:00"}, 0),
        ({"p": "1"}, 4),
    ],
)
def test_it_has_what_the_list_has(desk: Client, query: dict[str, str], count: int) -> None:
    make_send(trials_remaining=2)
    make_send(transaction_id="T2")
    make_send()
    make_send(status="failed", code="valify_unreachable", transaction_id="")
    assert len(exported(desk, **query)) == count


def test_the_list_leads_to_it(desk: Client) -> None:
    make_send()
    query = {"status__exact": "sent", "q": "T1", "p": "1"}
    link = f'href="{EXPORT}?q=T1&amp;status__exact=sent"'
    assert link in desk.get(LIST, query).content.decode()


def test_siblings_can_be_exported(desk: Client) -> None:
    row = make_send()
    make_send(phone_number="01112345678")
    assert len(exported(desk, sibling=f"number:{row.pk}")) == 1


@pytest.mark.parametrize("lookup", ["phone_number__startswith", "ip_address__startswith"])
def test_masked_numbers_cannot_be_guessed_digit_by_digit(desk: Client, lookup: str) -> None:
    make_send()
    assert desk.get(EXPORT, {lookup: "0"}).status_code == 400
    assert not LogEntry.objects.exists()


def test_a_filter_that_makes_no_sense(desk: Client) -> None:
    response = desk.get(EXPORT, {"created_at__gte": "x"})
    assert response.status_code == 302
    assert response["Location"] == f"{LIST}?e=1"
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("url", [LIST, EXPORT])
@pytest.mark.parametrize("name", ["q", "status__exact", "sibling", "trials", "created_at__gte"])
@pytest.mark.parametrize("value", ["\0", "T1\0"])
def test_what_no_database_can_look_for(desk: Client, url: str, name: str, value: str) -> None:
    response = desk.get(url, {name: value})
    assert (response.status_code, response["Location"][-4:]) == (302, "?e=1")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("url", [LIST, EXPORT])
@pytest.mark.parametrize(
    "moment",
    [
        "",
        "2026-01-01 00:00:00",
        "2026-01-01 00:00:00+23:59",
        "9999-12-31 23:59:59-14:00",
        "0001-01-01 00:00:00+14:00",
        "2026-02-30 00:00:00+00:00",
    ],
)
def test_moments_that_no_database_can_compare(desk: Client, url: str, moment: str) -> None:
    response = desk.get(url, {"created_at__lt": moment})
    assert (response.status_code, response["Location"][-4:]) == (302, "?e=1")


@pytest.mark.parametrize("url", [LIST, EXPORT])
@pytest.mark.parametrize("charset", ["unicode_escape", "utf-16", "utf-7", "nonsense"])
def test_addresses_are_utf_8(desk: Client, url: str, charset: str) -> None:
    content_type = f"text/plain; charset={charset}"
    query = {"q": "\\ud800\\x00٣"}
    assert desk.get(url, query, CONTENT_TYPE=content_type).status_code == 200
    summary = reverse("admin:otp-send-summary")
    assert desk.get(summary, query, CONTENT_TYPE=content_type).status_code == 200


def test_a_person_whom_the_log_cannot_name_exports_nothing(desk: Client) -> None:
    """On an admin site for principals of another model."""
    request = RequestFactory().get(EXPORT)
    request.user = Robot()  # type: ignore[assignment]
    with pytest.raises(PermissionDenied):
        site.get_model_admin(OtpSend).export_view(request)  # type: ignore[attr-defined]


class Robot:
    """May see everything, and is no user."""

    def has_perm(self, _permission: str) -> bool:
        return True


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
@pytest.mark.parametrize("same_moment", [True, False])
def test_batches_lose_and_repeat_nothing(
    desk: Client, small_batches: None, count: int, same_moment: bool
) -> None:
    now = timezone.now()
    for n in range(count):
        # Not in the order of their keys.
        make_send(created_at=now if same_moment else now + timedelta(hours=n * 5 % 7))
    found = [row["id"] for row in exported(desk)]
    newest_first = OtpSend.objects.order_by("-created_at", "-pk").values_list("uuid", flat=True)
    assert found == [str(uuid) for uuid in newest_first]


def test_rows_are_read_as_they_are_taken(desk: Client, small_batches: None) -> None:
    for n in range(12):
        make_send(user=User.objects.create_user(f"u{n}"))
    response = desk.get(EXPORT)
    chunks = iter(response)
    with CaptureQueriesContext(connection) as queries:
        assert next(chunks).count(b"\n") == 1
        assert len(queries) == 0
        assert next(chunks).count(b"\n") == 3
        assert len(queries) == 1
        rest = b"".join(chunks)
        assert rest.count(b"\n") == 9
        # For each batch, those of the last one's moment and the older ones.
        assert len(queries) <= 1 + 2 * 4


@async_to_sync
async def over_asgi(user: User, queries: CaptureQueriesContext) -> tuple[list[int], str]:
    """The queries made until each chunk, and the whole text."""
    client = AsyncClient()
    await client.aforce_login(user)
    response: Any = await client.get(EXPORT)
    assert response.is_async
    counts, text, before = [], b"", len(queries)
    async for chunk in response.streaming_content:
        counts.append(len(queries) - before)
        text += chunk
    return counts, text.decode()


def test_asgi_streams_too(small_batches: None) -> None:
    person = staff("view_otpsend")
    now = timezone.now()
    for n in range(7):
        make_send(created_at=now - timedelta(seconds=n))
    # Not the proxy, which is another connection in another thread.
    with CaptureQueriesContext(connections["default"]) as queries:
        counts, text = over_asgi(person, queries)
    assert len(rows_of(text)) == 7
    assert counts == [0, 1, 3, 5]
