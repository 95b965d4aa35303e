"""Somebody's transaction that holds the rows of users: nobody's send may wait for its end."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp, verify_otp
from tests.factories import make_send
from tests.processes import MANY_PROCESSES
from tests.scripted_server import ScriptedServer
from tests.servers.companion import companion
from tests.stress.scenario import SIZE, Scenario, compare, sweep_everything

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

Hold = Callable[[User], Any]
# Of a wait that would last for as long as the transaction.
SECONDS = 10


def lock(user: User) -> None:
    User.objects.select_for_update().get(pk=user.pk)


def update(user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_name="held")


def delete(user: User) -> None:
    User.objects.get(pk=user.pk).delete()


HOLDS = [lock, update, delete]


def send_as(user: User, number: str) -> str:
    try:
        return send_otp(number, user=user, ip_address="41.32.10.7").status
    finally:
        connection.close()


def guess_as(user: User, otp_send: OtpSend) -> str:
    try:
        return verify_otp(otp_send, "482913", user=user).status
    finally:
        connection.close()


@pytest.mark.parametrize("hold", HOLDS)
def test_no_send_waits_for_a_locked_user(limited: ScriptedServer, user: User, hold: Hold) -> None:
    stranger = User.objects.create_user("stranger")
    with ThreadPoolExecutor(2) as pool, transaction.atomic():
        hold(user)
        own = pool.submit(send_as, user, "01012345678")
        other = pool.submit(send_as, stranger, "01112345678")
        assert other.result(SECONDS) == "sent"
        assert own.result(SECONDS) == "sent"


@pytest.mark.parametrize("hold", [lock, update])
def test_no_guess_waits_for_a_locked_user(limited: ScriptedServer, user: User, hold: Hold) -> None:
    otp_send = make_send(user=user, caller=f"user:{user.pk}")
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        hold(user)
        assert pool.submit(guess_as, user, otp_send).result(SECONDS) == "verified"


@pytest.mark.timeout(60 * SIZE)
def test_stress(limited: ScriptedServer) -> None:
    scenario = Scenario.prepare(limited)
    users = [user.pk for user in scenario.users] + [target.user.pk for target in scenario.targets]

    def hold_users(ended: Any) -> None:
        with transaction.atomic():
            rows = User.objects.filter(pk__in=users)
            assert len(rows.select_for_update()) == len(users)
            rows.update(last_name="held")
            ended.wait(1.5)

    with companion(hold_users):
        found = scenario.run()
    assert sweep_everything() == 0
    compare(scenario, found)
