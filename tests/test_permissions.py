"""Who may what: each kind of person, at each endpoint and admin page."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from tests.configuration import Configure
from tests.factories import MASKED, NOT_STAFF, NUMBER, PERMISSIONS, make_person, make_send
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.django_db

WHOLE, MASK, NONE = NUMBER, MASKED, None


class InApi(NamedTuple):
    """What the endpoints answer: statuses, with how much of the number each row shows."""

    send: int
    rows_listed: int
    own_row: tuple[int, Any]
    system_row: tuple[int, Any]


IN_API = {
    "anonymous": InApi(403, 0, (403, NONE), (403, NONE)),
    "owner": InApi(201, 1, (200, WHOLE), (404, NONE)),
    "other": InApi(201, 0, (404, NONE), (404, NONE)),
    "staff": InApi(201, 0, (404, NONE), (404, NONE)),
    "viewer": InApi(201, 2, (200, MASK), (200, MASK)),
    "inspector": InApi(201, 2, (200, WHOLE), (200, WHOLE)),
    "auditor": InApi(201, 2, (200, MASK), (200, MASK)),
    "number viewer": InApi(201, 0, (404, NONE), (404, NONE)),
    "blocker": InApi(201, 0, (404, NONE), (404, NONE)),
    "superuser": InApi(201, 2, (200, WHOLE), (200, WHOLE)),
}


class InAdmin(NamedTuple):
    """What the admin's pages answer: statuses, and how much of the number the page shows."""

    changelist: int
    page: int
    number_on_page: Any
    blocks: int


IN_ADMIN = {
    "anonymous": InAdmin(302, 302, NONE, 302),
    "owner": InAdmin(302, 302, NONE, 302),
    "other": InAdmin(302, 302, NONE, 302),
    "staff": InAdmin(403, 403, NONE, 403),
    "viewer": InAdmin(200, 200, MASK, 403),
    "inspector": InAdmin(200, 200, WHOLE, 403),
    "auditor": InAdmin(200, 200, MASK, 403),
    "number viewer": InAdmin(403, 403, NONE, 403),
    "blocker": InAdmin(403, 403, NONE, 200),
    "superuser": InAdmin(200, 200, WHOLE, 200),
}


class AtDesk(NamedTuple):
    """The statuses of the summary and the export, and how much of the number the latter shows."""

    summary: int
    export: int
    number: Any


DESK = {
    "anonymous": AtDesk(302, 302, NONE),
    "owner": AtDesk(302, 302, NONE),
    "other": AtDesk(302, 302, NONE),
    "staff": AtDesk(403, 403, NONE),
    "viewer": AtDesk(200, 200, MASK),
    "inspector": AtDesk(200, 200, WHOLE),
    "auditor": AtDesk(200, 200, MASK),
    "number viewer": AtDesk(403, 403, NONE),
    "blocker": AtDesk(403, 403, NONE),
    "superuser": AtDesk(200, 200, WHOLE),
}


class Verifying(NamedTuple):
    """The statuses of a try of each row, and of the admin's pages of tries."""

    own_row: int
    system_row: int
    anonymous_row: int
    tries: int


VERIFICATIONS = {
    "anonymous": Verifying(403, 403, 403, 302),
    "owner": Verifying(200, 404, 200, 302),
    "other": Verifying(404, 404, 200, 302),
    "staff": Verifying(404, 404, 200, 403),
    "viewer": Verifying(404, 404, 200, 403),
    "inspector": Verifying(404, 404, 200, 403),
    "auditor": Verifying(404, 404, 200, 200),
    "number viewer": Verifying(404, 404, 200, 403),
    "blocker": Verifying(404, 404, 200, 403),
    "superuser": Verifying(404, 404, 200, 200),
}


class Looking(NamedTuple):
    """The numbers that the API lists, and the entries that each look leaves in the admin's log."""

    numbers_listed: list[str]
    retrievals: int
    filters: int
    searches: int


LOOKS = {
    "anonymous": Looking([], 0, 0, 0),
    "owner": Looking([WHOLE], 0, 0, 0),
    "other": Looking([], 0, 0, 0),
    "staff": Looking([], 0, 0, 0),
    "viewer": Looking([MASK, MASK], 0, 1, 1),
    "inspector": Looking([MASK, MASK], 2, 0, 0),
    "auditor": Looking([MASK, MASK], 0, 1, 1),
    "number viewer": Looking([], 0, 0, 0),
    "blocker": Looking([], 0, 0, 0),
    "superuser": Looking([MASK, MASK], 2, 0, 0),
}


class Named(NamedTuple):
    """How much is shown of a user name that is a number."""

    in_lists: Any
    on_page: Any
    on_try: Any
    in_export: Any


