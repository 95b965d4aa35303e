"""A connection that was lost since it was last used, or that leads to a standby."""

from typing import Any

import pytest
from django.db import connection, connections

from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp, send_queued
from tests.factories import make_send
from tests.processes import MANY_PROCESSES, at_once
from tests.scripted_server import ScriptedServer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

NUMBER = "01012345678"


def lose_connection() -> None:
    """Have the server end this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()


def become_a_standby() -> None:
    """Have this thread's connection refuse to write, as that of a standby does."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    # As if CONN_MAX_AGE were None.
    connections["default"].close_at = None


def test_a_worker_whose_connection_was_lost_sends(valify: ScriptedServer) -> None:
    row = make_send(status="queued", called_at=None, settled_at=None, transaction_id="")
    lose_connection()
    send_queued(row.pk)
    assert OtpSend.objects.get().status == "sent"


def test_a_connection_to_a_standby_is_replaced(valify: ScriptedServer) -> None:
    become_a_standby()
    assert send_otp(NUMBER).status == "sent"


def test_a_pool_does_not_hand_out_a_connection_to_a_standby_again(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(number: int) -> str:
        become_a_standby()
        connection.close()
        return send_otp(NUMBER).status

    pool: Any = {"min_size": 1, "max_size": 1}
    pooled = {**connection.settings_dict, "CONN_MAX_AGE": 0, "OPTIONS": {"pool": pool}}
    monkeypatch.setitem(connections.settings, "default", pooled)
    assert at_once(send, processes=1, threads=1) == ["sent"]
