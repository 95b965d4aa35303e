"""Looks at other people's numbers: who may, and what the admin's log has of them."""

import re
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.admin import models as admin_models
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from django.urls import reverse
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp.audit import looks
from django_valify_otp.models import OtpSend
from tests.factories import MASKED, NUMBER, client_of, make_send, staff
from tests.pages import EXPORT, LIST, SENDS, found, page_of, url_of

pytestmark = pytest.mark.django_db

SEARCHED = f"Searched for the whole phone number {MASKED}."
LOOKED = f"Looked at the whole phone number {MASKED}."


def entries() -> list[str]:
    """What the log says, oldest first."""
    return list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))


@pytest.fixture
def viewer() -> User:
    return staff("view_otpsend")


@pytest.fixture
def inspector_user() -> User:
    return staff("view_otpsend", "view_phone_number")


class Principal:
    """Somebody logged in who is no user: another model of the site's."""

    _meta = Group._meta
    is_authenticated = True
    is_staff = True
    pk = 1

    def __init__(self, *permissions: str) -> None:
        self.permissions = permissions

    def has_perm(self, permission: str) -> bool:
        return permission.partition(".")[2] in self.permissions


def principal_api(*permissions: str) -> APIClient:
    client = APIClient()
    client.force_authenticate(Principal(*permissions))  # type: ignore[arg-type]
    return client


def test_entries_are_changes_to_django() -> None:
    assert looks.CHANGE == admin_models.CHANGE


def test_the_api_lists_no_number_of_others_whole(inspector_user: User) -> None:
    make_send()
    own = make_send(phone_number="01112345678", caller=f"user:{inspector_user.pk}")
    results = client_of(inspector_user).get(SENDS).json()["results"]
    numbers = {row["id"]: row["phone_number"] for row in results}
    assert numbers.pop(str(own.uuid)) == "01112345678"
    assert [*numbers.values()] == [MASKED]
    assert entries() == []


def test_a_whole_number_in_the_api_leaves_a_trace(inspector_user: User) -> None:
    row = make_send()
    assert client_of(inspector_user).get(url_of(row)).json()["phone_number"] == NUMBER
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (inspector_user, str(row.pk))
    assert (entry.object_repr, entry.change_message) == (str(row), LOOKED)


def test_one_s_own_number_leaves_no_trace(inspector_user: User) -> None:
    row = make_send(caller=f"user:{inspector_user.pk}")
    assert client_of(inspector_user).get(url_of(row)).json()["phone_number"] == NUMBER
    assert entries() == []


def test_an_anonymised_number_leaves_no_trace(inspector_user: User) -> None:
    row = make_send(phone_number="", caller="erased")
    assert client_of(inspector_user).get(url_of(row)).json()["phone_number"] is None
    assert entries() == []


@pytest.mark.parametrize("is_staff", [True, False])
def test_who_holds_an_anonymous_attempt_s_id_sees_it_masked(*, is_staff: bool) -> None:
    person = staff("view_phone_number")
    User.objects.filter(pk=person.pk).update(is_staff=is_staff)
    client = client_of(User.objects.get(pk=person.pk))
    response = client.get(url_of(make_send(caller="anonymous")))
    assert (response.status_code, response.json()["phone_number"]) == (200, MASKED)
    assert entries() == []


def test_numbers_stay_masked_where_the_log_cannot_name_who_looks() -> None:
    client = principal_api("view_otpsend", "view_phone_number")
    response = client.get(url_of(make_send()))
    assert (response.status_code, response.json()["phone_number"]) == (200, MASKED)
    assert entries() == []


def test_numbers_stay_masked_where_there_is_no_log(
    inspector_user: User, settings: Settings
) -> None:
    row = make_send()
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django.contrib.admin"
    ]
    client = client_of(inspector_user)
    assert client.get(url_of(row)).json()["phone_number"] == MASKED
    assert len(client.get(SENDS, {"phone_number": NUMBER}).json()["results"]) == 1


def test_numbers_stay_masked_for_a_user_who_is_gone() -> None:
    root = User.objects.create_superuser("root")
    client, row = client_of(root), make_send()
    User.objects.all().delete()
    response = client.get(url_of(row))
    assert (response.status_code, response.json()["phone_number"]) == (200, MASKED)


