"""Rows that a primary took with it when it died, whose keys the next one gave to others."""

import logging
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from django_valify_otp.exceptions import NotVerifiable
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import send_otp, verify_otp
from tests.factories import NUMBER, make_send, make_try
from tests.scripted_server import VERIFY_PATH, Received, ScriptedServer, sent, verified

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "01112345678"
CODE = "482913"
QUEUED: dict[str, Any] = {"status": "queued", "settled_at": None, "transaction_id": ""}
PENDING: dict[str, Any] = {**QUEUED, "status": "pending"}


def lose(row: OtpSend, **fields: Any) -> OtpSend:
    """Take the row away, and give its key to another attempt."""
    OtpSend.objects.filter(pk=row.pk).delete()
    return make_send(pk=row.pk, phone_number=OTHER, **fields)


def test_an_answer_is_not_written_to_another_attempt(
    valify: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_and_answer(sock: Any, received: Received) -> None:
        lose(OtpSend.objects.get(), **PENDING)
        connection.close()
        sent("T-lost")(sock, received)

    valify.answer_send(lose_and_answer)
    with pytest.raises(OtpSend.DoesNotExist):
        send_otp(NUMBER)
    other = OtpSend.objects.get()
    assert (other.phone_number, other.status, other.transaction_id) == (OTHER, "pending", "")
    [critical] = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "transaction_id=T-lost" in critical.getMessage()


def test_nobody_is_told_how_another_attempt_ended(valify: ScriptedServer) -> None:
    def lose_and_answer(sock: Any, received: Received) -> None:
        lose(OtpSend.objects.get(), transaction_id="T-other")
        connection.close()
        sent("T-lost")(sock, received)

    valify.answer_send(lose_and_answer)
    with pytest.raises(OtpSend.DoesNotExist):
        send_otp(NUMBER)
    assert OtpSend.objects.get().transaction_id == "T-other"


def test_a_worker_claims_no_other_attempt() -> None:
    lost = make_send(**QUEUED)
    other = lose(lost, **QUEUED)
    assert not lost.claim(timezone.now())
    other.refresh_from_db()
    assert other.status == "queued"
    assert other.claim(timezone.now())


def test_no_other_attempt_is_noted_as_handed_over() -> None:
    lost = make_send(**QUEUED)
    other = lose(lost, **QUEUED)
    assert not lost.note_handover(timezone.now())
    assert other.note_handover(timezone.now())


def test_an_otp_is_not_verified_with_another_attempt(valify: ScriptedServer) -> None:
    lost = make_send()
    other = lose(lost)
    with pytest.raises(NotVerifiable):
        verify_otp(lost, CODE)
    assert valify.at(VERIFY_PATH) == []
    assert verify_otp(other, CODE).status == "verified"


def test_no_other_attempt_is_verified(valify: ScriptedServer) -> None:
    otp_send = make_send()

    def lose_and_answer(sock: Any, received: Received) -> None:
        tried = OtpVerification.objects.get()
        OtpVerification.objects.all().delete()
        other = lose(otp_send)
        make_try(other, pk=tried.pk, status="pending", settled_at=None)
        connection.close()
        verified()(sock, received)

    valify.answer_verify(lose_and_answer)
    with pytest.raises(OtpVerification.DoesNotExist):
        verify_otp(otp_send, CODE)
    assert OtpSend.objects.get().verified_at is None
    assert OtpVerification.objects.get().status == "pending"
