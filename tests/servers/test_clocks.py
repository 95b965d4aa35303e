"""Hosts whose clocks are wrong, all at work at once."""

import itertools
import socket
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from django.contrib.auth.models import User

from django_valify_otp.models import OtpSend, OtpVerification
from tests.configuration import Configure
from tests.processes import MANY_PROCESSES
from tests.scripted_server import (
    SEND_PATH,
    Answer,
    Received,
    ScriptedServer,
    answer,
    sent,
    verified,
)
from tests.servers.host import ADDRESS, NUMBER
from tests.servers.hosts import HOSTS, run_on_hosts

pytestmark = [
    pytest.mark.faketime,
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

SECONDS = 6
ANSWER_SECONDS = 2


def windows(rows: Iterable[OtpSend], count: int) -> list[float]:
    """Return how many seconds lie between each row and the one that is ``count`` rows later."""
    moments = sorted(row.created_at for row in rows)
    pairs = zip(moments, moments[count:], strict=False)
    return [(later - earlier).total_seconds() for earlier, later in pairs]


def slowly(then: Answer) -> Answer:
    """Give an answer after some seconds, in which the clock of a host jumps."""

    def wait(sock: socket.socket, received: Received) -> None:
        time.sleep(ANSWER_SECONDS)
        then(sock, received)

    return wait


def test_limits_hold_in_every_window(
    valify: ScriptedServer, configure: Configure, user: User
) -> None:
    configure(
        NUMBER_SEND_LIMITS=["3/2s"],
        USER_SEND_LIMITS=["4/2s"],
        IP_SEND_LIMITS=["5/3s"],
        GLOBAL_SEND_LIMITS=["12/1s"],
    )
    # An attempt that is rejected counts for the user and the address, and no longer in all.
    refused, broken = answer(422, {"message": "Not today"}), answer(500)
    answers = [refused, broken, *[sent()] * 5] * 200
    valify.answers[SEND_PATH] = answers
    found = run_on_hosts("send", [{"seconds": SECONDS}] * len(HOSTS))
    told = sum((Counter(host["told"]) for host in found), Counter[str]())
    assert set(told) == {"sent", "rejected", "outcome_unknown", "send_limit_reached"}, told
    assert [host["swept"] for host in found] == [0] * len(HOSTS)
    rows = [*OtpSend.objects.all()]
    assert Counter(row.code or row.status for row in rows) == told
    count = [row for row in rows if row.status in OtpSend.MAY_HAVE_SENT]
    tried = [row for row in rows if row.status in OtpSend.MAY_HAVE_SENT_OR_REJECTED]
    for limited, limit, seconds in (
        ([row for row in count if row.phone_number == NUMBER], 3, 2),
        ([row for row in tried if row.user_id == user.pk], 4, 2),
        ([row for row in tried if row.ip_address == ADDRESS], 5, 3),
        (count, 12, 1),
    ):
        assert min(windows(limited, limit)) >= seconds
        assert min(windows(limited, limit - 1)) < seconds, "the limit was never reached"
    assert not [row for row in rows if not row.settled_at or row.settled_at < row.created_at]


def test_a_live_call_is_left_alone_and_its_time_is_true(
    valify: ScriptedServer, configure: Configure
) -> None:
    # A call is overdue ten seconds after its deadline.
    configure(DEADLINE=10)
    valify.answer_send(slowly(sent()))
    valify.answer_verify(slowly(verified()))
    jumps = itertools.cycle(["+3600s", "-3600s"])
    found = run_on_hosts("call_slowly", [{"jumps_to": next(jumps)} for _ in HOSTS])
    assert [round(host["seconds_ahead"], -2) for host in found] == [3600, -3600] * 2
    assert [host["swept"] for host in found] == [0] * len(HOSTS)
    rows = {str(row.uuid): row for row in (*OtpSend.objects.all(), *OtpVerification.objects.all())}
    assert {row.status for row in rows.values()} == {"sent", "verified"}
    took = {id: seconds for host in found for id, seconds in host["took"].items()}
    assert took.keys() == rows.keys()
    for id, row in rows.items():
        assert row.duration
        assert ANSWER_SECONDS <= row.duration.total_seconds() <= took[id]
