"""The endpoint that verifies, through real HTTP to a local Valify."""

import json
import uuid
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.services import redeem_verification_token
from tests.configuration import Configure
from tests.factories import NUMBER, client_of, make_send, staff
from tests.pages import SENDS, url_of
from tests.scripted_server import (
    VERIFY_PATH,
    Answer,
    ScriptedServer,
    answer,
    hang_up,
    verified,
)

pytestmark = pytest.mark.django_db

CODE = "482913"


def verify(api: APIClient, otp_send: OtpSend, otp: Any = CODE, **headers: str) -> Any:
    return api.post(f"{url_of(otp_send)}verify/", {"otp": otp}, format="json", headers=headers)


@pytest.fixture
def own(user: User) -> OtpSend:
    return make_send(caller=f"user:{user.pk}", user=user, purpose="signup")


def test_urls() -> None:
    found = uuid.uuid4()
    url = reverse("django_valify_otp:otp-send-verify", args=[found])
    assert url == f"{SENDS}{found}/verify/"


def test_verified(valify: ScriptedServer, api: APIClient, user: User, own: OtpSend) -> None:
    response = api.post(
        f"{url_of(own)}verify/", {"otp": "٤٨٢ ٩١٣"}, format="json", REMOTE_ADDR="41.32.10.7"
    )
    assert response.status_code == 200
    row = OtpVerification.objects.get()
    assert response.json() == {"verified": True, "verification_token": row.token}
    assert (row.user, row.caller, row.ip_address) == (user, f"user:{user.pk}", "41.32.10.7")
    assert redeem_verification_token(row.token, purpose="signup") == NUMBER
    assert api.get(url_of(own)).json()["verified_at"] is not None
    [call] = valify.at(VERIFY_PATH)
    assert call.json["otp"] == CODE


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"otp": ""},
        {"otp": None},
        {"otp": "12345"},
        {"otp": "1234567"},
        {"otp": "12345x"},
        {"otp": ["123456"]},
        {"otp": "1" * 10_000},
        {"otp": "\ud800"},
    ],
)
def test_what_is_no_code(
    valify: ScriptedServer, api: APIClient, own: OtpSend, body: dict[str, Any]
) -> None:
    content = json.dumps(body)  # with what no encoding can write still escaped
    response = api.post(f"{url_of(own)}verify/", content, content_type="application/json")
    assert response.status_code == 400
    assert response.json() == {"otp": ["Enter the six digits of the code."]}
    assert not OtpVerification.objects.exists()
    assert valify.received == []


@pytest.mark.parametrize("number", [123456, 12345.0, True])
def test_a_number_is_no_code(
    valify: ScriptedServer, api: APIClient, own: OtpSend, number: object
) -> None:
    response = api.post(f"{url_of(own)}verify/", {"otp": number}, format="json")
    assert response.status_code == 400
    [text] = response.json()["otp"]
    assert text.startswith("Give the code as a string")
    assert valify.received == []


def test_other_fields_are_refused(valify: ScriptedServer, api: APIClient, own: OtpSend) -> None:
    body = {"otp": CODE, "code": CODE}
    response = api.post(f"{url_of(own)}verify/", body, format="json")
    assert (response.status_code, list(response.json())) == (400, ["code"])


WRONG = answer(422, {"message": "Wrong code", "error_code": 21})


class Outcome(NamedTuple):
    """An answer of Valify's, and what the endpoint makes of it; ``detail`` is part of a text."""

    answer: Answer
    status: int
    code: str
    detail: str
    error_code: str | None = None
    retry_after: str | None = None


