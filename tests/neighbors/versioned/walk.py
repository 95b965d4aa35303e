"""Somebody confirms a number under a path with a version in it."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from django_valify_otp.models import OtpSend
from django_valify_otp.sandbox.process import ValifySandbox
from tests.factories import client_of, make_send
from tests.neighbors.walking import NUMBER, confirm_number, post

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_each_version_confirms_a_number(
    valify_sandbox: ValifySandbox, user: User, version: str
) -> None:
    at = reverse("django_valify_otp:otp-send-list", kwargs={"version": version})
    assert at == f"/api/{version}/otp/sends/"
    confirm_number(client_of(user), valify_sandbox, at)


def test_the_next_page_has_the_version(user: User) -> None:
    for _ in range(51):
        make_send(caller=f"user:{user.pk}")
    first = client_of(user).get("/api/v2/otp/sends/").json()
    assert "/api/v2/otp/sends/?cursor=" in first["next"]
    assert len(client_of(user).get(first["next"]).json()["results"]) == 1


def test_a_version_that_there_is_not(valify_sandbox: ValifySandbox, user: User) -> None:
    post(client_of(user), "/api/v3/otp/sends/", {"phone_number": NUMBER}, status=404)
    assert not OtpSend.objects.exists()