NAMES = {
    "anonymous": Named(NONE, NONE, NONE, NONE),
    "owner": Named(NONE, NONE, NONE, NONE),
    "other": Named(NONE, NONE, NONE, NONE),
    "staff": Named(NONE, NONE, NONE, NONE),
    "viewer": Named(MASK, MASK, NONE, MASK),
    "inspector": Named(MASK, WHOLE, NONE, WHOLE),
    "auditor": Named(MASK, MASK, MASK, MASK),
    "number viewer": Named(NONE, NONE, NONE, NONE),
    "blocker": Named(NONE, NONE, NONE, NONE),
    "superuser": Named(MASK, WHOLE, WHOLE, WHOLE),
}


@pytest.fixture
def owner() -> User:
    return make_person("owner")


@pytest.fixture
def rows(owner: User) -> tuple[OtpSend, OtpSend]:
    """The owner's row and one of the system's."""
    return make_send(caller=f"user:{owner.pk}", user=owner), make_send()


def client_of(who: str, owner: User) -> Client:
    client = Client()
    if who != "anonymous":
        client.force_login(owner if who == "owner" else make_person(who))
    return client


def look(client: Client, row: OtpSend) -> tuple[int, Any]:
    response = client.get(f"/otp/sends/{row.uuid}/")
    return response.status_code, response.json().get("phone_number")


def test_the_tables_are_whole() -> None:
    for table in (IN_API, IN_ADMIN, DESK, VERIFICATIONS, LOOKS, NAMES):
        assert set(table) == set(PERMISSIONS)


def entries_left_by(request: Callable[[], Any]) -> int:
    before = LogEntry.objects.count()
    request()
    return LogEntry.objects.count() - before