def test_the_endpoints_need_no_admin() -> None:
    program = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_valify_otp"],
    SECRET_KEY="x", USE_TZ=True,
)
django.setup()
from django.contrib.auth.models import User
from django_valify_otp import urls
from django_valify_otp.audit import looks
assert not looks.can_be_logged(User())
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_search_by_number_leaves_a_trace(viewer: User) -> None:
    row = make_send()
    assert found(client_of(viewer), q="+20 10 1234 5678") == [row]
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.object_repr) == (viewer, None, "OTP sends")
    assert entry.change_message == SEARCHED


@pytest.mark.parametrize("term", ["T1", "0101", "0101234567", "6f9619ff8b86d011b42d00cf4fc964ff"])
def test_a_search_by_something_else_leaves_none(viewer: User, term: str) -> None:
    make_send()
    found(client_of(viewer), q=term)
    assert entries() == []


def test_who_may_see_numbers_may_search_for_them(inspector_user: User) -> None:
    row = make_send()
    assert found(client_of(inspector_user), q=NUMBER) == [row]
    api = client_of(inspector_user)
    assert len(api.get(SENDS, {"phone_number": NUMBER}).json()["results"]) == 1
    assert entries() == []


def test_the_siblings_of_a_masked_number_leave_a_trace(viewer: User) -> None:
    """Or somebody could send to numbers that they guess, and see which one is among them."""
    row, guess = make_send(), make_send(caller=f"user:{viewer.pk}")
    assert found(client_of(viewer), sibling=f"number:{row.pk}") == [guess, row]
    assert entries() == [SEARCHED]
    assert found(client_of(viewer), sibling=f"caller:{row.pk}") == [row]
    assert entries() == [SEARCHED]


def test_an_export_by_number_leaves_its_traces(viewer: User) -> None:
    make_send()
    client_of(viewer).get(EXPORT, {"q": NUMBER})
    assert entries() == [SEARCHED, f"Exported as CSV with masked phone numbers: q={MASKED}"]


def test_a_filter_by_number_in_the_api_leaves_a_trace(viewer: User) -> None:
    make_send()
    results = client_of(viewer).get(SENDS, {"phone_number": "010-1234-5678"}).json()["results"]
    assert [row["phone_number"] for row in results] == [MASKED]
    assert entries() == [SEARCHED]
    client_of(viewer).get(SENDS, {"phone_number": "01112345678"})
    assert entries() == [SEARCHED, SEARCHED.replace(MASKED, "011*****678")]


def test_one_s_own_attempts_can_be_filtered_by_number_without_a_trace(user: User) -> None:
    make_send(caller=f"user:{user.pk}")
    make_send()
    assert len(client_of(user).get(SENDS, {"phone_number": NUMBER}).json()["results"]) == 1
    assert entries() == []


def test_a_filter_by_number_that_cannot_be_logged_finds_one_s_own() -> None:
    client = principal_api("view_otpsend")
    make_send()
    assert client.get(SENDS, {"phone_number": NUMBER}).json()["results"] == []
    assert len(client.get(SENDS, {"status": "sent"}).json()["results"]) == 1


def test_a_search_by_number_that_cannot_be_logged_finds_nothing() -> None:
    """On an admin site for principals of another model."""
    make_send()
    request = RequestFactory().get(LIST)
    request.user = Principal("view_otpsend")  # type: ignore[assignment]
    searched = site.get_model_admin(OtpSend).get_search_results
    assert not searched(request, OtpSend.objects.all(), NUMBER)[0].exists()
    assert searched(request, OtpSend.objects.all(), "T1")[0].exists()


def test_the_log_shows_no_whole_number(inspector_user: User, viewer: User) -> None:
    row = make_send()
    desk, api = client_of(inspector_user), client_of(inspector_user)
    for response in (desk.get(page_of(row)), api.get(url_of(row)), desk.get(EXPORT, {"q": NUMBER})):
        assert response.status_code == 200
    client_of(viewer).get(LIST, {"q": NUMBER})
    assert LogEntry.objects.count() == 4
    history = reverse("admin:django_valify_otp_otpsend_history", args=[row.pk])
    for client in (desk, client_of(viewer)):
        for url in (reverse("admin:index"), history):
            content = client.get(url).content.decode()
            assert NUMBER not in content
    assert NUMBER not in str(LogEntry.objects.values_list())


