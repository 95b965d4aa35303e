"""What happens when the database has locked something, is too busy, or went away."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from rest_framework.test import APIClient

from django_valify_otp import locking
from django_valify_otp.deadline import Deadline
from django_valify_otp.exceptions import SiteBusy
from django_valify_otp.locking import is_transient
from django_valify_otp.models import LimitLock, OtpSend, OtpSendQuerySet, OtpVerification
from django_valify_otp.services import get_send, send_otp, verify_otp
from tests.configuration import Configure
from tests.databases import LOCK_ALL_LIMITS, LOCK_ALL_SENDS, LOCK_USERS, held_by_another, waits
from tests.factories import NUMBER, make_send
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)

CODE = "482913"


@pytest.fixture
def one_lock(valify: ScriptedServer, configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site with a limit, whose attempts wait for a second at most."""
    configure(
        NUMBER_SEND_LIMITS=["5/1h"],
        DEADLINE=1,
        PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"],
    )
    send_otp("01112345678")


def test_a_lock_that_is_not_to_be_had_sends_nothing(one_lock: None, valify: ScriptedServer) -> None:
    rows, calls = OtpSend.objects.count(), len(valify.received)
    with held_by_another(LOCK_ALL_LIMITS), pytest.raises(SiteBusy) as caught:
        send_otp(NUMBER)
    error = caught.value
    assert (error.code, error.retry_after, error.otp_send) == ("site_busy", 1, None)
    assert (OtpSend.objects.count(), len(valify.received)) == (rows, calls)
    assert send_otp(NUMBER).status == "sent"


def test_a_locked_send_is_not_tried(one_lock: None, valify: ScriptedServer) -> None:
    otp_send, calls = make_send(), len(valify.received)
    with held_by_another(LOCK_ALL_SENDS), pytest.raises(SiteBusy) as caught:
        verify_otp(otp_send, CODE)
    assert (caught.value.otp_send, caught.value.verification) == (None, None)
    assert (OtpVerification.objects.count(), len(valify.received)) == (0, calls)
    assert verify_otp(otp_send, CODE).status == "verified"


def test_the_endpoints_say_that_the_site_is_busy(one_lock: None) -> None:
    otp_send = make_send(caller="anonymous")
    client = APIClient()
    with held_by_another(LOCK_ALL_LIMITS, LOCK_ALL_SENDS):
        answers = [
            client.post("/otp/sends/", {"phone_number": NUMBER}, format="json"),
            client.post(f"/otp/sends/{otp_send.uuid}/verify/", {"otp": CODE}, format="json"),
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json() == {
            "detail": "This site is very busy. Please try again in a moment.",
            "code": "site_busy",
            "id": None,
            "error_code": None,
        }


def test_a_locked_user_keeps_nobody_waiting(one_lock: None, valify: ScriptedServer) -> None:
    mona, karim = User.objects.create_user("mona"), User.objects.create_user("karim")
    with held_by_another(LOCK_USERS[connection.vendor]):
        of_mona = send_otp(NUMBER, user=mona)
        of_karim = send_otp("01212345678", user=karim)
        tried = verify_otp(of_mona, CODE, user=mona)
    assert (of_mona.status, of_karim.status, tried.status) == ("sent", "sent", "verified")
    assert {of_mona.user_id, of_karim.user_id} == {mona.pk, karim.pk}


def test_a_transaction_of_the_site_s_waits_as_before(one_lock: None) -> None:
    otp_send = make_send()
    with transaction.atomic():
        before = waits()
        assert get_send(otp_send.uuid) == otp_send
        assert waits() == before


def test_how_long_others_wait_is_put_back(one_lock: None) -> None:
    connection.close()
    before = waits()
    with locking.transaction("default", Deadline(2)):
        during = waits()
    with held_by_another(LOCK_ALL_LIMITS), pytest.raises(SiteBusy):
        send_otp(NUMBER)
    assert waits() == before != during


class OfPostgreSQL(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


class OfSQLite(Exception):
    def __init__(self, code: int) -> None:
        self.sqlite_errorcode = code


def caused_by(error: Error, cause: Exception) -> Error:
    error.__cause__ = cause
    return error


TRANSIENT: list[tuple[Error, bool]] = [
    (caused_by(OperationalError(), OfPostgreSQL("40P01")), True),
    (caused_by(OperationalError(), OfPostgreSQL("55P03")), True),
    (caused_by(OperationalError(), OfPostgreSQL("57P01")), True),
    (caused_by(OperationalError(), OfPostgreSQL("08006")), True),
    (caused_by(OperationalError(), OfPostgreSQL("53300")), True),
    (caused_by(OperationalError(), OfPostgreSQL(None)), True),
    (caused_by(InterfaceError(), OfPostgreSQL(None)), True),
    (caused_by(Error(), OfPostgreSQL("25006")), True),
    (caused_by(Error(), OfPostgreSQL("42P01")), False),
    (caused_by(IntegrityError(), OfPostgreSQL("23505")), False),
    (caused_by(OperationalError(), OfSQLite(5)), True),
    (caused_by(OperationalError(), OfSQLite(517)), True),
    (caused_by(OperationalError(), OfSQLite(1)), False),
    (OperationalError(1205, "Lock wait timeout exceeded"), True),
    (OperationalError(1213, "Deadlock found"), True),
    (OperationalError(2006, "Server has gone away"), True),
    (OperationalError(1366, "Incorrect string value"), False),
    (OperationalError(), True),
    (DataError(), False),
]


@pytest.mark.parametrize(("error", "expected"), TRANSIENT)
def test_which_errors_may_pass(error: Error, *, expected: bool) -> None:
    assert is_transient(error) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (caused_by(Error(), OfPostgreSQL("25006")), True),
        (OperationalError(1290, "running with the --read-only option"), True),
        (OperationalError(1836, "Running in read-only mode"), True),
        (caused_by(Error(), OfPostgreSQL("57P01")), False),
        (OperationalError(2006, "Server has gone away"), False),
        (OperationalError(), False),
    ],
)
def test_which_errors_are_of_a_standby(error: Error, *, expected: bool) -> None:
    assert locking.is_read_only(error) is expected


