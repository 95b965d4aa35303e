"""The sandbox's numbers, through the endpoint and a real HTTP server, as the tables say."""

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.utils import translation
from pytest_django import Settings
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.test import APIClient
from rest_framework.views import exception_handler

from django_valify_otp.exceptions import SendLimitReached
from django_valify_otp.models import OtpSend
from django_valify_otp.outcomes import describe, describe_error
from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.sandbox.sending import FORCED_OUTCOMES
from tests.configuration import Configure

pytestmark = pytest.mark.django_db


class Outcome(NamedTuple):
    """What the endpoint answers, the row that is kept, and how many messages were sent."""

    http_status: int
    status: str
    code: str
    valify_status: int | None
    messages: int


OUTCOMES = {
    "01000000200": Outcome(422, "rejected", "rejected", 200, 0),
    "01000000201": Outcome(504, "unknown", "outcome_unknown", 200, 1),
    "01000000302": Outcome(502, "rejected", "valify_misconfigured", 302, 0),
    "01000000400": Outcome(502, "rejected", "valify_misconfigured", 400, 0),
    "01000000401": Outcome(502, "rejected", "valify_misconfigured", 401, 0),
    "01000000403": Outcome(502, "rejected", "valify_misconfigured", 403, 0),
    "01000000404": Outcome(502, "rejected", "valify_misconfigured", 404, 0),
    "01000000415": Outcome(502, "rejected", "valify_misconfigured", 415, 0),
    "01000000422": Outcome(422, "rejected", "rejected", 422, 0),
    "01000000429": Outcome(503, "rejected", "valify_busy", 429, 0),
    "01000000500": Outcome(504, "unknown", "outcome_unknown", 500, 0),
    "01000000503": Outcome(504, "unknown", "outcome_unknown", 503, 0),
    "01000000598": Outcome(504, "unknown", "outcome_unknown", None, 1),
    "01000000599": Outcome(504, "unknown", "outcome_unknown", None, 1),
    "01012345678": Outcome(201, "sent", "", 200, 1),
}


def test_no_number_is_left_out() -> None:
    assert set(OUTCOMES) == {*FORCED_OUTCOMES, "01012345678"}


@pytest.mark.parametrize("number", OUTCOMES)
def test_outcome(
    valify_sandbox: ValifySandbox, configure: Configure, api: APIClient, number: str
) -> None:
    configure(READ_TIMEOUT=1, DEADLINE=5)
    outcome = OUTCOMES[number]
    response = api.post("/otp/sends/", {"phone_number": number}, format="json")
    assert response.status_code == outcome.http_status
    row = OtpSend.objects.get()
    assert (row.status, row.code) == (outcome.status, outcome.code)
    assert row.http_status == outcome.valify_status
    assert row.settled_at is not None
    assert row.calls == (2 if number == "01000000403" else 1)
    answered = response.json()
    assert answered["id"] == str(row.uuid)
    assert answered["code"] == (outcome.code or None)
    if outcome.http_status == 201:
        assert answered["transaction_id"] == row.transaction_id != ""
        assert answered["trials_remaining"] == row.trials_remaining is not None
    else:
        assert set(answered) == {"detail", "code", "id", "error_code"}
        assert answered["detail"]
    assert (answered["error_code"] is not None) == (outcome.valify_status == 422)
    assert ("Retry-After" in response.headers) == (outcome.code == "valify_busy")
    assert len(valify_sandbox.inbox(number)) == outcome.messages


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