@pytest.mark.parametrize("column", range(-1, 12))
@pytest.mark.parametrize("sign", ["", "-"], ids=["up", "down"])
def test_no_order_tells_what_is_masked(viewer: User, column: int, sign: str) -> None:
    users = [User.objects.create_user(name) for name in ("01212345678", "01012345678")]
    rows = [make_send(user=user, phone_number=user.username) for user in users]
    newest_first = rows[::-1]
    listed = found(client_of(viewer), o=f"{sign}{column}")
    by_time = {"0": rows, "-0": newest_first}
    assert listed == by_time.get(f"{sign}{column}", newest_first)


NAME = "01112345678"
KEYS = (NAME, "+20 11 1234 5678", f"{NAME}@example.com", f"tel:{NAME}")


@pytest.fixture
def rows_of_named(db: None) -> list[OtpSend]:
    """Attempts whose user and caller are phone numbers, in several spellings."""
    return [
        make_send(user=User.objects.create_user(key), caller=f"user:{key}", phone_number="")
        for key in KEYS
    ]


def numbers_in(content: str) -> list[str]:
    return [key for key in (*KEYS, NAME[1:], "11 1234 5678") if key in content]


def test_names_that_are_numbers_are_masked_in_lists(
    viewer: User, inspector_user: User, rows_of_named: list[OtpSend]
) -> None:
    for person in (viewer, inspector_user):
        content = client_of(person).get(LIST).content.decode()
        # Each once in the column, and once for who points at it.
        assert content.count("011*****678") == 2 * len(KEYS)
        assert numbers_in(content) == []


def test_names_that_are_numbers_are_masked_on_pages(
    viewer: User, rows_of_named: list[OtpSend]
) -> None:
    for row in rows_of_named:
        content = client_of(viewer).get(page_of(row)).content.decode()
        assert re.search(r"user (tel:)?011\*{5}678", content)
        assert numbers_in(content) == []
    assert entries() == []


def test_names_that_are_numbers_are_whole_for_who_may_and_leave_a_trace(
    inspector_user: User, rows_of_named: list[OtpSend]
) -> None:
    content = client_of(inspector_user).get(page_of(rows_of_named[0])).content.decode()
    assert f"user {NAME}" in content
    assert entries() == ["Looked at the whole phone number 011*****678, user:011*****678."]


def test_names_that_are_numbers_are_masked_in_exports(
    viewer: User, inspector_user: User, rows_of_named: list[OtpSend]
) -> None:
    text = b"".join(client_of(viewer).get(EXPORT)).decode()
    assert text.count("011*****678") == 2 * len(KEYS)
    assert numbers_in(text) == []
    whole = b"".join(client_of(inspector_user).get(EXPORT)).decode()
    assert "*" not in whole
    assert f"user:{NAME}" in whole


def test_other_names_are_shown_to_all(desk: Client, user: User) -> None:
    row = make_send(user=user, caller=f"user:{user.pk}")
    content = desk.get(page_of(row)).content.decode()
    change = reverse("admin:auth_user_change", args=[user.pk])
    assert f'<a href="{change}">mona</a>' in content
    assert f"user {user.pk}" in content


def test_the_key_of_a_user_is_not_in_a_link_either(viewer: User) -> None:
    """Not saved, as MariaDB would go on counting from such a key."""
    request = RequestFactory().get(LIST)
    request.user = viewer
    fields = {}
    for key in (17, int(NAME)):
        row = OtpSend(user=User(pk=key, username="mona"), caller="system")
        found = site.get_model_admin(OtpSend).get_fieldsets(request, row)
        fields[key] = {name for _, options in found for name in options["fields"]}
    assert fields[17] - fields[int(NAME)] == {"user"}
    assert fields[int(NAME)] - fields[17] == {"masked_user"}


def test_rows_of_a_user_who_is_gone(desk: Client, inspector: Client) -> None:
    row = make_send(user_id=10**6, caller=f"user:{10**6}")
    for client in (desk, inspector):
        assert found(client) == [row]
        for url, name in ((page_of(row), b"user 1000000"), (EXPORT, b"user:1000000")):
            response: Any = client.get(url)
            assert response.status_code == 200
            assert name in b"".join(response)


def test_the_api_has_rows_of_a_user_who_is_gone(inspector_user: User) -> None:
    row = make_send(user_id=10**6, caller=f"user:{10**6}")
    client = client_of(inspector_user)
    assert len(client.get(SENDS).json()["results"]) == 1
    assert client.get(url_of(row)).status_code == 200
