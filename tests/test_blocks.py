"""Blocks at the desk: made by a form, filled in from an attempt, found, lifted, and announced."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_valify_otp.audit import block_admin
from django_valify_otp.audit.block_links import block_links
from django_valify_otp.models import OtpSend, SendBlock
from tests.factories import MASKED, NUMBER, client_of, make_send, make_try, staff
from tests.pages import LIST, found, page_of

pytestmark = pytest.mark.django_db

ADD = reverse("admin:django_valify_otp_sendblock_add")
BLOCKS = reverse("admin:django_valify_otp_sendblock_changelist")
BLOCKER = ("view_sendblock", "add_sendblock", "change_sendblock", "delete_sendblock")


def page(block: SendBlock) -> str:
    return reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])


def lift(block: SendBlock) -> str:
    return reverse("admin:django_valify_otp_sendblock_lift", args=[block.pk])


@pytest.fixture
def blocker() -> Client:
    """The admin, as somebody who may block, and sees numbers masked."""
    return client_of(staff(*BLOCKER, "view_otpsend"))


@pytest.fixture
def chief() -> Client:
    """The admin, as somebody who may block, and sees whole numbers."""
    return client_of(staff(*BLOCKER, "view_otpsend", "view_phone_number"))


def fields_of(client: Client, url: str) -> dict[str, Any]:
    """What a form is filled in with."""
    form = client.get(url).context["adminform"].form
    return {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}


def errors_of(client: Client, url: str, data: dict[str, Any]) -> dict[str, list[str]]:
    """Which errors a form shows, at which field."""
    response = client.post(url, data)
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def links_of(row: OtpSend) -> dict[str, str]:
    """The form of each scope, filled in from an attempt."""
    return {url.rpartition("=")[2]: url for _label, url in block_links(row)}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"scope": "number", "number": "+20 10 1234 5678"}, NUMBER),
        ({"scope": "prefix", "first_digits": "٠١٠١"}, "0101"),
        ({"scope": "ip_address", "ip_address": " 41.32.10.7 "}, "41.32.10.7"),
        ({"scope": "ip_address", "ip_address": "41.32.10.7/24"}, "41.32.10.0/24"),
        ({"scope": "everything", "confirm": "on"}, ""),
    ],
)
def test_each_scope_has_its_field(blocker: Client, data: dict[str, str], value: str) -> None:
    assert blocker.post(ADD, {**data, "reason": "pumping"}).status_code == 302
    block = SendBlock.objects.get()
    assert (block.scope, block.value, block.reason) == (data["scope"], value, "pumping")


@pytest.mark.parametrize(
    "term", ["{0.pk}", "mona", " mona ", "mona@example.com", "MONA@example.com"]
)
def test_a_user_is_named_as_support_knows_them(blocker: Client, term: str) -> None:
    user = User.objects.create_user("mona", "mona@example.com")
    data = {"scope": "user", "user": term.format(user)}
    assert blocker.post(ADD, data).status_code == 302
    assert SendBlock.objects.get().user == user


@pytest.mark.parametrize(
    ("data", "field", "text"),
    [
        ({"scope": "number", "number": "1"}, "number", "such as 01234567890"),
        ({"scope": "number"}, "number", "such as 01234567890"),
        ({"scope": "prefix", "first_digits": "010"}, "first_digits", "at least 4 digits"),
        ({"scope": "prefix", "first_digits": "0201"}, "first_digits", "such as 0101234"),
        ({"scope": "ip_address", "ip_address": "41.32"}, "ip_address", "such as 41.32.10.7"),
        ({"scope": "user"}, "user", "such as 42 or mona"),
        ({"scope": "user", "user": "nobody"}, "user", "such as 42 or mona"),
        ({"scope": "user", "user": "\0"}, "user", "such as 42 or mona"),
        ({"scope": "user", "user": "9" * 30}, "user", "such as 42 or mona"),
        ({"scope": ""}, "scope", "required"),
        ({"scope": "number", "number": NUMBER, "ip_address": "1.1.1.1"}, "ip_address", "empty"),
        ({"scope": "everything"}, "confirm", "stops all sending"),
        (
            {"scope": "everything", "ends_at_0": "2000-01-01", "ends_at_1": "10:00"},
            "ends_at",
            "has passed",
        ),
        (
            {"scope": "everything", "ends_at_0": "9999-12-31", "ends_at_1": "23:59"},
            "ends_at",
            "between 2 and 9998",
        ),
    ],
)
def test_errors_are_at_their_field_with_an_example(
    blocker: Client, data: dict[str, str], field: str, text: str
) -> None:
    errors = errors_of(blocker, ADD, data)
    assert [*errors] == [field]
    assert text in errors[field][0]
    assert not SendBlock.objects.exists()


@pytest.mark.parametrize(
    ("data", "again", "field"),
    [
        ({"scope": "number", "number": NUMBER}, {"number": f"+2{NUMBER}"}, "number"),
        ({"scope": "prefix", "first_digits": "0101"}, {"first_digits": "010-1"}, "first_digits"),
        ({"scope": "ip_address", "ip_address": "41.32.10.0/24"}, {}, "ip_address"),
        ({"scope": "user", "user": "mona"}, {"user": "mona@example.com"}, "user"),
        ({"scope": "everything", "confirm": "on"}, {}, "scope"),
    ],
)
def test_what_is_blocked_is_not_blocked_twice(
    blocker: Client, data: dict[str, str], again: dict[str, str], field: str
) -> None:
    """Who lifts one of two would think that all is done."""
    User.objects.create_user("mona", "mona@example.com")
    assert blocker.post(ADD, data).status_code == 302
    errors = errors_of(blocker, ADD, {**data, **again})
    assert errors == {field: ["This is blocked already. Change that block, or lift it, instead."]}
    SendBlock.objects.update(ends_at=timezone.now())
    assert blocker.post(ADD, {**data, **again}).status_code == 302


def test_two_users_of_one_address_are_an_error(blocker: Client) -> None:
    for name in ("mona", "amr"):
        User.objects.create_user(name, "shared@example.com")
    errors = errors_of(blocker, ADD, {"scope": "user", "user": "shared@example.com"})
    assert "of one user" in errors["user"][0]


def test_a_block_keeps_who_made_it_and_when(blocker: Client) -> None:
    before = timezone.now()
    blocker.post(ADD, {"scope": "prefix", "first_digits": "0101", "reason": "pumping"})
    block = SendBlock.objects.get()
    maker = block.created_by
    assert maker
    assert before <= block.created_at <= timezone.now()
    blocker.post(page(block), {"reason": "over", "created_by": "1", "scope": "everything"})
    block.refresh_from_db()
    assert (block.scope, block.reason, block.created_by) == ("prefix", "over", maker)
    for url in (BLOCKS, page(block)):
        assert str(maker) in blocker.get(url).content.decode()
    maker.delete()
    assert SendBlock.objects.get().created_by is None


def test_deleting_a_user_in_the_admin_keeps_their_blocks(user: User) -> None:
    about, made = (
        SendBlock.objects.create(scope="user", user=user),
        SendBlock.objects.create(scope="prefix", value="0101", created_by=user),
    )
    root = client_of(User.objects.create_superuser("root"))
    url = reverse("admin:auth_user_delete", args=[user.pk])
    assert root.post(url, {"post": "yes"}).status_code == 302
    for block in (about, made):
        block.refresh_from_db()
        assert (block.user, block.created_by) == (None, None)
        assert root.get(page(block)).status_code == 200


def test_a_block_is_never_deleted() -> None:
    root = client_of(User.objects.create_superuser("root"))
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    url = reverse("admin:django_valify_otp_sendblock_delete", args=[block.pk])
    assert root.post(url, {"post": "yes"}).status_code == 403
    root.post(BLOCKS, {"action": "delete_selected", "_selected_action": [block.pk]})
    assert "delete" not in root.get(BLOCKS).content.decode()
    assert SendBlock.objects.exists()


def test_a_block_is_lifted_on_its_page(blocker: Client) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER, ends_at=None)
    content = blocker.get(page(block)).content.decode()
    assert f'action="{lift(block)}"' in content
    assert "in force" in content
    assert blocker.get(lift(block)).status_code == 405
    assert SendBlock.objects.get().ends_at is None
    response = blocker.post(lift(block), follow=True)
    assert "Blocks lifted: 1." in response.content.decode()
    assert "ended" in response.content.decode()
    assert lift(block) not in response.content.decode()
    block.refresh_from_db()
    ended = block.ends_at
    assert ended
    assert ended <= timezone.now()
    blocker.post(lift(block))
    block.refresh_from_db()
    assert block.ends_at == ended
    assert LogEntry.objects.get().change_message == "Lifted."


def test_blocks_are_lifted_in_the_list(blocker: Client) -> None:
    later = timezone.now() + timedelta(days=1)
    ended = timezone.now() - timedelta(days=1)
    blocks = [
        SendBlock.objects.create(scope="everything", ends_at=ends) for ends in (None, later, ended)
    ]
    data = {"action": "lift_selected", "_selected_action": [block.pk for block in blocks]}
    assert "Blocks lifted: 2." in blocker.post(BLOCKS, data, follow=True).content.decode()
    assert not SendBlock.objects.in_force(timezone.now()).exists()
    blocks[2].refresh_from_db()
    assert blocks[2].ends_at == ended


def test_only_those_who_may_change_blocks_lift_them() -> None:
    viewer = client_of(staff("view_sendblock"))
    block = SendBlock.objects.create(scope="everything")
    assert viewer.post(lift(block)).status_code == 403
    assert lift(block) not in viewer.get(page(block)).content.decode()
    assert "lift_selected" not in viewer.get(BLOCKS).content.decode()
    block.refresh_from_db()
    assert block.ends_at is None


def test_a_block_that_is_gone_cannot_be_lifted(blocker: Client) -> None:
    for pk in ("0", "x", "9" * 30):
        url = reverse("admin:django_valify_otp_sendblock_lift", args=[pk])
        assert blocker.post(url).status_code == 302


def test_all_sending_is_stopped_for_longer_only_after_one_more_question(blocker: Client) -> None:
    block = SendBlock.objects.create(scope="everything", ends_at=timezone.now())
    later = {"reason": "", "ends_at_0": "2100-01-01", "ends_at_1": "10:00"}
    assert [*errors_of(blocker, page(block), later)] == ["confirm"]
    assert blocker.post(page(block), {**later, "confirm": "on"}).status_code == 302
    block.refresh_from_db()
    assert block.is_in_force(timezone.now())
    earlier = {"reason": "", "ends_at_0": "2001-01-01", "ends_at_1": "10:00"}
    assert blocker.post(page(block), earlier).status_code == 302


def test_an_end_that_databases_refuse_is_an_error(blocker: Client) -> None:
    block = SendBlock.objects.create(scope="prefix", value="0101")
    errors = errors_of(blocker, page(block), {"ends_at_0": "0001-01-01", "ends_at_1": "00:00"})
    assert "between 2 and 9998" in errors["ends_at"][0]


def test_a_block_shows_how_many_attempts_it_refused(
    blocker: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_admin, "COUNTED_REFUSALS", 3)
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    other = SendBlock.objects.create(scope="number", value="01112345678")
    rows = [make_send(blocked_by=block.name) for _ in range(2)]
    make_send(blocked_by=other.name)
    content = blocker.get(BLOCKS).content.decode()
    [url] = re.findall(r'href="([^"]*blocked_by[^"]*)">2<', content)
    assert {*blocker.get(url).context["cl"].result_list} == {*rows}
    for _ in range(2):
        make_send(blocked_by=block.name)
    assert "1,000 or more" in blocker.get(page(block)).content.decode()


def test_a_form_is_filled_in_from_an_attempt(chief: Client, user: User) -> None:
    row = make_send(user=user, ip_address="41.32.10.7")
    links = links_of(row)
    filled = {scope: fields_of(chief, url) for scope, url in links.items()}
    assert filled["number"]["number"] == NUMBER
    assert filled["prefix"]["first_digits"] == NUMBER[:7]
    assert filled["ip_address"]["ip_address"] == "41.32.10.7"
    assert filled["network"]["ip_address"] == "41.32.10.0/24"
    assert filled["user"]["user"] == str(user.pk)
    scopes = ["number", "prefix", "ip_address", "ip_address", "user"]
    assert [fields["scope"] for fields in filled.values()] == scopes
    assert not SendBlock.objects.exists()
    looked = f"Looked at the whole phone number {MASKED}."
    assert [*LogEntry.objects.values_list("change_message", flat=True)] == [looked, looked]


def test_the_network_of_an_ipv6_address(chief: Client) -> None:
    row = make_send(ip_address="2001:db8::1")
    assert fields_of(chief, links_of(row)["network"])["ip_address"] == "2001:db8::/64"


def test_who_sees_a_number_masked_can_block_it(blocker: Client) -> None:
    url = links_of(make_send())["number"]
    response = blocker.get(url)
    assert MASKED in response.content.decode()
    assert NUMBER not in response.content.decode()
    assert not LogEntry.objects.exists()
    assert fields_of(blocker, links_of(make_send())["prefix"])["first_digits"] == NUMBER[:4]
    assert blocker.post(url, {"scope": "number", "number": MASKED}).status_code == 302
    assert SendBlock.objects.get().value == NUMBER
    assert "number" in errors_of(blocker, ADD, {"scope": "number", "number": MASKED})


def test_a_user_whose_name_is_a_number_can_be_blocked_masked(blocker: Client) -> None:
    named = User.objects.create_user(NUMBER)
    url = links_of(make_send(phone_number="01112345678", user=named))["user"]
    content = blocker.get(url).content.decode()
    assert MASKED in content
    assert NUMBER not in content
    assert blocker.post(url, {"scope": "user", "user": str(named.pk)}).status_code == 302
    assert SendBlock.objects.get().user == named


def test_a_user_whose_key_is_a_number_can_be_blocked_masked(blocker: Client, chief: Client) -> None:
    # Below zero, so that MariaDB does not count on from it in other tests.
    named = User.objects.create_user("mona", pk=-1012345678)
    url = links_of(make_send(phone_number="01112345678", user=named))["user"]
    content = blocker.get(url).content.decode()
    assert "1012345678" not in content
    [masked] = re.findall(r'name="user" value="([^"]+)"', content)
    assert not LogEntry.objects.exists()
    assert blocker.post(url, {"scope": "user", "user": masked}).status_code == 302
    assert SendBlock.objects.get().user == named
    assert fields_of(chief, url)["user"] == "-1012345678"
    assert LogEntry.objects.filter(change_message__startswith="Looked").count() == 1


def test_a_search_for_a_user_by_number_leaves_a_trace(blocker: Client) -> None:
    User.objects.create_user(NUMBER)
    assert blocker.post(ADD, {"scope": "user", "user": NUMBER}).status_code == 302
    searched = f"Searched for the whole phone number {MASKED}."
    assert LogEntry.objects.filter(change_message=searched).exists()


@pytest.mark.parametrize("attempt", ["0", "x", "", "9" * 30])
def test_a_form_of_no_attempt_is_empty(chief: Client, attempt: str) -> None:
    query = f"?attempt={attempt}&scope=number&number={NUMBER}"
    assert not any(fields_of(chief, ADD + query).values())
    row = make_send(phone_number="")
    for scope in ("number", "prefix", "ip_address", "network", "user", "everything", "x"):
        url = f"{ADD}?attempt={row.pk}&scope={scope}"
        assert not any(fields_of(chief, url).values())


def test_only_those_who_may_see_attempts_fill_a_form_in_from_one() -> None:
    client = client_of(staff(*BLOCKER))
    url = links_of(make_send(ip_address="41.32.10.7"))["ip_address"]
    assert not any(fields_of(client, url).values())


def found_blocks(client: Client, **query: str) -> set[SendBlock]:
    return {*client.get(BLOCKS, query).context["cl"].result_list}


def test_blocks_are_found_by_what_they_block(blocker: Client, user: User) -> None:
    User.objects.filter(pk=user.pk).update(email="mona@example.com")
    kinds: dict[str, dict[str, Any]] = {
        "number": {"scope": "number", "value": NUMBER},
        "prefix": {"scope": "prefix", "value": "0101234"},
        "address": {"scope": "ip_address", "value": "41.32.10.7"},
        "network": {"scope": "ip_address", "value": "41.32.10.0/24"},
        "user": {"scope": "user", "user": user, "reason": "Fraud, said Amr"},
    }
    blocks = {name: SendBlock.objects.create(**fields) for name, fields in kinds.items()}
    for term, names in {
        "+20 10 1234 5678": ["number", "prefix"],
        "0101234": ["prefix"],
        "0101": [],
        "41.32.10.7": ["address", "network"],
        "41.32.10.0/24": ["network"],
        "mona": ["user"],
        "mona@example.com": ["user"],
        str(user.pk): ["user"],
        "fraud": ["user"],
        "nothing": [],
        " ": [*blocks],
    }.items():
        assert found_blocks(blocker, q=term) == {blocks[name] for name in names}, term
    texts = [*LogEntry.objects.order_by("pk").values_list("change_message", flat=True)]
    searched = "Searched for the whole phone number"
    assert texts == [f"{searched} {MASKED}.", f"{searched} 010*234."]


def test_who_is_on_no_file_finds_no_block_by_number(
    blocker: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    SendBlock.objects.create(scope="number", value=NUMBER)
    monkeypatch.setattr("django_valify_otp.audit.looks.can_be_logged", lambda _user: False)
    for term in (NUMBER, "0101234", f"{NUMBER}@example.com"):
        assert found_blocks(blocker, q=term) == set()


def test_blocks_are_filtered_by_whether_they_hold(blocker: Client) -> None:
    holds = SendBlock.objects.create(scope="prefix", value="0101")
    ended = SendBlock.objects.create(scope="prefix", value="0102", ends_at=timezone.now())
    assert found_blocks(blocker, state="in-force") == {holds}
    assert found_blocks(blocker, state="ended") == {ended}
    assert found_blocks(blocker, state="x") == {holds, ended}


def pages(root: Client) -> list[str]:
    row = make_send()
    attempt = make_try(row)
    block = SendBlock.objects.create(scope="prefix", value="0101")
    names = {"otpsend": row.pk, "otpverification": attempt.pk, "sendblock": block.pk}
    urls = [ADD, reverse("admin:otp-send-summary")]
    for name, pk in names.items():
        base = f"admin:django_valify_otp_{name}"
        urls.append(reverse(f"{base}_changelist"))
        urls += [reverse(f"{base}_{kind}", args=[pk]) for kind in ("change", "history")]
    return urls


def test_every_page_says_that_all_sending_is_stopped() -> None:
    user = User.objects.create_superuser("root")
    root = client_of(user)
    urls = pages(root)
    for url in urls:
        assert "All sending is stopped" not in root.get(url).content.decode()
    reason = f"attack on {NUMBER}"
    block = SendBlock.objects.create(scope="everything", created_by=user, reason=reason)
    for url in urls:
        content = root.get(url).content.decode()
        assert content.count("All sending is stopped since") == 1, url
        assert f"Stopped by root. Reason: attack on {MASKED}" in content
        assert f'<a href="{page(block)}">See the block</a>' in content
    root.post(lift(block))
    root.get(LIST)
    assert "All sending is stopped" not in root.get(LIST).content.decode()


def test_a_stop_by_nobody_for_no_reason(desk: Client) -> None:
    SendBlock.objects.create(scope="everything")
    content = desk.get(LIST).content.decode()
    assert "All sending is stopped since" in content
    assert "Stopped by" not in content
    assert "Reason" not in content


def test_a_stop_is_said_in_arabic(desk: Client) -> None:
    SendBlock.objects.create(scope="everything")
    content = desk.get(LIST, headers={"Accept-Language": "ar"}).content.decode()
    # The moment would be drawn with its parts in another order.
    assert "كل الإرسال متوقف منذ \u2066" in content


def test_a_refused_attempt_names_its_block(blocker: Client) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    row = make_send(status="blocked", code="send_forbidden", blocked_by=block.name)
    assert found(blocker, blocked_by=block.name) == [row]
    assert found(blocker, blocked_by="SendBlock 0") == []
    assert f"number {MASKED}" in blocker.get(LIST).content.decode()
    viewer = client_of(staff("view_otpsend"))
    assert f"number {MASKED}" not in viewer.get(LIST).content.decode()
    assert viewer.get(page_of(row)).status_code == 200
