"""Who may what: each kind of person, at each endpoint and admin page."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from tests.scripted_server import ScriptedServer
from tests.test_api import MASKED, NUMBER, make_send

pytestmark = pytest.mark.django_db

PERMISSIONS = {
    "anonymous": None,
    "owner": [],
    "other": [],
    "staff": [],
    "viewer": ["view_otpsend"],
    "inspector": ["view_otpsend", "view_phone_number"],
    "auditor": ["view_otpsend", "view_otpverification"],
    "number viewer": ["view_phone_number"],
    "blocker": ["view_sendblock", "add_sendblock", "change_sendblock", "delete_sendblock"],
    "superuser": [],
}
NOT_STAFF = {"anonymous", "owner", "other"}
WHOLE, MASK, NONE = NUMBER, MASKED, None

# who: send, rows listed of 2, own row, system row, (list, page, number there, blocks) in the admin
TABLE: dict[str, tuple[int, int, tuple[int, Any], tuple[int, Any], int, int, Any, int]] = {
    "anonymous": (403, 0, (403, NONE), (403, NONE), 302, 302, NONE, 302),
    "owner": (201, 1, (200, WHOLE), (404, NONE), 302, 302, NONE, 302),
    "other": (201, 0, (404, NONE), (404, NONE), 302, 302, NONE, 302),
    "staff": (201, 0, (404, NONE), (404, NONE), 403, 403, NONE, 403),
    "viewer": (201, 2, (200, MASK), (200, MASK), 200, 200, MASK, 403),
    "inspector": (201, 2, (200, WHOLE), (200, WHOLE), 200, 200, WHOLE, 403),
    "auditor": (201, 2, (200, MASK), (200, MASK), 200, 200, MASK, 403),
    "number viewer": (201, 0, (404, NONE), (404, NONE), 403, 403, NONE, 403),
    "blocker": (201, 0, (404, NONE), (404, NONE), 403, 403, NONE, 200),
    "superuser": (201, 2, (200, WHOLE), (200, WHOLE), 200, 200, WHOLE, 200),
}


# who: the admin's summary, the list as CSV, the number there
DESK: dict[str, tuple[int, int, Any]] = {
    "anonymous": (302, 302, NONE),
    "owner": (302, 302, NONE),
    "other": (302, 302, NONE),
    "staff": (403, 403, NONE),
    "viewer": (200, 200, MASK),
    "inspector": (200, 200, WHOLE),
    "auditor": (200, 200, MASK),
    "number viewer": (403, 403, NONE),
    "blocker": (403, 403, NONE),
    "superuser": (200, 200, WHOLE),
}


# who: own row, system row, anonymous row verified; the tries in the admin
VERIFICATIONS: dict[str, tuple[int, int, int, int]] = {
    "anonymous": (403, 403, 403, 302),
    "owner": (200, 404, 200, 302),
    "other": (404, 404, 200, 302),
    "staff": (404, 404, 200, 403),
    "viewer": (404, 404, 200, 403),
    "inspector": (404, 404, 200, 403),
    "auditor": (404, 404, 200, 200),
    "number viewer": (404, 404, 200, 403),
    "blocker": (404, 404, 200, 403),
    "superuser": (404, 404, 200, 200),
}


def make_person(who: str) -> User:
    if who == "superuser":
        return User.objects.create_superuser("root")
    person = User.objects.create_user(who, is_staff=who not in NOT_STAFF)
    person.user_permissions.set(Permission.objects.filter(codename__in=PERMISSIONS[who] or []))
    return person


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


def test_the_table_is_whole() -> None:
    assert set(TABLE) == set(DESK) == set(VERIFICATIONS) == set(PERMISSIONS)


def verify(client: Client, row: OtpSend) -> int:
    body = {"otp": "482913"}
    url = f"/otp/sends/{row.uuid}/verify/"
    return client.post(url, body, content_type="application/json").status_code


@pytest.mark.parametrize("who", VERIFICATIONS)
def test_verifications(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    own, system, anonymous, list_status = VERIFICATIONS[who]
    client = client_of(who, owner)
    assert verify(client, rows[0]) == own
    assert verify(client, rows[1]) == system
    assert verify(client, make_send(caller="anonymous")) == anonymous
    row = OtpVerification.objects.create(
        otp_send=rows[0], status="pending", caller="system", created_at=timezone.now()
    )
    name = "admin:django_valify_otp_otpverification"
    assert client.get(reverse(f"{name}_changelist")).status_code == list_status
    response = client.get(reverse(f"{name}_change", args=[row.pk]))
    assert response.status_code == list_status
    assert NUMBER not in response.content.decode()
    page = client.get(reverse("admin:django_valify_otp_otpsend_change", args=[rows[0].pk]))
    assert ("verifications-group" in page.content.decode()) == (list_status == 200)


@pytest.mark.parametrize("who", VERIFICATIONS)
def test_verifications_after_the_owner_was_deleted(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    client = client_of(who, owner)
    owner.delete()
    assert verify(client, rows[0]) == (403 if who in {"anonymous", "owner"} else 404)
    assert valify.received == []


@pytest.mark.parametrize("who", TABLE)
def test_endpoints(
    valify: ScriptedServer, owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    send, listed, own, system, *_ = TABLE[who]
    client = client_of(who, owner)
    response = client.get("/otp/sends/")
    assert len(response.json().get("results", [])) == listed
    assert look(client, rows[0]) == own
    assert look(client, rows[1]) == system
    body = {"phone_number": NUMBER}
    assert client.post("/otp/sends/", body, content_type="application/json").status_code == send


@pytest.mark.parametrize("who", TABLE)
def test_endpoints_after_the_owner_was_deleted(
    owner: User, rows: tuple[OtpSend, OtpSend], who: str
) -> None:
    *_, system, _list, _page, _number, _blocks = TABLE[who]
    client = client_of(who, owner)
    owner.delete()
    expected = (403, None) if who in {"anonymous", "owner"} else system
    assert look(client, rows[0]) == expected
    assert OtpSend.objects.count() == 2


@pytest.mark.parametrize("who", TABLE)
def test_admin(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    *_, list_status, page_status, number, block_status = TABLE[who]
    client = client_of(who, owner)
    response = client.get(reverse("admin:django_valify_otp_otpsend_changelist"))
    assert response.status_code == list_status
    assert NUMBER not in response.content.decode()
    page = reverse("admin:django_valify_otp_otpsend_change", args=[rows[0].pk])
    response = client.get(page)
    assert response.status_code == page_status
    content = response.content.decode()
    assert (NUMBER in content) == (number == WHOLE)
    assert (MASKED in content) == (number == MASK)
    for name in ("changelist", "add"):
        url = reverse(f"admin:django_valify_otp_sendblock_{name}")
        assert client.get(url).status_code == block_status


@pytest.mark.parametrize("who", DESK)
def test_summary_and_export(owner: User, rows: tuple[OtpSend, OtpSend], who: str) -> None:
    summary_status, export_status, number = DESK[who]
    client = client_of(who, owner)
    response = client.get(reverse("admin:otp-send-summary"))
    assert response.status_code == summary_status
    assert NUMBER not in response.content.decode()
    response = client.get(reverse("admin:otp-send-export"))
    assert response.status_code == export_status
    content = b"".join(response).decode()
    assert content.count(NUMBER) == (2 if number == WHOLE else 0)
    assert content.count(MASKED) == (2 if number == MASK else 0)
    # Each export leaves a trace, and nothing else does.
    assert LogEntry.objects.count() == (export_status == 200)


@pytest.mark.parametrize("who", TABLE)
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
    data = {"scope": "prefix", "value": "+20 101", "reason": "pumping"}
    assert client.post(add, data).status_code == 302
    block = SendBlock.objects.get()
    assert (block.scope, block.value, block.reason) == ("prefix", "0101", "pumping")
    change = reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])
    assert client.post(change, {**data, "value": "0102"}).status_code == 302
    delete = reverse("admin:django_valify_otp_sendblock_delete", args=[block.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 302
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "action_flag")
    assert list(entries) == [("blocker", 1), ("blocker", 2), ("blocker", 3)]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"scope": "number", "value": "1"}, "does not fit the scope"),
        ({"scope": "user"}, "Choose the user"),
        ({"scope": "", "value": ""}, "required"),
    ],
)
def test_a_block_that_could_never_apply_is_an_error_in_the_form(
    owner: User, data: dict[str, str], text: str
) -> None:
    client = client_of("blocker", owner)
    response = client.post(reverse("admin:django_valify_otp_sendblock_add"), data)
    assert response.status_code == 200
    assert text in response.content.decode()
    assert not SendBlock.objects.exists()


def test_numbers_of_blocks_are_masked_in_the_list(owner: User) -> None:
    SendBlock.objects.create(scope="number", value=NUMBER)
    client = client_of("blocker", owner)
    content = client.get(reverse("admin:django_valify_otp_sendblock_changelist")).content.decode()
    assert MASKED in content
    assert NUMBER not in content


def test_permission_classes_of_the_site(valify: ScriptedServer, settings: Settings) -> None:
    settings.VALIFY_OTP = {
        **settings.VALIFY_OTP,
        "PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    }
    body = {"phone_number": NUMBER}
    for who, status in (("other", 403), ("staff", 201)):
        client = Client()
        client.force_login(make_person(who))
        response = client.post("/otp/sends/", body, content_type="application/json")
        assert response.status_code == status