@pytest.mark.parametrize(
    ("seconds", "english", "arabic"),
    [
        (1, "1 second", "ثانية واحدة"),
        (2, "2 seconds", "ثانيتين"),
        (58, "58 seconds", "58 ثانية"),
        (99, "99 seconds", "99 ثانية"),
        (100, "2 minutes", "دقيقتين"),
        (181, "4 minutes", "4 دقائق"),
        (3600, "60 minutes", "60 دقيقة"),
        (5941, "2 hours", "ساعتين"),
        (36_000, "10 hours", "10 ساعات"),
        (86_400, "24 hours", "24 ساعة"),
        (356_401, "5 days", "5 أيام"),
        (31_536_000, "365 days", "365 يومًا"),
    ],
)
def test_how_long_to_wait(seconds: int, english: str, arabic: str) -> None:
    error = SendLimitReached(retry_after=seconds)
    with translation.override("en"):
        said = describe_error(error)
    assert said == f"Please wait {english} before you ask for another code."
    with translation.override("ar"):
        assert describe_error(error) == f"يُرجى الانتظار {arabic} قبل طلب رمز جديد."


def test_how_long_to_wait_is_not_known_later() -> None:
    row = OtpSend(status="blocked", code="send_limit_reached")
    text = "It was too early for another code. Please try again later."
    assert describe(row) == text
    assert describe_error(SendLimitReached(otp_send=row)) == text


def enveloped(error: Exception, _context: object) -> Response:
    """A site's own format of errors."""
    assert isinstance(error, APIException)
    body = {"error": {"text": error.detail, "code": error.get_codes()}}
    return Response(body, status=error.status_code)


def marked(error: Exception, context: dict[str, Any]) -> Response | None:
    response = exception_handler(error, context)
    assert response is not None
    response["X-Handled"] = "yes"
    return response


class BadRequest(NamedTuple):
    """A request that is refused, and with which status."""

    method: str
    path: str
    status: int
    content: str = ""
    content_type: str = "application/json"


BAD_REQUESTS = {
    "number": BadRequest("post", "", 400, '{"phone_number": "1"}'),
    "field": BadRequest("post", "", 400, '{"phone": "1"}'),
    "JSON": BadRequest("post", "", 400, "{"),
    "depth": BadRequest("post", "", 400, "[" * 100_000),
    "null": BadRequest("post", "", 400, "null"),
    "filter": BadRequest("get", "?colour=red", 400),
    "status": BadRequest("get", "?status=red", 400),
    "cursor": BadRequest("get", "?cursor=red", 404),
    "ID": BadRequest("get", "red/", 404),
    "verify": BadRequest("post", f"{UUID(int=1)}/verify/", 404, '{"otp": "123456"}'),
    "method": BadRequest("delete", "", 405),
    "form": BadRequest("post", "", 415, "phone_number=1", "application/x-www-form-urlencoded"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_every_refusal_goes_through_the_site_s_exception_handler(
    api: APIClient, settings: Settings, name: str
) -> None:
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.marked"}
    bad = BAD_REQUESTS[name]
    response = api.generic(bad.method, f"/otp/sends/{bad.path}", bad.content, bad.content_type)
    assert (response.status_code, response.headers.get("X-Handled")) == (bad.status, "yes")


def test_strangers_are_refused_through_the_site_s_exception_handler(settings: Settings) -> None:
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.marked"}
    response = APIClient().get("/otp/sends/")
    assert (response.status_code, response.headers["X-Handled"]) == (403, "yes")


@pytest.mark.parametrize("handler", [enveloped, marked])
def test_errors_go_through_the_site_s_exception_handler(
    valify_sandbox: ValifySandbox,
    api: APIClient,
    settings: Settings,
    handler: Callable[..., Response | None],
) -> None:
    path = f"{handler.__module__}.{handler.__qualname__}"
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": path}
    response = api.post("/otp/sends/", {"phone_number": "01000000429"}, format="json")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
    text = "Too many codes are being sent right now. Please try again in a moment."
    if handler is enveloped:
        assert response.json() == {"error": {"text": text, "code": "valify_busy"}}
    else:
        assert response.headers["X-Handled"] == "yes"
        assert response.json() == {
            "detail": text,
            "code": "valify_busy",
            "id": str(OtpSend.objects.get().uuid),
            "error_code": None,
        }
