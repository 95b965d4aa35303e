"""Under gunicorn with --preload and under uvicorn, each with several workers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from django_valify_otp.models import OtpSend, OtpVerification
from tests.configuration import Configure
from tests.processes import MANY_PROCESSES
from tests.scripted_server import SEND_PATH, VERIFY_PATH, ScriptedServer, answer
from tests.servers.application_server import COMMANDS, FIRST_NUMBER, post, serving

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

NUMBERS = [f"0101234567{digit}" for digit in range(4)]
REQUESTS = 12


@pytest.mark.parametrize("name", COMMANDS)
def test_limits_and_tries_hold_in_all_workers(
    valify: ScriptedServer, configure: Configure, tmp_path: Path, name: str
) -> None:
    configure(
        PERMISSION_CLASSES=["rest_framework.permissions.AllowAny"],
        NUMBER_SEND_LIMITS=["3/1h"],
        GLOBAL_SEND_LIMITS=["11/1h"],
        VERIFY_TRIES=3,
    )
    valify.answer_verify(answer(422, {"message": "Not today", "error_code": 17}))
    with serving(name, tmp_path) as port, ThreadPoolExecutor(REQUESTS) as pool:
        bodies = [{"phone_number": number} for number in NUMBERS * REQUESTS]
        sends = [*pool.map(lambda body: post(port, "/otp/sends/", body), bodies)]
        [sent, *_] = [reply.body["id"] for reply in sends if reply.status == 201]
        guesses = [f"{number:06}" for number in range(REQUESTS)]
        path = f"/otp/sends/{sent}/verify/"
        tries = [*pool.map(lambda otp: post(port, path, {"otp": otp}), guesses)]
    rows = OtpSend.objects.exclude(phone_number=FIRST_NUMBER)
    by_number = Counter(rows.filter(status="sent").values_list("phone_number", flat=True))
    assert max(by_number.values()) <= 3
    # The master of gunicorn has sent one before its workers were forked.
    places = 11 - OtpSend.objects.filter(phone_number=FIRST_NUMBER).count()
    assert Counter(reply.status for reply in sends) == {201: places, 429: len(sends) - places}
    assert len(valify.at(SEND_PATH)) == 11
    assert Counter(reply.status for reply in tries) == {422: 3, 429: REQUESTS - 3}
    assert len(valify.at(VERIFY_PATH)) == OtpVerification.objects.count() == 3
    assert not OtpSend.objects.filter(status__in=OtpSend.OPEN).exists()
