"""The endpoints are as documented beside others in camelCase, or camelCase where a site wants."""

import pytest
from django.contrib.auth.models import User

from django_valify_otp.sandbox.process import ValifySandbox
from tests.factories import client_of
from tests.neighbors.walking import NUMBER, confirm_number, post

pytestmark = pytest.mark.django_db


def test_the_endpoints_stay_as_documented(valify_sandbox: ValifySandbox, user: User) -> None:
    client = client_of(user)
    confirm_number(client, valify_sandbox)
    assert "phone_number" in client.get("/otp/sends/?createdAfter=2026-01-01").json()["results"][0]


def test_a_site_s_own_view_set_speaks_camel_case(valify_sandbox: ValifySandbox, user: User) -> None:
    client = client_of(user)
    sent = post(client, "/codes/", {"phoneNumber": NUMBER}, status=201)
    assert (sent["phoneNumber"], sent["trialsRemaining"]) == (NUMBER, 2)
    assert sent["resendAt"] == sent["createdAt"]
    [message] = valify_sandbox.inbox(NUMBER)
    refused = post(client, f"/codes/{sent['id']}/verify/", {"otp": "12345"}, status=400)
    assert refused == {"otp": ["Enter the six digits of the code."]}
    verified = post(client, f"/codes/{sent['id']}/verify/", {"otp": message.code}, status=200)
    assert {"verified", "verificationToken"} == set(verified)
    assert client.get("/codes/?transactionId=none").json()["results"] == []
