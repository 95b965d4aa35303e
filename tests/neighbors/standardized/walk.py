"""Errors have the site's own format, and still the status, the code and the headers of ours."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from django_valify_otp.sandbox.process import ValifySandbox
from tests.configuration import Configure
from tests.factories import client_of
from tests.neighbors.walking import NUMBER, post

pytestmark = pytest.mark.django_db

SENDS = "/otp/sends/"


def only(body: dict[str, Any]) -> tuple[str, str, str | None]:
    """Return the kind, the code and the field of the one error of a body."""
    [error] = body["errors"]
    assert error["detail"]
    return body["type"], error["code"], error["attr"]


def test_errors_have_the_site_s_format(
    valify_sandbox: ValifySandbox, configure: Configure, user: User
) -> None:
    client = client_of(user)
    # The package signals each 5xx to error trackers, and the test client raises what it hears of.
    client.raise_request_exception = False
    body = post(client, SENDS, {"phone_number": "1"}, status=400)
    assert only(body) == ("validation_error", "invalid", "phone_number")
    body = post(client, SENDS, {"phone_number": "01000000422"}, status=422)
    assert only(body) == ("client_error", "rejected", None)
    body = post(client, SENDS, {"phone_number": "01000000500"}, status=504)
    assert only(body) == ("server_error", "outcome_unknown", None)
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    sent = post(client, SENDS, {"phone_number": NUMBER}, status=201)
    response = client.post(SENDS, {"phone_number": NUMBER}, format="json")
    assert only(response.json()) == ("client_error", "send_limit_reached", None)
    assert 0 < int(response.headers["Retry-After"]) <= 60
    [message] = valify_sandbox.inbox(NUMBER)
    url = f"{SENDS}{sent['id']}/verify/"
    wrong = f"{(int(message.code) + 1) % 1_000_000:06}"
    assert only(post(client, url, {"otp": wrong}, status=422))[1] == "code_rejected"
    assert post(client, url, {"otp": message.code}, status=200)["verified"]
    assert only(post(client, f"{SENDS}1/verify/", {"otp": wrong}, status=404))[1] == "not_found"
