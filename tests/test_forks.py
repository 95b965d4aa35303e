"""Processes that are forked after the first call; uWSGI forks without telling Python."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify import tokens
from tests.processes import MANY_PROCESSES, fork
from tests.scripted_server import SEND_PATH, Received, ScriptedServer, sent, token

pytestmark = [
    pytest.mark.django_db(transaction=True),
    *MANY_PROCESSES,
]

NUMBER = "01012345678"
PROJECT = Path(__file__).parent.parent


def send_in_child(results: Any) -> None:
    connection.close()
    otp_send = send_otp(NUMBER)
    results.put((otp_send.status, otp_send.token_fingerprint))


def send_six_in_child(results: Any) -> None:
    connection.close()
    results.put({send_otp(NUMBER).token_fingerprint for _ in range(6)})


def test_a_process_forked_while_a_token_is_fetched_ahead(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits neither for the parent's thread nor for a lock of the parent."""
    monkeypatch.setattr(tokens, "WORTH_A_THREAD_SECONDS", 0)
    asked, gate = threading.Event(), threading.Event()

    def wait(sock: socket.socket, received: Received) -> None:
        asked.set()
        gate.wait(60)
        token("late")(sock, received)

    valify.answer_token(token("one"), token("two"), wait, token("child-1"), token("child-2"))
    parent = {send_otp(NUMBER).token_fingerprint for _ in range(6)}
    assert asked.wait(10)
    connection.close()
    results = fork.SimpleQueue()
    child = fork.Process(target=send_six_in_child, args=[results])
    child.start()
    assert not results.get() & parent
    child.join()
    gate.set()


def test_a_forked_process_has_a_client_of_its_own(valify: ScriptedServer) -> None:
    """Without a hook: the client is told of no fork, and looks at its process."""
    valify.answer_token(token("parent"), token("child"))
    parent = send_otp(NUMBER)
    connection.close()
    results = fork.SimpleQueue()
    child = fork.Process(target=send_in_child, args=[results])
    child.start()
    child.join()
    status, fingerprint = results.get()
    assert status == OtpSend.Status.SENT
    assert fingerprint != parent.token_fingerprint
    assert send_otp(NUMBER).token_fingerprint == parent.token_fingerprint
    assert valify.connections == 2


SETTINGS = """
import os
from tests.settings import *
DATABASES["default"]["NAME"] = os.environ["SITE_DATABASE"]
VALIFY_OTP = {**VALIFY_OTP, "BASE_URL": os.environ["SITE_VALIFY"]}
"""
APPLICATION = """
import django
django.setup()
from django.db import connection
from django_valify_otp.services import send_otp

def send(number):
    try:
        return send_otp(number).transaction_id
    except Exception as error:
        return type(error).__name__
    finally:
        connection.close()

# In the master, which forks its workers after this.
assert send("01000000000") == "01000000000"

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [send(environ["PATH_INFO"].strip("/")).encode()]
"""


@contextmanager
def uwsgi(folder: Path, valify: ScriptedServer, *, workers: int) -> Iterator[int]:
    """The port of a uWSGI whose master has called Valify before it forked its workers."""
    (folder / "site_settings.py").write_text(SETTINGS)
    (folder / "application.py").write_text(APPLICATION)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "site_settings",
        "PYTHONPATH": f"{PROJECT}{os.pathsep}{folder}",
        "SITE_DATABASE": str(connection.settings_dict["NAME"]),
        "SITE_VALIFY": valify.base_url,
    }
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    port = listener.getsockname()[1]
    options = [f"--http-socket=fd://{listener.fileno()}", "--module=application", "--need-app"]
    options += ["--master", f"--processes={workers}", "--die-on-term", "--disable-logging"]
    with subprocess.Popen(
        [sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", *options],
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


def test_workers_of_uwsgi_get_their_own_answers(valify: ScriptedServer, tmp_path: Path) -> None:
    """It forks in C, after the application was loaded."""

    def answer_with_the_number(sock: socket.socket, received: Received) -> None:
        sent(transaction_id=received.json["phone_number"])(sock, received)

    valify.answer_send(answer_with_the_number)
    numbers = [f"011123456{number:02}" for number in range(40)]
    with uwsgi(tmp_path, valify, workers=4) as port, ThreadPoolExecutor(8) as pool:

        def ask(number: str) -> str:
            with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as site:
                site.request("GET", f"/{number}")
                return site.getresponse().read().decode()

        answers = list(pool.map(ask, numbers))
    assert answers == numbers
    assert len(valify.at(SEND_PATH)) == 1 + len(numbers)
    assert not OtpSend.objects.exclude(status=OtpSend.Status.SENT).exists()
