"""The floor: what nobody can go below who calls Valify with ``requests`` and keeps a record."""

import os
import uuid
from datetime import UTC, datetime
from typing import Any

import requests
from django.db import connection
from django.utils import timezone

from benchmarks.models import FloorSend
from benchmarks.vendor import SEND_PATH, TOKEN_PATH, TOKEN_USES, VERIFY_PATH

CREDENTIALS = {
    "username": "benchmark",
    "password": "benchmark",
    "client_id": "benchmark",
    "client_secret": "benchmark",
}
BUNDLE_KEY = "benchmark"
TIMEOUTS = (5, 20)
TABLE = FloorSend._meta.db_table
INSERT = (
    f"INSERT INTO {TABLE} (uuid, phone_number, status, transaction_id, created_at)"  # noqa: S608
    " VALUES (%s, %s, 'pending', '', %s) RETURNING id"
)
SETTLE = f"UPDATE {TABLE} SET status = 'sent', transaction_id = %s, settled_at = %s WHERE id = %s"  # noqa: S608
VERIFIED = f"UPDATE {TABLE} SET status = 'verified', settled_at = %s WHERE id = %s"  # noqa: S608


class Floor:
    """One shared session, a token used three times, one INSERT and one UPDATE in autocommit."""

    def __init__(self, base_url: str, session: requests.Session) -> None:
        """Begin without an access token."""
        self._base_url = base_url
        self._session = session
        self._tokens: list[str] = []

    def send(self, phone_number: str) -> str:
        """Send an OTP with plain SQL, and return the transaction ID."""
        pk = _insert(phone_number)
        answer = self.call(SEND_PATH, phone_number=phone_number)
        transaction_id: str = answer["transaction_id"]
        with connection.cursor() as cursor:
            cursor.execute(SETTLE, [transaction_id, _now(), pk])
        return transaction_id

    def send_with_orm(self, phone_number: str) -> str:
        """Do the same with the ORM."""
        row = FloorSend.objects.create(
            uuid=uuid.uuid4(),
            phone_number=phone_number,
            status="pending",
            created_at=timezone.now(),
        )
        answer = self.call(SEND_PATH, phone_number=phone_number)
        transaction_id: str = answer["transaction_id"]
        FloorSend.objects.filter(pk=row.pk).update(
            status="sent", transaction_id=transaction_id, settled_at=timezone.now()
        )
        return transaction_id

    def verify(self, sent: FloorSend, otp: str) -> None:
        """Verify a send: record the try, ask the vendor, and update both rows."""
        pk = _insert(sent.phone_number)
        self.call(VERIFY_PATH, otp=otp, transaction_id=sent.transaction_id)
        with connection.cursor() as cursor:
            cursor.execute(VERIFIED, [_now(), pk])
            cursor.execute(VERIFIED, [_now(), sent.pk])

    def call(self, path: str, **fields: str) -> dict[str, Any]:
        """Call the vendor, and return what it answers."""
        try:
            token = self._tokens.pop()
        except IndexError:
            token = self._new_token()
        answer = self._session.post(
            f"{self._base_url}{path}",
            json={**fields, "bundle_key": BUNDLE_KEY, "lang": "en"},
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUTS,
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _new_token(self) -> str:
        answer = self._session.post(
            f"{self._base_url}{TOKEN_PATH}",
            data={**CREDENTIALS, "grant_type": "password"},
            timeout=TIMEOUTS,
        )
        token: str = answer.json()["access_token"]
        self._tokens += [token] * (TOKEN_USES - 1)
        return token


def session_without_environment() -> requests.Session:
    """Return a session that does not look for proxies and passwords at each request."""
    session = requests.Session()
    session.trust_env = False
    session.verify = os.environ["REQUESTS_CA_BUNDLE"]
    return session


def send_as_sample(base_url: str, phone_number: str) -> str:
    """Send as the vendor's own sample: a new token and two new connections, and no record."""
    token_answer = requests.post(  # noqa: S113 (as the sample does)
        f"{base_url}{TOKEN_PATH}", data={**CREDENTIALS, "grant_type": "password"}
    )
    token = token_answer.json()["access_token"]
    answer = requests.post(  # noqa: S113
        f"{base_url}{SEND_PATH}",
        json={"phone_number": phone_number, "bundle_key": BUNDLE_KEY, "lang": "en"},
        headers={"Authorization": f"Bearer {token}"},
    )
    answer.raise_for_status()
    transaction_id: str = answer.json()["transaction_id"]
    return transaction_id


def _insert(phone_number: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [uuid.uuid4().hex, phone_number, _now()])
        pk: int = cursor.fetchone()[0]
        return pk


def _now() -> str:
    # Text without an offset, which every database takes for the UTC that Django keeps.
    return str(datetime.now(UTC).replace(tzinfo=None))
