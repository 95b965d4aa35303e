"""Somebody signs up through allauth, and confirms a number with the session token."""

from uuid import UUID

import pytest
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.sandbox.process import ValifySandbox
from tests.neighbors.headless.people.models import Person
from tests.neighbors.walking import NUMBER, confirm_number, post

pytestmark = pytest.mark.django_db


def signed_up(name: str) -> APIClient:
    """Return a client with the session token of somebody new."""
    person = {"username": name, "email": f"{name}@shop.example", "password": "correct horse 42"}
    answered = post(APIClient(), "/_allauth/app/v1/auth/signup", person, status=200)
    return APIClient(headers={"X-Session-Token": answered["meta"]["session_token"]})


def test_somebody_with_a_uuid_confirms_a_number(valify_sandbox: ValifySandbox) -> None:
    client = signed_up("mona")
    confirm_number(client, valify_sandbox)
    person = Person.objects.get()
    assert isinstance(person.pk, UUID)
    row = OtpSend.objects.get()
    assert (row.caller, str(row.user_id)) == (f"user:{person.pk}", str(person.pk))
    assert {str(found.user_id) for found in OtpVerification.objects.all()} == {str(person.pk)}
    [listed] = client.get("/otp/sends/").json()["results"]
    assert (listed["id"], listed["phone_number"]) == (str(row.uuid), NUMBER)
    other = signed_up("omar")
    assert other.get("/otp/sends/").json()["results"] == []
    assert other.get(f"/otp/sends/{row.uuid}/").status_code == 404


def test_strangers_may_not_send(valify_sandbox: ValifySandbox) -> None:
    post(APIClient(), "/otp/sends/", {"phone_number": NUMBER}, status=403)
    assert valify_sandbox.inbox() == []
