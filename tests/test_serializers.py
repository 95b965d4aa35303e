"""Rows as DRF's fields would write them, and requests that share one serializer."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings
from rest_framework.exceptions import ValidationError

from django_valify_otp.models import OtpSend
from django_valify_otp.outcomes import describe
from django_valify_otp.serializers import (
    OtpSendSerializer,
    SendRequestSerializer,
    represent,
    validate,
)
from tests.factories import MASKED, NUMBER

MOMENT = datetime(2026, 3, 29, 0, 30, 5, 7, tzinfo=UTC)
SENT = {"status": "sent", "transaction_id": "T1", "trials_remaining": 2, "settled_at": MOMENT}


def written_by_drf(row: OtpSend, name: str) -> Any:
    field = OtpSendSerializer().fields[name]
    value = None if name == "detail" else field.get_attribute(row)
    written = None if value is None else field.to_representation(value)
    return None if written == "" else written


@pytest.mark.parametrize("zone", ["UTC", "Africa/Cairo"])
@pytest.mark.parametrize("written", ["iso-8601", "%d/%m/%Y %H:%M", None])
@pytest.mark.parametrize(
    "fields",
    [
        SENT | {"purpose": "signup", "verified_at": MOMENT, "resend_at": MOMENT},
        SENT | {"status": OtpSend.Status.SENT, "trials_remaining": 0, "purpose": "0"},
        {"status": "pending"},
        {
            "status": "rejected",
            "code": OtpSend.Code.REJECTED,
            "error_code": "7",
            "settled_at": MOMENT,
        },
        {"status": "blocked", "code": "send_limit_reached", "phone_number": "", "lang": ""},
    ],
)
def test_rows_are_written_as_drf_does(
    settings: Settings, zone: str, written: str | None, fields: dict[str, Any]
) -> None:
    settings.REST_FRAMEWORK = {"DATETIME_FORMAT": written}
    row = OtpSend(**{"phone_number": NUMBER, "lang": "ar", "created_at": MOMENT, **fields})
    with timezone.override(zone):
        found = represent(row, whole_number=True)
        expected = {name: written_by_drf(row, name) for name in OtpSendSerializer.Meta.fields}
    expected["detail"] = describe(row)
    assert list(found.items()) == list(expected.items())
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]


def test_why_an_attempt_failed_is_told() -> None:
    row = OtpSend(status="rejected", code="rejected", created_at=MOMENT, http_status=422)
    row.valify_message = "Not an OTP user"
    assert represent(row, whole_number=True)["detail"] == "Not an OTP user"


def test_numbers_of_others_are_masked() -> None:
    row = OtpSend(phone_number=NUMBER, created_at=MOMENT)
    assert represent(row, whole_number=False)["phone_number"] == MASKED


def test_no_request_knows_of_another() -> None:
    assert validate(SendRequestSerializer, {"phone_number": NUMBER, "lang": "ar"})["lang"] == "ar"
    with pytest.raises(ValidationError) as caught:
        validate(SendRequestSerializer, {"lang": "fr"})
    assert set(caught.value.get_full_details()) == {"phone_number", "lang"}
    assert validate(SendRequestSerializer, {"phone_number": NUMBER}) == {"phone_number": NUMBER}
