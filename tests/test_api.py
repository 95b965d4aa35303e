"""The endpoints, through real HTTP to a local Valify."""

import json
import uuid
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend
from tests.configuration import Configure
from tests.factories import MASKED, NUMBER, client_of, make_send, staff
from tests.pages import SENDS, url_of
from tests.scripted_server import SEND_PATH, ScriptedServer, answer, hang_up

pytestmark = pytest.mark.django_db


def test_urls() -> None:
    assert reverse("django_valify_otp:otp-send-list") == SENDS
    found = uuid.uuid4()
    assert reverse("django_valify_otp:otp-send-detail", args=[found]) == f"{SENDS}{found}/"


def test_create(valify: ScriptedServer, api: APIClient, user: User) -> None:
    response = api.post(
        SENDS,
        {"phone_number": "+20 10 1234 5678", "lang": "ar", "purpose": "signup"},
        format="json",
        REMOTE_ADDR="41.32.10.7",
    )
    assert response.status_code == 201
    row = OtpSend.objects.get()
    assert response.json() == {
        "id": str(row.uuid),
        "status": "sent",
        "code": None,
        "detail": None,
        "phone_number": NUMBER,
        "lang": "ar",
        "purpose": "signup",
        "transaction_id": "T1",
        "trials_remaining": 2,
        "error_code": None,
        "created_at": response.json()["created_at"],
        "settled_at": response.json()["settled_at"],
        "verified_at": None,
        "resend_at": response.json()["created_at"],
    }
    assert datetime.fromisoformat(response.json()["created_at"]) == row.created_at
    assert (row.user, row.caller, row.ip_address) == (user, f"user:{user.pk}", "41.32.10.7")


def test_create_with_a_number_alone(valify: ScriptedServer, api: APIClient) -> None:
    response = api.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 201
    assert (response.json()["lang"], response.json()["purpose"]) == ("en", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "phone_number"),
        ({"phone_number": ""}, "phone_number"),
        ({"phone_number": None}, "phone_number"),
        ({"phone_number": "0223456789"}, "phone_number"),
        ({"phone_number": "0101234567"}, "phone_number"),
        ({"phone_number": "+14155552671"}, "phone_number"),
        ({"phone_number": "01012345678 ext 5"}, "phone_number"),
        ({"phone_number": "0101234ABCD"}, "phone_number"),
        ({"phone_number": "0" * 10_000}, "phone_number"),
        ({"phone_number": [NUMBER]}, "phone_number"),
        ({"phone_number": {"number": NUMBER}}, "phone_number"),
        ({"phone_number": 1012345678}, "phone_number"),
        ({"phone_number": True}, "phone_number"),
        ({"phone_number": "\ud800"}, "phone_number"),
        ({"phone_number": NUMBER, "lang": "fr"}, "lang"),
        ({"phone_number": NUMBER, "lang": None}, "lang"),
        ({"phone_number": NUMBER, "lang": "\ud800"}, "lang"),
        ({"phone_number": NUMBER, "lang": ["en"]}, "lang"),
        ({"phone_number": NUMBER, "purpose": "sign up"}, "purpose"),
        ({"phone_number": NUMBER, "purpose": "x" * 33}, "purpose"),
        ({"phone_number": NUMBER, "purpose": "تسجيل"}, "purpose"),
        ({"phone_number": NUMBER, "purpose": "\ud800"}, "purpose"),
        ({"phone_number": NUMBER, "purpose": {}}, "purpose"),
        ({"phone_number": NUMBER, "purpose": 7}, "purpose"),
        ({"phone_number": NUMBER, "purpose": " signup"}, "purpose"),
        ({"phone_number": NUMBER, "purpose": "signup\n"}, "purpose"),
        ({"phone_number": NUMBER, "purpose": ""}, "purpose"),
        ({"phone_number": NUMBER, "phone": NUMBER}, "phone"),
        ({"phone_number": NUMBER, "user": 1}, "user"),
        ({"phone_number": NUMBER, "\ud800": 1}, "?"),
    ],
)
def test_bad_fields(
    valify: ScriptedServer, api: APIClient, body: dict[str, Any], field: str
) -> None:
    content = json.dumps(body)
    response = api.generic("POST", SENDS, content, content_type="application/json")
    assert response.status_code == 400
    assert list(response.json()) == [field]
    assert not OtpSend.objects.exists()
    assert valify.received == []


