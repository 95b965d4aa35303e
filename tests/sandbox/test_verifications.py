"""Which code verifies which transaction, and how often."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_valify_otp.sandbox.otps import OTPS_KEPT, IssuedOtps, OtpCheck
from tests.clock import Clock
from tests.sandbox.customer import EMAIL_VERIFY_PATH, VERIFY_PATH, Client, Sandbox, Way

WAYS = pytest.mark.parametrize(
    ("send", "path"),
    [(Client.send, VERIFY_PATH), (Client.send_email, EMAIL_VERIFY_PATH)],
    ids=["sms", "email"],
)


@WAYS
def test_code_is_verified_once(sandbox: Sandbox, send: Way, path: str) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    answered = sandbox.verify(message, path)
    assert (answered.status, answered.json) == (200, {"verified": True})
    answered = sandbox.verify(message, path)
    refusal = {"message": "The code was used before.", "error_code": 1006}
    assert (answered.status, answered.json) == (422, refusal)


@WAYS
@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"otp": None}, 400, {"message": "Bad Request: otp is missing"}),
        ({"otp": 123456}, 400, {"message": "Bad Request: otp is missing"}),
        ({"transaction_id": None}, 400, {"message": "Bad Request: transaction_id is missing"}),
        ({"transaction_id": ""}, 400, {"message": "Bad Request: transaction_id is missing"}),
        ({"bundle_key": None}, 400, {"message": "Bad Request: bundle_key is missing"}),
        ({"bundle_key": "wrong"}, 401, {"message": "Unauthorized: the bundle key is invalid"}),
        (
            {"token": "unknown"},
            403,
            {"message": "Forbidden: the access token could not be found"},
        ),
        ({"lang": "fr"}, 422, {"message": "lang is neither en nor ar.", "error_code": 1002}),
        ({"otp": "wrong"}, 422, {"message": "The code is wrong.", "error_code": 1004}),
        (
            {"otp": "wrong", "lang": "ar"},
            422,
            {"message": "الرمز غير صحيح.", "error_code": 1004},
        ),
        (
            {"transaction_id": "unknown"},
            422,
            {"message": "There is no such transaction.", "error_code": 1007},
        ),
    ],
)
def test_verify_is_refused(
    sandbox: Sandbox,
    send: Way,
    path: str,
    changes: dict[str, Any],
    status: int,
    body: dict[str, Any],
) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    answered = sandbox.verify(message, path, **changes)
    assert (answered.status, answered.json) == (status, body)
    assert sandbox.verify(message, path).status == 200


@WAYS
def test_code_expires(sandbox: Sandbox, send: Way, path: str) -> None:
    send(sandbox)
    sandbox.clock.pass_seconds(1)
    send(sandbox)
    newest, oldest = sandbox.inbox()
    sandbox.clock.pass_seconds(599)
    assert sandbox.verify(newest, path).status == 200
    answered = sandbox.verify(oldest, path, lang="ar")
    refusal = {"message": "انتهت صلاحية الرمز.", "error_code": 1005}
    assert (answered.status, answered.json) == (422, refusal)


@pytest.mark.parametrize(
    ("send", "wrong_path", "right_path"),
    [
        (Client.send, EMAIL_VERIFY_PATH, VERIFY_PATH),
        (Client.send_email, VERIFY_PATH, EMAIL_VERIFY_PATH),
    ],
)
def test_code_is_verified_the_way_it_came(
    sandbox: Sandbox, send: Way, wrong_path: str, right_path: str
) -> None:
    send(sandbox)
    [message] = sandbox.inbox()
    assert sandbox.verify(message, wrong_path).json["error_code"] == 1007
    assert sandbox.verify(message, right_path).status == 200


def test_code_belongs_to_its_transaction(sandbox: Sandbox) -> None:
    sandbox.send()
    code = sandbox.inbox()[0]["code"]
    sent = sandbox.send(phone_number="01000000200").json["transaction_id"]
    answered = sandbox.verify({"code": code, "transaction_id": sent})
    assert (answered.status, answered.json["error_code"]) == (422, 1007)


def test_code_outlives_its_message(sandbox: Sandbox) -> None:
    sandbox.send()
    [message] = sandbox.inbox()
    sandbox.ask("DELETE", "/inbox/")
    assert sandbox.verify(message).status == 200


def test_verify_costs_a_use_of_the_token(sandbox: Sandbox) -> None:
    token = sandbox.token()
    sandbox.send(token)
    [message] = sandbox.inbox()
    assert sandbox.verify(message, token=token, otp="wrong").status == 422
    assert sandbox.verify(message, token=token).status == 200
    assert sandbox.verify(message, token=token).status == 403


def test_code_is_verified_once_by_many_at_once(sandbox: Sandbox) -> None:
    sandbox.send()
    [message] = sandbox.inbox()

    def verify(_: int) -> int:
        with Client(sandbox.port) as client:
            return client.verify(message).status

    with ThreadPoolExecutor(10) as threads:
        assert sorted(threads.map(verify, range(30))) == [200] + [422] * 29


def test_codes_forget_the_oldest() -> None:
    codes = IssuedOtps(lifetime=600, clock=Clock().monotonic)
    oldest, second, *_ = [codes.issue() for _ in range(OTPS_KEPT + 1)]
    found = [
        codes.spend(transaction_id=code.transaction_id, digits=code.digits)
        for code in (oldest, second)
    ]
    assert found == [OtpCheck.UNKNOWN, OtpCheck.RIGHT]
