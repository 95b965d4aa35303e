"""What people do on each of these sites."""

from typing import Any

from rest_framework.test import APIClient

from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.services import redeem_verification_token

NUMBER = "01012345678"


def post(client: APIClient, path: str, body: dict[str, str], *, status: int) -> Any:
    """Return the JSON of the answer, which has this status."""
    response = client.post(path, body, format="json")
    assert response.status_code == status, response.content
    return response.json()


def confirm_number(client: APIClient, sandbox: ValifySandbox, at: str = "/otp/sends/") -> None:
    """Ask for an OTP, type it wrong, and type it right."""
    sent = post(client, at, {"phone_number": NUMBER}, status=201)
    [message] = sandbox.inbox(NUMBER)
    wrong = f"{(int(message.code) + 1) % 1_000_000:06}"
    verify = f"{at}{sent['id']}/verify/"
    assert post(client, verify, {"otp": wrong}, status=422)["tries_left"] == 4
    verified = post(client, verify, {"otp": message.code}, status=200)
    assert redeem_verification_token(verified["verification_token"]) == NUMBER
    found = client.get(f"{at}{sent['id']}/").json()
    assert (found["status"], found["verified_at"] is not None) == ("sent", True)
