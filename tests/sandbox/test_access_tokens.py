"""Which access tokens the sandbox gives, and how often each serves."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.sandbox.customer import CREDENTIALS, JSON, TOKEN_PATH, Client, Sandbox


def test_token_is_as_documented(sandbox: Sandbox) -> None:
    answered = sandbox.fetch_token()
    assert answered.status == 200
    assert set(answered.json) == {
        "access_token",
        "expires_in",
        "token_type",
        "scope",
        "refresh_token",
    }
    assert answered.json["expires_in"] == 600
    assert answered.json["token_type"] == "Bearer"


def test_tokens_differ(sandbox: Sandbox) -> None:
    assert sandbox.token() != sandbox.token()


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, 400, "unsupported_grant_type"),
        ({"client_id": "someone"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "", "client_secret": ""}, 401, "invalid_client"),
        ({"username": "someone"}, 400, "invalid_grant"),
        ({"password": "wrong"}, 400, "invalid_grant"),
    ],
)
def test_token_is_refused(
    sandbox: Sandbox, changes: dict[str, str], status: int, error: str
) -> None:
    answered = sandbox.fetch_token(**changes)
    assert (answered.status, answered.json) == (status, {"error": error})


def test_token_call_takes_a_form_only(sandbox: Sandbox) -> None:
    body = json.dumps({"grant_type": "password", **CREDENTIALS})
    answered = sandbox.ask("POST", TOKEN_PATH, body, JSON)
    assert (answered.status, answered.json) == (400, {"error": "unsupported_grant_type"})


def test_token_serves_three_calls(sandbox: Sandbox) -> None:
    token = sandbox.token()
    trials = [sandbox.send(token).json["trials_remaining"] for _ in range(3)]
    assert trials == ["2", "1", "0"]
    assert sandbox.send(token).status == 403


def test_token_expires(sandbox: Sandbox) -> None:
    token = sandbox.token()
    sandbox.clock.pass_seconds(599)
    later = sandbox.token()
    assert sandbox.send(token).status == 200
    sandbox.clock.pass_seconds(1)
    assert sandbox.send(token).status == 403
    assert sandbox.send(later).status == 200


@pytest.mark.parametrize(
    ("changes", "trials_remaining"),
    [
        ({"bundle_key": None}, "2"),
        ({"bundle_key": "wrong"}, "1"),
        ({"phone_number": "02012345678"}, "1"),
        ({"phone_number": "01000000500"}, "1"),
        ({"phone_number": "01000000403"}, "1"),
    ],
)
def test_refusal_costs_a_use_once_the_token_was_looked_at(
    sandbox: Sandbox, changes: dict[str, Any], trials_remaining: str
) -> None:
    token = sandbox.token()
    sandbox.send(token, **changes)
    assert sandbox.send(token).json["trials_remaining"] == trials_remaining


def test_token_is_never_spent_more_often_than_it_serves(sandbox: Sandbox) -> None:
    token = sandbox.token()

    def send(_: int) -> int:
        with Client(sandbox.port) as client:
            return client.send(token).status

    with ThreadPoolExecutor(10) as threads:
        assert sorted(threads.map(send, range(30))) == [200] * 3 + [403] * 27