@pytest.mark.parametrize("who", LOOKS)
def test_looks_leave_traces(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    expected = LOOKS[who]
    client = client_of(who, owner)
    listed = client.get("/otp/sends/").json().get("results", [])
    assert [row["phone_number"] for row in listed] == expected.numbers_listed
    assert entries_left_by(lambda: [look(client, row) for row in rows]) == expected.retrievals
    query = {"phone_number": NUMBER}
    assert entries_left_by(lambda: client.get("/otp/sends/", query)) == expected.filters
    url = reverse("admin:django_valify_otp_otpsend_changelist")
    assert entries_left_by(lambda: client.get(url, {"q": NUMBER})) == expected.searches
    assert not LogEntry.objects.filter(change_message__contains=NUMBER).exists()


def seen(client: Client, url: str) -> Any:
    """How much of the number a page shows."""
    content = b"".join(client.get(url)).decode()
    if NUMBER in content:
        return WHOLE
    return MASK if MASKED in content else NONE


@pytest.mark.parametrize("who", NAMES)
def test_names_that_are_numbers(owner: User, who: str) -> None:
    shown = NAMES[who]
    client = client_of(who, owner)
    named: dict[str, Any] = {"user": User.objects.create_user(NUMBER), "caller": f"user:{NUMBER}"}
    row = make_send(phone_number="", **named)
    attempt = OtpVerification.objects.create(
        otp_send=row, status="pending", created_at=timezone.now(), **named
    )
    name = "admin:django_valify_otp_otp"
    assert seen(client, reverse(f"{name}send_changelist")) == shown.in_lists
    assert seen(client, reverse(f"{name}send_change", args=[row.pk])) == shown.on_page
    in_list_of_tries = shown.in_lists if shown.on_try else NONE
    assert seen(client, reverse(f"{name}verification_changelist")) == in_list_of_tries
    page = reverse(f"{name}verification_change", args=[attempt.pk])
    assert entries_left_by(lambda: client.get(page)) == (shown.on_try == WHOLE)
    assert seen(client, page) == shown.on_try
    assert seen(client, reverse("admin:otp-send-export")) == shown.in_export


@pytest.mark.parametrize("who", NAMES)
def test_rows_of_a_user_who_is_gone(owner: User, who: str) -> None:
    expected = IN_ADMIN[who]
    client = client_of(who, owner)
    row = make_send(user_id=10**6, caller=f"user:{10**6}")
    attempt = OtpVerification.objects.create(
        otp_send=row, status="pending", user_id=10**6, caller="x", created_at=timezone.now()
    )
    name = "admin:django_valify_otp_otp"
    assert client.get(reverse(f"{name}send_changelist")).status_code == expected.changelist
    page = client.get(reverse(f"{name}send_change", args=[row.pk]))
    assert page.status_code == expected.page
    export = client.get(reverse("admin:otp-send-export"))
    assert (b"user:1000000" in b"".join(export)) == (expected.changelist == 200)
    tries = VERIFICATIONS[who].tries
    assert client.get(reverse(f"{name}verification_changelist")).status_code == tries
    url = reverse(f"{name}verification_change", args=[attempt.pk])
    assert client.get(url).status_code == tries
    assert look(client, row) == IN_API[who].system_row


def verify(client: Client, row: OtpSend) -> int:
    body = {"otp": "482913"}
    url = f"/otp/sends/{row.uuid}/verify/"
    return client.post(url, body, content_type="application/json").status_code


@pytest.mark.parametrize("who", VERIFICATIONS)
def test_verifications(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    expected = VERIFICATIONS[who]
    client = client_of(who, owner)
    assert verify(client, rows[0]) == expected.own_row
    assert verify(client, rows[1]) == expected.system_row
    assert verify(client, make_send(caller="anonymous")) == expected.anonymous_row
    row = OtpVerification.objects.create(
        otp_send=rows[0], status="pending", caller="system", created_at=timezone.now()
    )
    name = "admin:django_valify_otp_otpverification"
    assert client.get(reverse(f"{name}_changelist")).status_code == expected.tries
    response = client.get(reverse(f"{name}_change", args=[row.pk]))
    assert response.status_code == expected.tries
    assert NUMBER not in response.content.decode()
    page = client.get(reverse("admin:django_valify_otp_otpsend_change", args=[rows[0].pk]))
    assert ("A code is being checked" in page.content.decode()) == (expected.tries == 200)


@pytest.mark.parametrize("who", VERIFICATIONS)
def test_verifications_after_the_owner_was_deleted(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    client = client_of(who, owner)
    owner.delete()
    assert verify(client, rows[0]) == (403 if who in {"anonymous", "owner"} else 404)
    assert valify.received == []


@pytest.mark.parametrize("who", IN_API)
def test_endpoints(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    expected = IN_API[who]
    client = client_of(who, owner)
    response = client.get("/otp/sends/")
    assert len(response.json().get("results", [])) == expected.rows_listed
    assert look(client, rows[0]) == expected.own_row
    assert look(client, rows[1]) == expected.system_row
    body = {"phone_number": NUMBER}
    response = client.post("/otp/sends/", body, content_type="application/json")
    assert response.status_code == expected.send


@pytest.mark.parametrize("who", IN_API)
def test_endpoints_after_the_owner_was_deleted(
    owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    client = client_of(who, owner)
    owner.delete()
    expected = (403, None) if who in {"anonymous", "owner"} else IN_API[who].system_row
    assert look(client, rows[0]) == expected
    assert OtpSend.objects.count() == 2


@pytest.mark.parametrize("who", IN_ADMIN)
def test_admin(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    expected = IN_ADMIN[who]
    client = client_of(who, owner)
    response = client.get(reverse("admin:django_valify_otp_otpsend_changelist"))
    assert response.status_code == expected.changelist
    assert NUMBER not in response.content.decode()
    page = reverse("admin:django_valify_otp_otpsend_change", args=[rows[0].pk])
    response = client.get(page)
    assert response.status_code == expected.page
    content = response.content.decode()
    assert (NUMBER in content) == (expected.number_on_page == WHOLE)
    assert (MASKED in content) == (expected.number_on_page == MASK)
    for name in ("changelist", "add"):
        url = reverse(f"admin:django_valify_otp_sendblock_{name}")
        assert client.get(url).status_code == expected.blocks


@pytest.mark.parametrize("who", DESK)
def test_summary_and_export(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    expected = DESK[who]
    client = client_of(who, owner)
    response = client.get(reverse("admin:otp-send-summary"))
    assert response.status_code == expected.summary
    assert NUMBER not in response.content.decode()
    response = client.get(reverse("admin:otp-send-export"))
    assert response.status_code == expected.export
    content = b"".join(response).decode()
    assert content.count(NUMBER) == (2 if expected.number == WHOLE else 0)
    assert content.count(MASKED) == (2 if expected.number == MASK else 0)
    # Each export leaves a trace, and nothing else does.
    assert LogEntry.objects.count() == (expected.export == 200)


@pytest.mark.parametrize("who", IN_API)
def test_nobody_writes_to_the_record(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    client = client_of(who, owner)
    refused = 302 if who in NOT_STAFF else 403
    row = OtpVerification.objects.create(
        otp_send=rows[0], status="pending", caller="system", created_at=timezone.now()
    )
    for name, arguments in (("add", []), ("change", [rows[0].pk]), ("delete", [rows[0].pk])):
        url = reverse(f"admin:django_valify_otp_otpsend_{name}", args=arguments)
        assert client.post(url, {"post": "yes", "status": "failed"}).status_code == refused
    for name, arguments in (("add", []), ("change", [row.pk]), ("delete", [row.pk])):
        url = reverse(f"admin:django_valify_otp_otpverification_{name}", args=arguments)
        assert client.post(url, {"post": "yes", "status": "failed"}).status_code == refused
    for method in ("put", "patch", "delete"):
        response = getattr(client, method)(f"/otp/sends/{rows[0].uuid}/")
        assert response.status_code == (403 if who == "anonymous" else 405)
    assert list(OtpSend.objects.values_list("status", flat=True)) == ["sent", "sent"]
    assert OtpVerification.objects.get().status == "pending"


def test_blocks_are_made_and_lifted_in_the_admin(owner: User) -> None:
    client = client_of("blocker", owner)
    add = reverse("admin:django_valify_otp_sendblock_add")
    data = {"scope": "prefix", "first_digits": "+20 1012", "reason": "pumping"}
    assert client.post(add, data).status_code == 302
    block = SendBlock.objects.get()
    assert (block.scope, block.value, block.reason) == ("prefix", "01012", "pumping")
    change = reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])
    assert client.post(change, {"reason": "attack"}).status_code == 302
    lift = reverse("admin:django_valify_otp_sendblock_lift", args=[block.pk])
    assert client.post(lift).status_code == 302
    delete = reverse("admin:django_valify_otp_sendblock_delete", args=[block.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "action_flag")
    assert list(entries) == [("blocker", 1), ("blocker", 2), ("blocker", 2)]


def test_numbers_of_blocks_are_masked_in_the_list(owner: User) -> None:
    SendBlock.objects.create(scope="number", value=NUMBER)
    client = client_of("blocker", owner)
    content = client.get(reverse("admin:django_valify_otp_sendblock_changelist")).content.decode()
    assert MASKED in content
    assert NUMBER not in content


def block_page(block: SendBlock) -> str:
    return reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])


@pytest.mark.parametrize(
    ("scope", "value", "shown"),
    [("number", NUMBER, MASKED), ("prefix", NUMBER, MASKED), ("prefix", NUMBER[:9], "010***456")],
)
def test_numbers_of_blocks_are_whole_for_who_may(
    owner: User, scope: str, value: str, shown: str
) -> None:
    block = SendBlock.objects.create(scope=scope, value=value)
    content = client_of("blocker", owner).get(block_page(block)).content.decode()
    assert shown in content
    assert value not in content
    assert not LogEntry.objects.exists()
    assert value in client_of("superuser", owner).get(block_page(block)).content.decode()
    entry = LogEntry.objects.get()
    assert entry.change_message == f"Looked at the whole phone number {shown}."
    assert entry.get_edited_object() == block


def test_a_block_of_a_hidden_number_can_be_lifted(owner: User) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    data = {
        "ends_at_0": "2026-01-02",
        "ends_at_1": "10:00",
        "reason": "over",
        "value": "01112345678",
    }
    assert client_of("blocker", owner).post(block_page(block), data).status_code == 302
    block.refresh_from_db()
    assert (block.scope, block.value, block.reason) == ("number", NUMBER, "over")
    assert block.ends_at


def test_users_of_blocks_whose_names_are_numbers(owner: User) -> None:
    named = User.objects.create_user(NUMBER)
    block = SendBlock.objects.create(scope="user", user=named)
    blocker, root = client_of("blocker", owner), client_of("superuser", owner)
    changelist = reverse("admin:django_valify_otp_sendblock_changelist")
    for client in (blocker, root):
        assert seen(client, changelist) == MASK
    assert seen(blocker, block_page(block)) == MASK
    assert seen(root, block_page(block)) == WHOLE


def test_short_prefixes_and_addresses_are_for_all_who_see_blocks(owner: User) -> None:
    client = client_of("blocker", owner)
    for scope, value in (("prefix", "0101"), ("ip_address", "41.32.10.7")):
        block = SendBlock.objects.create(scope=scope, value=value)
        assert (
            f'<div class="readonly">{value}</div>' in client.get(block_page(block)).content.decode()
        )
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        {"id": "9" * 30},
        {"id__in": "9" * 30},
        {"user": "9" * 30},
        {"user__id__gt": "9" * 30},
        {"value__startswith": "0101"},
        {"user__username__startswith": "0101"},
    ],
)
def test_blocks_can_be_filtered_by_scope_alone(owner: User, query: dict[str, str]) -> None:
    client = client_of("blocker", owner)
    changelist = reverse("admin:django_valify_otp_sendblock_changelist")
    assert client.get(changelist, query).status_code == 400
    assert client.get(changelist, {"scope__exact": "number"}).status_code == 200


def test_permission_classes_of_the_site(valify: ScriptedServer, configure: Configure) -> None:
    configure(PERMISSION_CLASSES=["rest_framework.permissions.IsAdminUser"])
    body = {"phone_number": NUMBER}
    for who, status in (("other", 403), ("staff", 201)):
        client = Client()
        client.force_login(make_person(who))
        response = client.post("/otp/sends/", body, content_type="application/json")
        assert response.status_code == status
