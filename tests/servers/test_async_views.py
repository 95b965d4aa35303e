"""An async view under uvicorn, whose clients hang up."""

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from django_valify_otp.models import OtpSend
from tests.configuration import Configure
from tests.factories import NUMBER
from tests.processes import MANY_PROCESSES
from tests.scripted_server import SEND_PATH, HeldAnswer, ScriptedServer, sent
from tests.servers.application_server import serving

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

# One process, or the view that looks would be asked in another one.
OPTIONS = ["--fd={fd}", "--log-level=warning", "site_asgi:application"]
SETTINGS = """
ROOT_URLCONF = "tests.servers.async_site"
"""
SYNC_MIDDLEWARE = """
MIDDLEWARE = [*MIDDLEWARE, "tests.servers.async_site.sync_middleware"]
"""


def get(port: int, path: str) -> Any:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("GET", path)
        return json.loads(client.getresponse().read())


def look_until(port: int, wanted: dict[str, Any]) -> None:
    """Return when the site says this of its tasks; if it never does, the test's time is over."""
    next(look for look in iter(lambda: get(port, "/look/"), None) if look == wanted)


@pytest.mark.parametrize("middleware", ["", SYNC_MIDDLEWARE], ids=["async", "sync"])
def test_who_hangs_up_stops_no_send(
    valify: ScriptedServer, configure: Configure, tmp_path: Path, middleware: str
) -> None:
    configure(READ_TIMEOUT=100, DEADLINE=100)
    held = HeldAnswer(sent())
    valify.answer_send(held, sent("T2"))
    with serving("uvicorn", tmp_path, options=OPTIONS, settings_text=SETTINGS + middleware) as port:
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as client:
            client.request("GET", f"/send/{NUMBER}/")
            held.began.wait()
        # The view was told to stop, still waits for its send, and is in nobody's way.
        look_until(port, {"cancelling": [1], "cancelled": 0, "over": 0})
        assert get(port, "/send/01112345678/") == {"status": "sent"}
        assert OtpSend.objects.get(phone_number=NUMBER).status == "pending"
        held.released.set()
        look_until(port, {"cancelling": [], "cancelled": 1, "over": 2})
    assert OtpSend.objects.get(phone_number=NUMBER).status == "sent"
    assert len(valify.at(SEND_PATH)) == 2