BUSY = answer(429, b"", {"Retry-After": "9"})
INCORRECT = "incorrect or has expired"
UNKNOWN = "whether the code was correct"
CHECKING = "Too many codes are being checked"
OUTCOMES = {
    "422": Outcome(WRONG, 422, "code_rejected", "Wrong code", error_code="21"),
    "422 without words": Outcome(answer(422), 422, "code_rejected", INCORRECT),
    "false": Outcome(verified(is_verified=False), 422, "code_rejected", INCORRECT),
    "401": Outcome(answer(401), 502, "valify_misconfigured", "could not be checked"),
    "429": Outcome(BUSY, 503, "valify_busy", CHECKING, retry_after="9"),
    "500": Outcome(answer(500), 504, "outcome_unknown", UNKNOWN),
    "closed": Outcome(hang_up, 504, "outcome_unknown", UNKNOWN),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcomes(valify: ScriptedServer, api: APIClient, own: OtpSend, name: str) -> None:
    outcome = OUTCOMES[name]
    valify.answer_verify(outcome.answer)
    response = verify(api, own)
    assert response.status_code == outcome.status
    body = response.json()
    assert outcome.detail in body.pop("detail")
    tries_left = {"tries_left": 4} if outcome.code == "code_rejected" else {}
    assert body == {
        "code": outcome.code,
        "id": str(own.uuid),
        "error_code": outcome.error_code,
        **tries_left,
    }
    assert response.headers.get("Retry-After") == outcome.retry_after
    assert api.get(url_of(own)).json()["verified_at"] is None


def test_the_tries_that_are_left(
    valify: ScriptedServer, configure: Configure, api: APIClient, own: OtpSend
) -> None:
    configure(VERIFY_TRIES=3)
    valify.answer_verify(WRONG, answer(500), WRONG)
    assert verify(api, own).json()["tries_left"] == 2
    assert "tries_left" not in verify(api, own).json()
    assert verify(api, own).json()["tries_left"] == 0
    response = verify(api, own)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_tries")
    assert "tries_left" not in response.json()


def test_no_token_is_no_try(valify: ScriptedServer, api: APIClient, own: OtpSend) -> None:
    valify.answer_token(answer(503))
    response = verify(api, own)
    assert (response.status_code, response.json()["code"]) == (503, "valify_unreachable")
    assert "could not be checked" in response.json()["detail"]


class Refusal(NamedTuple):
    """A send that cannot be verified, and what the endpoint says."""

    fields: dict[str, Any]
    status: int
    code: str
    detail: str


REFUSALS = {
    "expired": Refusal(
        {"settled_at": timezone.now() - timedelta(seconds=601)},
        422,
        "code_expired",
        "This code has expired. Please ask for a new one.",
    ),
    "verified": Refusal(
        {"verified_at": timezone.now()},
        409,
        "not_verifiable",
        "This number is already verified, or no code was sent to it.",
    ),
    "rejected": Refusal(
        {"status": "rejected", "code": "rejected", "error_code": "17", "http_status": 422},
        409,
        "not_verifiable",
        "This number is already verified, or no code was sent to it.",
    ),
}


@pytest.mark.parametrize("caller", ["own", "anonymous"])
@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.usefixtures("open_to_all")
def test_refusals(
    valify: ScriptedServer, api: APIClient, user: User, name: str, caller: str
) -> None:
    refusal = REFUSALS[name]
    whose = f"user:{user.pk}" if caller == "own" else "anonymous"
    row = make_send(caller=whose, **refusal.fields)
    response = verify(api if caller == "own" else client_of(), row)
    assert response.status_code == refusal.status
    assert response.json() == {
        "detail": refusal.detail,
        "code": refusal.code,
        "id": str(row.uuid),
        "error_code": None,
    }
    assert "Retry-After" not in response.headers
    assert valify.received == []


def test_too_many_tries(
    valify: ScriptedServer, api: APIClient, configure: Configure, own: OtpSend
) -> None:
    configure(VERIFY_TRIES=2)
    valify.answer_verify(WRONG, WRONG, verified())
    assert [verify(api, own).status_code for _ in range(3)] == [422, 422, 429]
    response = verify(api, own)
    assert response.json() == {
        "detail": "Too many incorrect codes. Please ask for a new one.",
        "code": "too_many_tries",
        "id": str(own.uuid),
        "error_code": None,
    }
    assert "Retry-After" not in response.headers
    assert len(valify.at(VERIFY_PATH)) == 2


def test_errors_speak_the_caller_s_language(
    valify: ScriptedServer, api: APIClient, own: OtpSend
) -> None:
    valify.answer_verify(answer(422))
    response = verify(api, own, **{"Accept-Language": "ar"})
    assert "الرمز" in response.json()["detail"]
    response = verify(api, own, "x", **{"Accept-Language": "ar"})
    assert "الرمز" in response.json()["otp"][0]


@pytest.mark.parametrize(
    "permissions", [(), ("view_otpsend",), ("view_otpsend", "view_phone_number")]
)
def test_staff_verify_nothing_of_others(
    valify: ScriptedServer, own: OtpSend, permissions: tuple[str, ...]
) -> None:
    for row in (own, make_send()):
        assert verify(client_of(staff(*permissions)), row).status_code == 404
        assert verify(client_of(User.objects.create_superuser(f"{row.pk}")), row).status_code == 404
    assert valify.received == []


@pytest.mark.usefixtures("open_to_all")
def test_anonymous_rows_are_open_to_who_knows_their_id(
    valify: ScriptedServer, user: User, own: OtpSend
) -> None:
    client = client_of()
    assert verify(client, make_send(caller="anonymous")).status_code == 200
    assert verify(client_of(user), make_send(caller="anonymous")).status_code == 200
    for row in (own, make_send(), make_send(caller="erased")):
        assert verify(client, row).status_code == 404
    assert client.post(f"{SENDS}{uuid.uuid4()}/verify/").status_code == 404


def test_anonymous_callers_are_refused_by_default(valify: ScriptedServer) -> None:
    response = verify(client_of(), make_send(caller="anonymous"))
    assert response.status_code == 403
    assert valify.received == []


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_post_only(api: APIClient, own: OtpSend, method: str) -> None:
    assert getattr(api, method)(f"{url_of(own)}verify/").status_code == 405


def test_json_only(api: APIClient, own: OtpSend) -> None:
    response = api.post(f"{url_of(own)}verify/", {"otp": CODE}, format="multipart")
    assert response.status_code == 415


@pytest.mark.django_db(transaction=True)
def test_a_try_leaves_its_row_under_atomic_requests(
    valify: ScriptedServer, api: APIClient, own: OtpSend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "ATOMIC_REQUESTS", True)
    valify.answer_verify(WRONG)
    assert verify(api, own).status_code == 422
    assert OtpVerification.objects.get().status == "rejected"


@pytest.mark.usefixtures("open_to_all")
@pytest.mark.parametrize("lang", ["en", "ar"])
def test_the_whole_way(valify_sandbox: ValifySandbox, lang: str) -> None:
    client = client_of()
    body = {"phone_number": NUMBER, "lang": lang, "purpose": "signup"}
    send = client.post(SENDS, body, format="json").json()
    [message] = valify_sandbox.inbox(NUMBER)
    row = OtpSend.objects.get()
    assert send["id"] == str(row.uuid)
    wrong = f"{(int(message.code) + 1) % 1_000_000:06}"
    response = verify(client, row, wrong)
    assert (response.status_code, response.json()["code"]) == (422, "code_rejected")
    assert response.json()["error_code"]
    response = verify(client, row, f"{message.code[:3]}-{message.code[3:]}")
    assert response.status_code == 200
    token = response.json()["verification_token"]
    assert verify(client, row, message.code).status_code == 409
    assert redeem_verification_token(token, purpose="signup") == NUMBER
    statuses = OtpVerification.objects.order_by("pk").values_list("status", flat=True)
    assert list(statuses) == ["rejected", "verified"]
