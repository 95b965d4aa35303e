"""With psycopg's binding on the server, which takes one statement at a time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.utils import timezone

from django_valify_otp.exceptions import SendLimitReached
from django_valify_otp.models import LimitTally, OtpSend
from django_valify_otp.services import send_otp, verify_otp
from django_valify_otp.statements import takes_statements_together
from tests.configuration import Configure
from tests.crowds import ADDRESS, make_attempts, seconds_before
from tests.factories import NUMBER
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bound_on_the_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], Any]:
    """Do some work on a connection that binds on the server."""
    options = {**connection.settings_dict["OPTIONS"], "server_side_binding": True}
    monkeypatch.setitem(
        connections.settings, "default", {**connection.settings_dict, "OPTIONS": options}
    )

    def do(work: Callable[[], Any]) -> Any:
        def do_and_close() -> Any:
            assert not takes_statements_together(connection)
            try:
                return work()
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(do_and_close).result()

    return do


def test_a_send_and_a_try(
    valify: ScriptedServer,
    configure: Configure,
    user: User,
    bound_on_the_server: Callable[[Callable[[], Any]], Any],
) -> None:
    configure(
        NUMBER_SEND_LIMITS=["1/60s"], USER_SEND_LIMITS=["5/1h"], GLOBAL_SEND_LIMITS=["602/1h"]
    )
    make_attempts(seconds_before(timezone.now(), 600), phone_number="01512345678", caller="system")

    def send(number: str, key: str | None = None) -> OtpSend:
        return send_otp(number, user=user, ip_address=ADDRESS, idempotency_key=key)

    def refused(work: Callable[[], Any]) -> str:
        with pytest.raises(SendLimitReached) as caught:
            bound_on_the_server(work)
        assert caught.value.otp_send
        return caught.value.otp_send.blocked_by

    otp_send = bound_on_the_server(lambda: send(NUMBER, "c0ffee"))
    assert bound_on_the_server(lambda: send(NUMBER, "c0ffee")) == otp_send
    assert LimitTally.objects.count() == 2
    assert refused(lambda: send(NUMBER)) == "NUMBER_SEND_LIMITS 1/60s"
    assert bound_on_the_server(lambda: verify_otp(otp_send, "482913")).status == "verified"
    bound_on_the_server(lambda: send("01112345678"))
    assert refused(lambda: send("01212345678")) == "GLOBAL_SEND_LIMITS 602/1h"
