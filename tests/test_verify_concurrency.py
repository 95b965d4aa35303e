"""What holds between parallel guesses, on whatever database this run has."""

import os
import signal
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from django_valify_otp.exceptions import CodeRejected, TooManyTries
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.services import redeem_verification_token, send_otp, sweep, verify_otp
from tests.configuration import Configure
from tests.databases import lose_answers_of_commits, open_transactions
from tests.factories import NUMBER, make_send
from tests.processes import MANY_PROCESSES, at_once, fork
from tests.scripted_server import (
    VERIFY_PATH,
    Received,
    ScriptedServer,
    answer,
    silence,
    token,
    verified,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

CODE = "482913"


def guess(number: int) -> str:
    return verify_otp(OtpSend.objects.get(), f"{number:06}").status


@pytest.mark.parametrize("allowed", [1, 5])
def test_guesses_are_counted_exactly(
    valify: ScriptedServer, configure: Configure, allowed: int
) -> None:
    configure(VERIFY_TRIES=allowed)
    valify.answer_verify(answer(422, {"message": "Wrong code"}))
    make_send()
    found = Counter(at_once(guess, processes=4, threads=4))
    assert found == {"CodeRejected": allowed, "TooManyTries": 16 - allowed}
    assert len(valify.at(VERIFY_PATH)) == allowed
    assert OtpVerification.objects.filter(status="rejected").count() == allowed


def test_guesses_that_do_not_arrive_are_given_back(valify: ScriptedServer) -> None:
    valify.answer_token(answer(401))
    make_send()
    found = Counter(at_once(guess, processes=4, threads=4))
    assert set(found) <= {"ValifyMisconfigured", "TooManyTries"}
    assert found["ValifyMisconfigured"] >= 5
    assert valify.at(VERIFY_PATH) == []
    valify.answer_token(token())
    assert verify_otp(OtpSend.objects.get(), CODE).status == "verified"


def verify(number: int) -> str:
    return verify_otp(OtpSend.objects.get(), CODE).token


def test_a_right_code_verifies_once(valify: ScriptedServer) -> None:
    """Even with a Valify that says yes to all of them."""
    make_send()
    found = at_once(verify, processes=4, threads=4)
    row = OtpVerification.objects.get(status="verified")
    assert found.count(row.token) == 1
    assert found.count("NotVerifiable") + found.count("TooManyTries") == 15
    assert OtpSend.objects.get().verified_at == row.settled_at
    others = OtpVerification.objects.exclude(pk=row.pk)
    assert set(others.values_list("status", "code")) <= {("rejected", "not_verifiable")}
    assert len(valify.at(VERIFY_PATH)) == OtpVerification.objects.count() <= 5


def verify_in_the_sandbox(number: int) -> str:
    """The right code, as if it were kept in the row's purpose."""
    otp_send = OtpSend.objects.get()
    return verify_otp(otp_send, otp_send.purpose).status


def test_a_right_code_is_spent_once(valify_sandbox: ValifySandbox) -> None:
    otp_send = send_otp(NUMBER)
    [message] = valify_sandbox.inbox(NUMBER)
    OtpSend.objects.filter(pk=otp_send.pk).update(purpose=message.code)
    found = Counter(at_once(verify_in_the_sandbox, processes=2, threads=4))
    assert found["verified"] == 1
    assert set(found) <= {"verified", "CodeRejected", "NotVerifiable", "TooManyTries"}


def redeem(number: int) -> str:
    with transaction.atomic():
        return redeem_verification_token(os.environ["TEST_TOKEN"])


def test_a_token_is_redeemed_once(valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    verification = verify_otp(make_send(), CODE)
    monkeypatch.setenv("TEST_TOKEN", verification.token)
    found = Counter(at_once(redeem, processes=4, threads=4))
    assert found == {NUMBER: 1, "InvalidVerificationToken": 15}


def test_no_transaction_is_open_during_a_call(valify: ScriptedServer) -> None:
    found: list[int] = []

    def look(sock: Any, received: Received) -> None:
        found.append(open_transactions())
        connection.close()
        verified()(sock, received)

    valify.answer_verify(look)
    assert verify_otp(make_send(), CODE).status == "verified"
    assert found == [0]


def test_a_killed_process_leaves_its_try(valify: ScriptedServer, configure: Configure) -> None:
    configure(VERIFY_TRIES=1)
    make_send()
    called = threading.Event()

    def answer_nothing(sock: Any, received: Received) -> None:
        called.set()
        silence(sock, received)

    valify.answer_verify(answer_nothing)
    connections.close_all()
    child = fork.Process(target=guess, args=[0])
    child.start()
    assert called.wait(30)
    assert child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    row = OtpVerification.objects.get()
    assert (row.status, row.settled_at) == ("pending", None)
    with pytest.raises(TooManyTries):
        verify_otp(OtpSend.objects.get(), CODE)
    OtpVerification.objects.update(called_at=timezone.now() - timedelta(seconds=36))
    assert sum(at_once(lambda _number: sweep(), processes=2, threads=2)) == 1
    row.refresh_from_db()
    assert (row.status, row.code) == ("unknown", "outcome_unknown")
    assert OtpSend.objects.get().verified_at is None


def test_a_commit_that_was_done_is_not_done_again(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_answers_of_commits(monkeypatch)
    assert verify_otp(make_send(), CODE).status == "verified"
    assert OtpVerification.objects.count() == 1
    # Of a try that is found again, the tries before it are counted.
    valify.answer_verify(answer(422))
    otp_send = make_send()
    for left in (4, 3):
        with pytest.raises(CodeRejected) as caught:
            verify_otp(otp_send, CODE)
        assert caught.value.tries_left == left
