"""Which attempts get_send() gives to whom."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone

from django_valify_otp.models import OtpSend
from django_valify_otp.services import get_send
from tests.factories import make_overdue, make_send, staff

pytestmark = pytest.mark.django_db


def test_who_may_verify_which_row(user: User) -> None:
    mine = make_send(user=user, caller=f"user:{user.pk}")
    anonymous = make_send(caller="anonymous")
    system = make_send()
    assert get_send(mine.uuid, user=user) == mine
    assert get_send(str(anonymous.uuid), user=user) == anonymous
    assert get_send(anonymous.uuid, user=AnonymousUser()) == anonymous
    assert get_send(system.uuid) == system
    for row, somebody in (
        (system, user),
        (system, AnonymousUser()),
        (mine, AnonymousUser()),
        (mine, None),
        (anonymous, None),
        (mine, staff("view_otpsend", "view_phone_number")),
        (mine, User.objects.create_superuser("root")),
    ):
        with pytest.raises(OtpSend.DoesNotExist):
            get_send(row.uuid, user=somebody)


@pytest.mark.parametrize(
    "text", ["0b0e7a50-5b0f-4c5e-9c3c-6f4c7f4f7f6d", "1", "", "not a UUID", "\x00"]
)
def test_what_is_no_id_of_a_row(text: str) -> None:
    with pytest.raises(OtpSend.DoesNotExist):
        get_send(text)


def test_a_row_that_a_dead_process_left_is_settled() -> None:
    row = make_overdue()
    found = get_send(row.uuid)
    assert (found.status, found.code) == ("unknown", "outcome_unknown")
    assert found.settled_at is not None
    assert found.settled_at <= timezone.now()
