"""A customer of Valify who chooses the access token of each call, which the app's client does."""

from http import HTTPStatus
from typing import Any

import requests

from tests.live.account import LiveAccount
from tests.live.report import Report

TIMEOUT = 30
SEND = "/api/v1/otp/send/"
VERIFY = "/api/v1/otp/verify/"
INQUIRY = "/api/v1/transaction/inquiry/"
# Of no attempt: to verify it sends nothing.
NO_TRANSACTION = "00000000-0000-4000-8000-000000000000"
DOCUMENTED = {200, 400, 401, 403, 404, 415, 422, 500}


class Customer:
    """Makes one call at a time, and has the report know what to hide."""

    def __init__(self, account: LiveAccount, report: Report) -> None:
        self.account, self.report = account, report

    def fetch_token(self) -> str:
        """Return a new access token."""
        keys = ("USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
        form = {key.lower(): self.account.credentials[key] for key in keys}
        response = requests.post(
            f"{self.account.base_url}/api/o/token/",
            data={**form, "grant_type": "password"},
            timeout=TIMEOUT,
        )
        assert response.status_code == HTTPStatus.OK
        body = response.json()
        self.report.tokens.append(body["access_token"])
        self.report.note("How many seconds does an access token live?", body["expires_in"])
        return str(body["access_token"])

    def call(self, path: str, token: str, **body: str) -> requests.Response:
        """Return Valify's answer to a call."""
        response = requests.post(
            f"{self.account.base_url}{path}",
            json={"bundle_key": self.account.credentials["BUNDLE_KEY"], **body},
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        assert response.status_code in DOCUMENTED
        return response

    def send(self, token: str) -> Any:
        """Send an SMS, and return what Valify says of it."""
        response = self.call(SEND, token, phone_number=self.account.phone_number)
        assert response.status_code == HTTPStatus.OK
        return response.json()

    def guess(self, token: str, **body: str) -> requests.Response:
        """Verify no attempt: a call that needs a token and sends nothing."""
        return self.call(
            VERIFY, token, **{"otp": "000000", "transaction_id": NO_TRANSACTION, **body}
        )


def summarize(response: requests.Response) -> str:
    """Return the status and what Valify says in words."""
    return f"HTTP {response.status_code} {response.text[:200]}"
