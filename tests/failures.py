"""Sends that must fail, and calls that are interrupted."""

import pytest
import requests

from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify import transport
from tests.factories import NUMBER


def fail(error: type[ValifyOtpError]) -> OtpSend:
    """Return the row of a send that must raise ``error``."""
    with pytest.raises(ValifyOtpError) as caught:
        send_otp(NUMBER)
    assert type(caught.value) is error
    otp_send = caught.value.otp_send
    assert otp_send is not None
    stored = OtpSend.objects.get()
    assert stored.pk == otp_send.pk
    assert stored.code == otp_send.code == error.code
    assert stored.settled_at is not None
    return stored


def interrupt_answer_to(
    monkeypatch: pytest.MonkeyPatch, path: str, interruption: type[BaseException]
) -> None:
    """Interrupt whoever reads an answer of this path, as a signal does."""
    read_body = transport._read_body

    def interrupt(response: requests.Response) -> bytes:
        if response.url.endswith(path):
            raise interruption
        return read_body(response)

    monkeypatch.setattr(transport, "_read_body", interrupt)
