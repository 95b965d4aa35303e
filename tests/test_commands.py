"""The commands, as typed."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import SystemCheckError
from django.utils import timezone

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from tests.configuration import Configure
from tests.factories import make_send
from tests.scripted_server import SEND_PATH, TOKEN_PATH, ScriptedServer, answer

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"


def run(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_check(valify: ScriptedServer) -> None:
    assert "access token" in run("valify_check")
    assert len(valify.at(TOKEN_PATH)) == 1
    assert valify.at(SEND_PATH) == []


def test_check_tells_the_reason(valify: ScriptedServer) -> None:
    valify.answer_token(answer(401, {"error": "invalid_client"}))
    with pytest.raises(CommandError, match="HTTP 401 invalid_client") as caught:
        run("valify_check")
    assert caught.value.returncode == 1


# Django's own checks ask every database what it can do.
@pytest.mark.django_db(databases=["default", "replica"])
def test_check_of_wrong_settings(configure: Configure) -> None:
    configure(TOKEN_USES=0)
    with pytest.raises(SystemCheckError, match="TOKEN_USES"):
        call_command("valify_check", skip_checks=False)


def test_send(valify: ScriptedServer) -> None:
    printed = run("valify_send", "+20 10 1234 5678", "--lang", "ar", "--purpose", "test")
    row = OtpSend.objects.get()
    assert (row.lang, row.purpose, row.caller) == ("ar", "test", "system")
    assert f"uuid: {row.uuid}" in printed
    for line in ("status: sent", "transaction_id: T1", "trials_remaining: 2"):
        assert line in printed
    assert "masked_phone_number: 010*****678" in printed
    assert NUMBER not in printed


def test_send_that_fails(valify: ScriptedServer) -> None:
    valify.answer_send(answer(422, {"message": "Not today", "error_code": 17}))
    output = StringIO()
    with pytest.raises(CommandError, match="rejected") as caught:
        call_command("valify_send", NUMBER, stdout=output)
    assert caught.value.returncode == 1
    assert "status: rejected" in output.getvalue()
    assert "error_code: 17" in output.getvalue()


def test_send_says_which_block_refused(valify: ScriptedServer) -> None:
    block = SendBlock.objects.create(scope="everything")
    output = StringIO()
    with pytest.raises(CommandError, match="sending_paused"):
        call_command("valify_send", NUMBER, stdout=output)
    assert f"blocked_by: SendBlock {block.pk}\n" in output.getvalue()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["0223456789"], "11 digits"), ([NUMBER, "--purpose", "sign up"], "purpose")],
)
def test_send_with_bad_input(valify: ScriptedServer, arguments: list[str], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        run("valify_send", *arguments)
    assert not OtpSend.objects.exists()


def test_send_in_another_language(valify: ScriptedServer) -> None:
    with pytest.raises(CommandError, match="invalid choice"):
        run("valify_send", NUMBER, "--lang", "fr")


def test_sweep() -> None:
    assert run("valify_sweep") == "settled: 0\nhanded over: 0\ndays totalled: 0\n"
    make_send(
        status="pending",
        transaction_id="",
        settled_at=None,
        called_at=timezone.now() - timedelta(seconds=36),
    )
    OtpSend.objects.get().verifications.create(
        status="pending",
        caller="system",
        created_at=timezone.now(),
        called_at=timezone.now() - timedelta(seconds=36),
    )
    assert run("valify_sweep") == "settled: 2\nhanded over: 0\ndays totalled: 0\n"
    assert OtpSend.objects.get().status == "unknown"
    assert OtpVerification.objects.get().status == "unknown"
