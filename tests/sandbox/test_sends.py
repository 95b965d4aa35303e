"""What a send, by SMS and by e-mail, answers and refuses."""

import json
import uuid
from typing import Any

import pytest

from tests.sandbox.customer import (
    CALL_PATHS,
    EMAIL,
    FORM,
    JSON,
    PHONE_NUMBER,
    SEND_PATH,
    Client,
    Sandbox,
    Way,
)


@pytest.mark.parametrize("send", [Client.send, Client.send_email])
def test_send_is_as_documented(sandbox: Sandbox, send: Way) -> None:
    answered = send(sandbox)
    assert answered.status == 200
    assert answered.headers["Content-Type"] == "application/json"
    transaction_id = answered.json["transaction_id"]
    assert str(uuid.UUID(transaction_id)) == transaction_id
    assert answered.json == {
        "result": {"success": True},
        "transaction_id": transaction_id,
        "trials_remaining": "2",
    }


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"phone_number": None}, 400, "Bad Request: phone_number is missing"),
        ({"phone_number": ""}, 400, "Bad Request: phone_number is missing"),
        ({"phone_number": 1012345678}, 400, "Bad Request: phone_number is missing"),
        ({"bundle_key": None}, 400, "Bad Request: bundle_key is missing"),
        ({"bundle_key": ["sandbox"]}, 400, "Bad Request: bundle_key is missing"),
        ({"token": "unknown"}, 403, "Forbidden: the access token could not be found"),
        ({"bundle_key": "wrong"}, 401, "Unauthorized: the bundle key is invalid"),
        ({"lang": "fr"}, 422, "lang is neither en nor ar."),
        ({"lang": ["en"]}, 422, "lang is neither en nor ar."),
        ({"phone_number": "0101234567"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "010123456789"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "02012345678"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "+201012345678"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "01012345678\n"}, 422, "This is not an Egyptian mobile number."),
        ({"phone_number": "0101234567٨"}, 422, "This is not an Egyptian mobile number."),
    ],
)
def test_send_is_refused(
    sandbox: Sandbox, changes: dict[str, Any], status: int, message: str
) -> None:
    answered = sandbox.send(**changes)
    assert (answered.status, answered.json["message"]) == (status, message)
    assert ("error_code" in answered.json) == (status == 422)
    assert sandbox.inbox() == []


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"email": None}, 400, "Bad Request: email is missing"),
        ({"email": None, "phone_number": PHONE_NUMBER}, 400, "Bad Request: email is missing"),
        ({"email": [EMAIL]}, 400, "Bad Request: email is missing"),
        ({"bundle_key": None}, 400, "Bad Request: bundle_key is missing"),
        ({"token": "unknown"}, 403, "Forbidden: the access token could not be found"),
        ({"bundle_key": "wrong"}, 401, "Unauthorized: the bundle key is invalid"),
        ({"lang": "fr"}, 422, "lang is neither en nor ar."),
        ({"email": PHONE_NUMBER}, 422, "This is not an e-mail address."),
        ({"email": "@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona@"}, 422, "This is not an e-mail address."),
        ({"email": "mona@localhost"}, 422, "This is not an e-mail address."),
        ({"email": "mona@home@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona ali@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "mona@example.com\n"}, 422, "This is not an e-mail address."),
        ({"email": "\ud800@example.com"}, 422, "This is not an e-mail address."),
        ({"email": "m@" + "." * 50_000 + "@"}, 422, "This is not an e-mail address."),
    ],
)
def test_email_is_refused(
    sandbox: Sandbox, changes: dict[str, Any], status: int, message: str
) -> None:
    answered = sandbox.send_email(**changes)
    assert (answered.status, answered.json["message"]) == (status, message)
    assert ("error_code" in answered.json) == (status == 422)
    assert sandbox.inbox() == []


@pytest.mark.parametrize("path", CALL_PATHS)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b"null", b"\xff", b"[" * 50_000, b"1" * 5000]
)
def test_call_takes_a_json_object_only(sandbox: Sandbox, path: str, body: bytes) -> None:
    answered = sandbox.ask("POST", path, body, JSON)
    message = "Bad Request: the body is not a JSON object"
    assert (answered.status, answered.json) == (400, {"message": message})


@pytest.mark.parametrize("path", CALL_PATHS)
@pytest.mark.parametrize("headers", [{}, FORM, {"Content-Type": "nonsense"}])
def test_call_takes_the_content_type_of_json_only(
    sandbox: Sandbox, path: str, headers: dict[str, str]
) -> None:
    answered = sandbox.ask("POST", path, b"{}", headers)
    assert (answered.status, answered.json) == (415, {"message": "Unsupported Media Type"})


def test_content_type_may_have_a_charset(sandbox: Sandbox) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answered = sandbox.ask("POST", SEND_PATH, b"{}", headers)
    assert answered.json == {"message": "Bad Request: phone_number is missing"}


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic {token}", "{token}"])
def test_send_needs_a_bearer_token(sandbox: Sandbox, authorization: str | None) -> None:
    headers = dict(JSON)
    if authorization is not None:
        headers["Authorization"] = authorization.format(token=sandbox.token())
    body = json.dumps({"phone_number": PHONE_NUMBER, "bundle_key": "sandbox"})
    assert sandbox.ask("POST", SEND_PATH, body, headers).status == 403
