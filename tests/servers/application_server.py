"""The site under an application server with several workers, as a process of its own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from django_valify_otp.exceptions import SiteBusy
from tests.processes import ASKED

PROJECT = Path(__file__).parents[2]
# What a master that loads the site before it forks has sent.
FIRST_NUMBER = "01099999999"
SETTINGS = """
import json, os
from tests.settings import *

ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES["default"]["NAME"] = os.environ["SITE_DATABASE"]
VALIFY_OTP = json.loads(os.environ["SITE_VALIFY_OTP"])
"""
WSGI = f"""
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()

from django.db import connection
from django_valify_otp.services import send_otp
send_otp("{FIRST_NUMBER}")
connection.close()
"""
ASGI = """
from django.core.asgi import get_asgi_application
application = get_asgi_application()
"""
COMMANDS = {
    "gunicorn": ["--preload", "--workers=3", "--threads=4", "--bind=fd://{fd}", "site_wsgi"],
    "uvicorn": ["--workers=3", "--fd={fd}", "--log-level=warning", "site_asgi:application"],
}


class Reply(NamedTuple):
    """What the site answered."""

    status: int
    body: dict[str, Any]


@contextmanager
def serving(
    name: str, folder: Path, *, options: Sequence[str] = (), settings_text: str = ""
) -> Iterator[int]:
    """Serve the site of this test with its settings, on the port that is returned."""
    for module, text in (("settings", SETTINGS + settings_text), ("wsgi", WSGI), ("asgi", ASGI)):
        (folder / f"site_{module}.py").write_text(text)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}",
        "SITE_DATABASE": str(connection.settings_dict["NAME"]),
        "SITE_VALIFY_OTP": json.dumps(settings.VALIFY_OTP),
    }
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    port = listener.getsockname()[1]
    options = [option.format(fd=listener.fileno()) for option in options or COMMANDS[name]]
    with subprocess.Popen(
        [sys.executable, "-m", name, *options],
        cwd=folder,
        env=environment,
        pass_fds=[listener.fileno()],
    ) as process:
        # Its own now: if it does not start, whoever asks is refused and need not wait.
        listener.close()
        try:
            yield port
        finally:
            process.terminate()


def post(port: int, path: str, body: dict[str, str]) -> Reply:
    """Return the site's answer; on a busy machine, ask again."""
    replies = (_post(port, path, body) for _ in range(ASKED))
    return next(reply for reply in replies if reply.body.get("code") != SiteBusy.code)


def _post(port: int, path: str, body: dict[str, str]) -> Reply:
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as client:
        client.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = client.getresponse()
        return Reply(response.status, json.loads(response.read()))
