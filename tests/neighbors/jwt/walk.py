"""Somebody logs in for a JWT, and confirms a number with it."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend
from django_valify_otp.sandbox.process import ValifySandbox
from tests.neighbors.walking import NUMBER, confirm_number, post

pytestmark = pytest.mark.django_db


def test_somebody_with_a_token_confirms_a_number(valify_sandbox: ValifySandbox) -> None:
    user = User.objects.create_user("mona", password="correct horse")
    login = {"username": "mona", "password": "correct horse"}
    token = post(APIClient(), "/token/", login, status=200)["access"]
    client = APIClient(headers={"Authorization": f"Bearer {token}"})
    confirm_number(client, valify_sandbox)
    assert OtpSend.objects.get().user == user


def test_a_wrong_token_is_refused(valify_sandbox: ValifySandbox) -> None:
    client = APIClient(headers={"Authorization": "Bearer nonsense"})
    response = client.post("/otp/sends/", {"phone_number": NUMBER}, format="json")
    assert (response.status_code, response.json()["code"]) == (401, "token_not_valid")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