def test_a_bad_number_is_told_what_is_wanted(api: APIClient) -> None:
    english = api.post(SENDS, {"phone_number": "1"}, format="json")
    assert "11 digits" in english.json()["phone_number"][0]
    arabic = api.post(
        SENDS, {"phone_number": "1"}, format="json", headers={"Accept-Language": "ar"}
    )
    assert "رقم" in arabic.json()["phone_number"][0]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b"[" * 100_000, b"{}{}"]
)
def test_bad_json(valify: ScriptedServer, user: User, content: bytes) -> None:
    client = Client()
    client.force_login(user)
    response = client.post(SENDS, content, content_type="application/json")
    assert response.status_code == 400
    assert not OtpSend.objects.exists()


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-16", "utf-7", "nonsense"])
def test_json_and_addresses_are_utf_8(valify: ScriptedServer, user: User, charset: str) -> None:
    client = Client()
    client.force_login(user)
    content_type = f"application/json; charset={charset}"
    body = json.dumps({"phone_number": NUMBER})
    response = client.generic("POST", SENDS, body, content_type=content_type)
    assert response.status_code == 201
    query = {"purpose": "\\ud800"}
    assert client.get(SENDS, query, CONTENT_TYPE=content_type).status_code == 200


def test_addresses_are_utf_8_where_the_site_is_not(api: APIClient, settings: Settings) -> None:
    settings.DEFAULT_CHARSET = "latin-1"
    assert api.get(f"{SENDS}?phone_number={quote('٠١٠١٢٣٤٥٦٧٨')}").status_code == 200


def test_null_is_no_body(api: APIClient) -> None:
    response = api.generic("POST", SENDS, "null", content_type="application/json")
    assert response.json() == {"non_field_errors": ["No data provided"]}


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
)
def test_json_only(valify: ScriptedServer, user: User, content_type: str) -> None:
    client = Client()
    client.force_login(user)
    response = client.post(SENDS, b"phone_number=1", content_type=content_type)
    assert response.status_code == 415
    assert not OtpSend.objects.exists()


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_rows_cannot_be_changed(api: APIClient, user: User, method: str) -> None:
    row = make_send(caller=f"user:{user.pk}")
    assert getattr(api, method)(SENDS).status_code == 405
    assert getattr(api, method)(url_of(row)).status_code == 405


def test_errors_of_a_send(valify: ScriptedServer, api: APIClient) -> None:
    valify.answer_send(answer(422, {"message": "Not on Fridays", "error_code": 17}))
    response = api.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 422
    row = OtpSend.objects.get()
    assert response.json() == {
        "detail": "Not on Fridays",
        "code": "rejected",
        "id": str(row.uuid),
        "error_code": "17",
    }
    found = api.get(url_of(row)).json()
    assert (found["code"], found["detail"]) == ("rejected", "Not on Fridays")
    assert (found["error_code"], found["transaction_id"]) == ("17", None)


@pytest.mark.parametrize(
    ("status", "body"),
    [(422, {}), (200, {"result": {"success": False}, "message": "secret reason"})],
)
def test_only_a_422_s_message_is_shown_to_callers(
    valify: ScriptedServer, api: APIClient, status: int, body: dict[str, Any]
) -> None:
    valify.answer_send(answer(status, body))
    response = api.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 422
    assert response.json()["detail"] == "The code could not be sent to this number."


@pytest.mark.parametrize(("given", "shown"), [("120", "120"), ("soon", None)])
def test_busy(valify: ScriptedServer, api: APIClient, given: str, shown: str | None) -> None:
    valify.answer_send(answer(429, b"", {"Retry-After": given}))
    response = api.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 503
    assert response.json()["code"] == "valify_busy"
    assert response.headers.get("Retry-After") == shown


def test_errors_speak_the_caller_s_language(valify: ScriptedServer, api: APIClient) -> None:
    valify.answer_send(answer(500))
    response = api.post(
        SENDS, {"phone_number": NUMBER}, format="json", headers={"Accept-Language": "ar"}
    )
    assert response.status_code == 504
    assert "الرمز" in response.json()["detail"]


def test_anonymous_callers_are_refused_by_default(valify: ScriptedServer) -> None:
    client = client_of()
    for response in (
        client.post(SENDS, {"phone_number": NUMBER}, format="json"),
        client.get(SENDS),
        client.get(url_of(make_send(caller="anonymous"))),
    ):
        assert response.status_code == 403
    assert valify.received == []