@pytest.fixture
def connected_to() -> list[object]:
    """The connections that ``write_on_a_standby_first`` has used."""
    return []


def write_on_a_standby_first(connected_to: list[object]) -> None:
    """Write, to a standby at first."""
    connection.ensure_connection()
    connected_to.append(connection.connection)
    if len(connected_to) == 1:
        raise OperationalError(1290, "running with the --read-only option")


def test_a_connection_to_a_standby_is_left(connected_to: list[object]) -> None:
    locking.repeat(lambda: write_on_a_standby_first(connected_to), pauses=(0, 0), using="default")
    first, second = connected_to
    assert first is not second


def test_the_connection_of_a_transaction_is_kept(connected_to: list[object]) -> None:
    with transaction.atomic():
        locking.repeat(
            lambda: write_on_a_standby_first(connected_to), pauses=(0, 0), using="default"
        )
    first, second = connected_to
    assert first is second


def test_a_missing_table_is_no_business_of_patience(valify: ScriptedServer) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_valify_otp_sendblock RENAME TO elsewhere")
    try:
        with pytest.raises(Error) as caught:
            send_otp(NUMBER)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO django_valify_otp_sendblock")
    assert not isinstance(caught.value, SiteBusy)


def test_connections_that_were_lost_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of a pool are, which hands out one after the other."""
    lost = [True] * 5
    handed_out: list[object] = []
    wrapper = connections["default"]
    # One that is past its CONN_MAX_AGE would be closed as well, and so be a seventh.
    wrapper.close()
    ensure_connection = wrapper.ensure_connection

    def hand_out() -> None:
        ensure_connection()
        handed_out.append(wrapper.connection)

    monkeypatch.setattr(wrapper, "ensure_connection", hand_out)
    monkeypatch.setattr(wrapper, "is_usable", lambda: not (lost and lost.pop()))
    locking.reconnect("default")
    assert len({id(connection) for connection in handed_out}) == 6


def test_rows_are_found_over_a_lost_connection(
    valify: ScriptedServer, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    otp_send = send_otp(NUMBER, user=user)
    failures = [OperationalError("server closed the connection")] * 2
    find = OtpSendQuerySet.get

    def fail_first(self: OtpSendQuerySet, **fields: Any) -> OtpSend:
        if failures:
            raise failures.pop()
        return find(self, **fields)

    monkeypatch.setattr(OtpSendQuerySet, "get", fail_first)
    assert get_send(otp_send.uuid, user=user) == otp_send
    failures.extend([OperationalError("server closed the connection")] * 3)
    client = APIClient()
    client.force_authenticate(user)
    answer = client.post(f"/otp/sends/{otp_send.uuid}/verify/", {"otp": CODE}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (503, "site_busy")
    assert OtpVerification.objects.count() == 0


def test_a_server_that_is_away_ends_in_site_busy(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    otp_send = make_send()
    connection.close()

    def refuse() -> None:
        raise OperationalError("too many clients already")

    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "connect", refuse)
        with pytest.raises(SiteBusy):
            send_otp(NUMBER)
        with pytest.raises(SiteBusy):
            verify_otp(otp_send, CODE)
        with pytest.raises(SiteBusy):
            get_send(otp_send.uuid)
    assert valify.received == []
    assert send_otp(NUMBER).status == "sent"


LOCK_TABLE = {
    "postgresql": f"LOCK TABLE {OtpSend._meta.db_table} IN ACCESS EXCLUSIVE MODE",
    "mysql": f"LOCK TABLES {OtpSend._meta.db_table} WRITE",
    "sqlite": f"UPDATE {OtpSend._meta.db_table} SET status = status",
}


@pytest.mark.parametrize("limits", [[], ["5/1h"]])
def test_a_locked_table_ends_in_site_busy(
    one_lock: None, configure: Configure, limits: list[str]
) -> None:
    """As while it is migrated."""
    configure(NUMBER_SEND_LIMITS=limits, DEADLINE=2)
    with held_by_another(LOCK_TABLE[connection.vendor]), pytest.raises(SiteBusy):
        send_otp(NUMBER)
    # The lock of a table outlives a transaction on MariaDB, not the connection.
    assert send_otp(NUMBER).status == "sent"


def read_while_locked(otp_send: OtpSend) -> str:
    with held_by_another(LOCK_TABLE[connection.vendor]):
        try:
            return get_send(otp_send.uuid).status
        except SiteBusy:
            return "busy"


def test_a_read_of_a_locked_table_ends(one_lock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "LONGEST_WAIT_SECONDS", 1)
    # On SQLite, who reads waits for nobody.
    expected = "sent" if connection.vendor == "sqlite" else "busy"
    assert read_while_locked(make_send()) == expected


def test_a_lock_is_called_by_its_number() -> None:
    assert str(LimitLock(pk=7)) == "7"
