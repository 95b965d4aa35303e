"""The sandbox's numbers, through the endpoint and a real HTTP server, as the tables say."""

import pytest
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend
from django_valify_otp.sandbox.outcomes import FORCED_OUTCOMES
from django_valify_otp.sandbox.process import ValifySandbox

pytestmark = pytest.mark.django_db

# number: HTTP status, row's status, code, Valify's HTTP status, SMS sent
OUTCOMES = {
    "01000000200": (422, "rejected", "rejected", 200, 0),
    "01000000201": (504, "unknown", "outcome_unknown", 200, 1),
    "01000000302": (502, "rejected", "valify_misconfigured", 302, 0),
    "01000000400": (502, "rejected", "valify_misconfigured", 400, 0),
    "01000000401": (502, "rejected", "valify_misconfigured", 401, 0),
    "01000000403": (502, "rejected", "valify_misconfigured", 403, 0),
    "01000000404": (502, "rejected", "valify_misconfigured", 404, 0),
    "01000000415": (502, "rejected", "valify_misconfigured", 415, 0),
    "01000000422": (422, "rejected", "rejected", 422, 0),
    "01000000429": (503, "rejected", "valify_busy", 429, 0),
    "01000000500": (504, "unknown", "outcome_unknown", 500, 0),
    "01000000503": (504, "unknown", "outcome_unknown", 503, 0),
    "01000000598": (504, "unknown", "outcome_unknown", None, 1),
    "01000000599": (504, "unknown", "outcome_unknown", None, 1),
    "01012345678": (201, "sent", "", 200, 1),
}


def test_no_number_is_left_out() -> None:
    assert set(OUTCOMES) == {*FORCED_OUTCOMES, "01012345678"}


@pytest.mark.parametrize("number", OUTCOMES)
def test_outcome(
    valify_sandbox: ValifySandbox, settings: Settings, api: APIClient, number: str
) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "READ_TIMEOUT": 1, "DEADLINE": 5}
    http_status, status, code, valify_status, messages = OUTCOMES[number]
    response = api.post("/otp/sends/", {"phone_number": number}, format="json")
    assert response.status_code == http_status
    row = OtpSend.objects.get()
    assert (row.status, row.code, row.http_status) == (status, code, valify_status)
    assert row.settled_at is not None
    assert row.calls == (2 if number == "01000000403" else 1)
    answered = response.json()
    assert answered["id"] == str(row.uuid)
    assert answered["code"] == (code or None)
    if http_status == 201:
        assert answered["transaction_id"] == row.transaction_id != ""
        assert answered["trials_remaining"] == row.trials_remaining is not None
    else:
        assert set(answered) == {"detail", "code", "id", "error_code"}
        assert answered["detail"]
    assert (answered["error_code"] is not None) == (valify_status == 422)
    assert ("Retry-After" in response.headers) == (code == "valify_busy")
    assert len(valify_sandbox.inbox(number)) == messages


def test_the_message_is_in_the_language_of_the_send(
    valify_sandbox: ValifySandbox, api: APIClient
) -> None:
    for lang in ("en", "ar"):
        body = {"phone_number": "01012345678", "lang": lang}
        assert api.post("/otp/sends/", body, format="json").status_code == 201
    arabic, english = valify_sandbox.inbox("01012345678")
    assert (arabic.lang, english.lang) == ("ar", "en")
    rows = OtpSend.objects.order_by("pk").values_list("transaction_id", flat=True)
    assert list(rows) == [english.transaction_id, arabic.transaction_id]
