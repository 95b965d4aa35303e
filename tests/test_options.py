"""What OPTIONS tell a client of the bodies, and views tell schemas of the answers."""

import pytest
from rest_framework.test import APIClient

from django_valify_otp.serializers import OtpSendSerializer
from django_valify_otp.views import OtpSendViewSet
from tests.factories import make_send

pytestmark = pytest.mark.django_db


def test_options_of_the_list_describe_the_body_of_a_send(api: APIClient) -> None:
    described = api.options("/otp/sends/").json()["actions"]["POST"]
    assert {name: field["required"] for name, field in described.items()} == {
        "phone_number": True,
        "lang": False,
        "purpose": False,
    }


def test_options_of_verify_describe_the_body_of_a_try(api: APIClient) -> None:
    otp_send = make_send()
    described = api.options(f"/otp/sends/{otp_send.uuid}/verify/").json()["actions"]["POST"]
    assert {name: field["required"] for name, field in described.items()} == {"otp": True}


@pytest.mark.parametrize("action", ["list", "retrieve", "create"])
def test_schemas_find_the_fields_of_an_answer(action: str) -> None:
    assert OtpSendViewSet(action=action).get_serializer_class() is OtpSendSerializer