@pytest.mark.usefixtures("open_to_all")
def test_an_anonymous_attempt(valify: ScriptedServer, user: User) -> None:
    client = client_of()
    response = client.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 201
    assert response.json()["phone_number"] == MASKED
    row = OtpSend.objects.get()
    assert (row.caller, row.user) == ("anonymous", None)
    for caller in (client, client_of(user), client_of(staff())):
        assert caller.get(SENDS).json()["results"] == []
        found = caller.get(url_of(row))
        assert (found.status_code, found.json()["phone_number"]) == (200, MASKED)


@pytest.mark.usefixtures("open_to_all")
def test_a_site_without_an_anonymous_user(valify: ScriptedServer, settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}
    client = client_of()
    response = client.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert (response.status_code, response.json()["phone_number"]) == (201, MASKED)
    assert client.get(SENDS).json()["results"] == []
    assert client.get(url_of(OtpSend.objects.get())).status_code == 200


@pytest.mark.usefixtures("open_to_all", "clock")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"settled_at": timedelta(seconds=-599)}, 200),
        ({"settled_at": timedelta(seconds=-601)}, 404),
        ({"status": "pending", "settled_at": None}, 200),
        ({"status": "pending", "settled_at": None, "created_at": timedelta(seconds=-601)}, 404),
        ({"caller": "system"}, 404),
        ({"caller": "erased"}, 404),
        ({"caller": "user:0"}, 404),
    ],
)
def test_anonymous_rows_are_open_for_a_while(fields: dict[str, Any], status: int) -> None:
    now = timezone.now()
    moments = {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in fields.items()
    }
    row = make_send(**{"caller": "anonymous", **moments})
    assert client_of().get(url_of(row)).status_code == status


