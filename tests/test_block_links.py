"""Links from an attempt to blocks."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_valify_otp.audit.block_links import block_links, refusing_block_url
from tests.factories import NUMBER, make_send

pytestmark = pytest.mark.django_db


def test_an_attempt_leads_to_forms_that_block_its_kind(user: User) -> None:
    row = make_send(user=user, ip_address="41.32.10.7")
    links = block_links(row)
    queries = [parse_qs(urlsplit(url).query) for _label, url in links]
    assert [query["scope"] for query in queries] == [
        ["number"],
        ["prefix"],
        ["ip_address"],
        ["network"],
        ["user"],
    ]
    assert all(query["attempt"] == [str(row.pk)] for query in queries)
    assert not [url for _label, url in links if NUMBER[1:4] in url.replace(str(row.pk), "")]


def test_what_an_attempt_lacks_cannot_be_blocked() -> None:
    assert block_links(make_send(phone_number="", caller="erased")) == []
    gone = make_send(phone_number="", user_id=10**6, caller=f"user:{10**6}")
    gone.refresh_from_db()
    assert block_links(gone) == []


@pytest.mark.parametrize("blocked_by", ["", "NUMBER_SEND_LIMITS 5/1h", "SendBlock x"])
def test_an_attempt_that_no_block_refused_leads_to_none(blocked_by: str) -> None:
    assert refusing_block_url(make_send(blocked_by=blocked_by)) == ""


def test_a_refused_attempt_leads_to_its_block() -> None:
    url = reverse("admin:django_valify_otp_sendblock_change", args=[7])
    assert refusing_block_url(make_send(blocked_by="SendBlock 7")) == url