def test_one_s_own_rows(api: APIClient, user: User) -> None:
    own = make_send(caller=f"user:{user.pk}")
    other = make_send(caller=f"user:{user.pk + 1}")
    system = make_send()
    assert [row["id"] for row in api.get(SENDS).json()["results"]] == [str(own.uuid)]
    assert api.get(url_of(own)).json()["phone_number"] == NUMBER
    assert api.get(url_of(other)).status_code == 404
    assert api.get(url_of(system)).status_code == 404
    assert api.get(f"{SENDS}{uuid.uuid4()}/").status_code == 404
    for malformed in (own.pk, "0.5"):
        response = api.get(f"{SENDS}{malformed}/")
        assert (response.status_code, response["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize(
    ("permissions", "listed", "shown"),
    [
        ((), [], None),
        (("view_phone_number",), [], None),
        (("view_otpsend",), [MASKED], MASKED),
        (("view_otpsend", "view_phone_number"), [MASKED], NUMBER),
    ],
)
def test_staff(permissions: tuple[str, ...], listed: list[str], shown: str | None) -> None:
    row = make_send()
    client = client_of(staff(*permissions))
    results = client.get(SENDS).json()["results"]
    assert [found["phone_number"] for found in results] == listed
    response = client.get(url_of(row))
    assert response.status_code == (200 if listed else 404)
    assert response.json().get("phone_number") == shown


def test_the_permission_alone_does_not_make_staff(user: User) -> None:
    user.user_permissions.set(Permission.objects.filter(codename="view_otpsend"))
    make_send()
    client = client_of(User.objects.get(pk=user.pk))
    assert client.get(SENDS).json()["results"] == []


def test_superusers_see_everything() -> None:
    row = make_send()
    client = client_of(User.objects.create_superuser("root"))
    assert [row["phone_number"] for row in client.get(SENDS).json()["results"]] == [MASKED]
    assert client.get(url_of(row)).json()["phone_number"] == NUMBER


@pytest.fixture
def desk() -> APIClient:
    return client_of(staff("view_otpsend", "view_phone_number"))


FILTERS = [
    ({"status": "sent"}, 2),
    ({"status": "failed"}, 1),
    ({"status": "queued"}, 0),
    ({"code": "valify_unreachable"}, 1),
    ({"phone_number": "+20 10 1234 5678"}, 2),
    ({"phone_number": "٠١١١٢٣٤٥٦٧٨"}, 1),
    ({"phone_number": "01512345678"}, 0),
    ({"transaction_id": "T2"}, 1),
    ({"transaction_id": "T"}, 0),
    ({"purpose": "signup"}, 1),
    ({"purpose": " signup"}, 0),
    ({"created_after": "2026-01-02T00:00:00Z"}, 2),
    ({"created_before": "2026-01-02T00:00:00Z"}, 1),
    ({"created_after": "2026-01-01T00:00:00Z", "created_before": "2026-01-03T00:00:00Z"}, 2),
    ({"status": "sent", "phone_number": NUMBER, "purpose": "signup"}, 1),
]


@pytest.mark.parametrize(("query", "count"), FILTERS)
def test_filters(desk: APIClient, query: dict[str, str], count: int) -> None:
    day = datetime.fromisoformat("2026-01-01T00:00:00Z")
    make_send(created_at=day, purpose="signup")
    make_send(created_at=day + timedelta(days=1), transaction_id="T2")
    make_send(
        created_at=day + timedelta(days=2),
        phone_number="01112345678",
        status="failed",
        code="valify_unreachable",
        transaction_id="",
    )
    response = desk.get(SENDS, query)
    assert response.status_code == 200
    assert len(response.json()["results"]) == count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "lost"),
        ("status", ""),
        ("code", ""),
        ("phone_number", ""),
        ("transaction_id", ""),
        ("created_after", ""),
        ("code", "lost"),
        ("phone_number", "1"),
        ("phone_number", "0223456789"),
        ("transaction_id", "x" * 256),
        ("transaction_id", "nul\x00"),
        ("purpose", "x" * 33),
        ("created_after", "yesterday"),
        ("created_after", "0001-01-01T00:00:00+14:00"),
        ("created_before", "2026-13-01"),
        ("created_before", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_bad_filters(desk: APIClient, name: str, value: str) -> None:
    response = desk.get(SENDS, {name: value})
    assert response.status_code == 400
    assert list(response.json()) == [name]


@pytest.mark.parametrize(
    "name", ["state", "created_at", "otp", "ordering", "page", "لون", "\ud800", "phone_number[]"]
)
def test_filters_that_there_are_not(desk: APIClient, name: str) -> None:
    response = desk.get(SENDS, QUERY_STRING=f"{quote(name, errors='replace')}=1&status=sent")
    assert response.status_code == 400
    assert [*response.json().values()] == [["There is no such filter."]]


@pytest.mark.parametrize("query", ["format=json", "version=1", "status=sent&status=failed"])
def test_what_drf_reads_of_a_query_is_no_filter(desk: APIClient, query: str) -> None:
    assert desk.get(SENDS, QUERY_STRING=query).status_code == 200


def test_addresses_without_their_last_slash(
    valify: ScriptedServer, user: User, settings: Settings
) -> None:
    """Django would redirect a POST, which most clients then repeat as a GET."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]
    api = client_of(user)
    response = api.post("/otp/sends", {"phone_number": NUMBER}, format="json")
    assert response.status_code == 201
    url = f"/otp/sends/{response.json()['id']}"
    assert api.get(url).json()["id"] == response.json()["id"]
    assert len(api.get("/otp/sends").json()["results"]) == 1
    assert api.post(f"{url}/verify", {"otp": "123456"}, format="json").json()["verified"]
    assert reverse("django_valify_otp:otp-send-list") == "/otp/sends/"


@pytest.mark.parametrize("name", ["created_after", "created_before"])
def test_moments_that_leave_the_calendar_on_the_way_to_utc(
    desk: APIClient, settings: Settings, name: str
) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    assert desk.get(SENDS, {name: "0001-01-01T01:00:00"}).status_code == 400


def test_pages_are_of_fifty_newest_first(
    desk: APIClient, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    rows = [make_send(created_at=now + timedelta(seconds=n)) for n in range(101)]
    with django_assert_num_queries(3):  # two of them for the permissions
        first = desk.get(SENDS).json()
    second = desk.get(first["next"]).json()
    third = desk.get(second["next"]).json()
    assert [len(page["results"]) for page in (first, second, third)] == [50, 50, 1]
    assert third["next"] is None
    found = [row["id"] for page in (first, second, third) for row in page["results"]]
    assert found == [str(row.uuid) for row in reversed(rows)]
    assert desk.get(third["previous"]).json()["results"] == second["results"]


def test_pages_hold_rows_of_one_moment(desk: APIClient) -> None:
    now = timezone.now()
    rows = [make_send(created_at=now) for _ in range(60)]
    first = desk.get(SENDS).json()
    second = desk.get(first["next"]).json()
    found = [row["id"] for page in (first, second) for row in page["results"]]
    assert found == [str(row.uuid) for row in reversed(rows)]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "p=",
        "p=garbage",
        "r=1&p=0001-01-01 00:00+14:00",
        "p=0001-01-01 00:00:00+14:00",
        "p=9999-12-31 23:59:59-23:59",
        "p=2026-01-01 00:00:00+23:59",
        "p=2026-01-01 00:00:00",
        "p=2026-13-01 00:00:00+00:00",
        "p=2026-01-01T00:00:00Z",
        "p=2026-01-01",
        "p=\0",
    ],
)
def test_a_cursor_that_nobody_gave(desk: APIClient, cursor: str) -> None:
    made_up = b64encode(quote(cursor, safe="=&").encode()).decode() or "x"
    assert desk.get(SENDS, {"cursor": made_up}).status_code == 404


def test_cursors_where_times_are_naive(desk: APIClient, settings: Settings) -> None:
    settings.USE_TZ = False
    rows = [make_send() for _ in range(51)]
    first = desk.get(SENDS).json()
    assert len(desk.get(first["next"]).json()["results"]) == len(rows) - 50
    aware = b64encode(quote("p=2026-01-01 00:00:00+00:00", safe="=&").encode()).decode()
    assert desk.get(SENDS, {"cursor": aware}).status_code == 404


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "address"),
    [
        (None, "1.2.3.4", "41.32.10.7", "41.32.10.7"),
        (0, "1.2.3.4", "41.32.10.7", "41.32.10.7"),
        (1, "1.2.3.4", "10.0.0.1", "1.2.3.4"),
        (1, "9.9.9.9, 1.2.3.4", "10.0.0.1", "1.2.3.4"),
        (2, "9.9.9.9, 1.2.3.4, 10.0.0.2", "10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.1", "10.0.0.1"),
        (1, None, "41.32.10.7", "41.32.10.7"),
        (1, "1.2.3.4:5678", "10.0.0.1", "1.2.3.4"),
        (1, "[2001:db8::1]:443", "10.0.0.1", "2001:db8::1"),
        (1, "unknown", "10.0.0.1", None),
        (None, None, "", None),
        (None, None, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_client_address(
    valify: ScriptedServer,
    api: APIClient,
    settings: Settings,
    proxies: int | None,
    forwarded: str | None,
    remote: str,
    address: str | None,
) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    api.post(SENDS, {"phone_number": NUMBER}, format="json", headers=headers, REMOTE_ADDR=remote)
    assert OtpSend.objects.get().ip_address == address


@pytest.fixture
def atomic_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)


@pytest.mark.usefixtures("atomic_requests")
@pytest.mark.django_db(transaction=True)
def test_a_failed_send_leaves_its_row_under_atomic_requests(
    valify: ScriptedServer, api: APIClient
) -> None:
    valify.answer_send(answer(400))
    response = api.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert response.status_code == 502
    assert OtpSend.objects.get().status == OtpSend.Status.REJECTED


@pytest.mark.usefixtures("atomic_requests")
def test_queries_go_on_after_an_error_in_a_test_case(
    valify: ScriptedServer, api: APIClient
) -> None:
    valify.answer_send(hang_up)
    for body, status in (({"phone_number": NUMBER}, 504), ({"phone_number": "1"}, 400)):
        assert api.post(SENDS, body, format="json").status_code == status
        assert OtpSend.objects.count() == 1
    assert api.get(f"{SENDS}{uuid.uuid4()}/").status_code == 404
    assert client_of().get(SENDS).status_code == 403
    assert OtpSend.objects.count() == 1


def test_a_fault_of_ours_is_not_hidden(
    valify: ScriptedServer, api: APIClient, configure: Configure
) -> None:
    configure(PERMISSION_CLASSES=["nowhere"])
    api.raise_request_exception = False
    assert api.post(SENDS, {"phone_number": NUMBER}, format="json").status_code == 500
    assert valify.at(SEND_PATH) == []


def test_options_describe_the_body(api: APIClient) -> None:
    body = api.options(SENDS).json()["actions"]["POST"]
    assert [name for name, field in body.items() if field["required"]] == ["phone_number"]
    assert set(body) == {"phone_number", "lang", "purpose"}


def test_csrf_is_not_weakened(valify: ScriptedServer, user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    response = client.post(SENDS, {"phone_number": NUMBER}, content_type="application/json")
    assert response.status_code == 403
    assert valify.received == []


def test_an_anonymised_attempt_has_no_number() -> None:
    make_send(phone_number="", caller="erased")
    for person in (staff("view_otpsend"), staff("view_otpsend", "view_phone_number")):
        [found] = client_of(person).get("/otp/sends/").json()["results"]
        assert found["phone_number"] is None
