"""TLS, proxies, keep-alive, threads and forks."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.db import connection
from pytest_django import Settings

from django_valify_otp.exceptions import ValifyUnreachable
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify import transport
from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    Received,
    ScriptedServer,
    answer,
    repeat,
    sent,
    token,
)

NUMBER = "01012345678"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, settings: Settings) -> Iterator[ScriptedServer]:
    """A Valify over TLS, whose authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedServer(tls=context)
    server.answer_token(token())
    server.answer_send(sent())
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "BASE_URL": server.base_url}
    yield server
    server.close()


@pytest.fixture
def trusted(
    tls: ScriptedServer,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ScriptedServer:
    """The same, known to this machine."""
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    return tls


@pytest.mark.django_db
def test_an_unknown_certificate_is_refused(tls: ScriptedServer) -> None:
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert OtpSend.objects.get().reason == "token call: SSLCertVerificationError"
    assert tls.received == []


@pytest.mark.django_db
def test_a_certificate_of_another_host_is_refused(
    trusted: ScriptedServer, settings: Settings
) -> None:
    base_url = trusted.base_url.replace("127.0.0.1", "localhost")
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "BASE_URL": base_url}
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert trusted.received == []


@pytest.mark.django_db
def test_sends_over_tls_share_a_connection(trusted: ScriptedServer) -> None:
    assert [send_otp(NUMBER).status for _ in range(3)] == [OtpSend.Status.SENT] * 3
    assert trusted.connections == 1


@pytest.mark.django_db
def test_the_deadline_holds_over_tls(trusted: ScriptedServer, settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "DEADLINE": 0.8}
    trusted.answer_token(repeat(b"x", pause=0.05))
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)


@pytest.mark.django_db
def test_a_handshake_that_never_ends(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        settings.VALIFY_OTP = {
            **settings.VALIFY_OTP,
            "BASE_URL": base_url,
            "CONNECT_TIMEOUT": 0.2,
        }
        with pytest.raises(ValifyUnreachable):
            send_otp(NUMBER)
    assert OtpSend.objects.get().reason == "token call: TimeoutError"


@pytest.mark.django_db
def test_netrc_touches_no_call(
    trusted: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    send_otp(NUMBER)
    [token_call] = trusted.at(TOKEN_PATH)
    assert "authorization" not in token_call.headers
    [call] = trusted.at(SEND_PATH)
    assert call.headers["authorization"] == "Bearer token-1"


@pytest.mark.django_db
def test_a_proxy_that_refuses_is_no_connection(
    server: ScriptedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.base_url)
    monkeypatch.setenv("NO_PROXY", "")
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "BASE_URL": "https://valify.invalid"}
    server.answers["valify.invalid:443"] = [answer(407)]
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert OtpSend.objects.get().calls == 0
    assert {received.path for received in server.received} == {"valify.invalid:443"}


@pytest.mark.django_db
def test_this_machine_is_reached_without_the_environment_s_proxy(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert send_otp(NUMBER).status == OtpSend.Status.SENT


@pytest.mark.django_db
def test_a_connection_that_was_closed_meanwhile_is_replaced(valify: ScriptedServer) -> None:
    closed = threading.Event()

    def answer_and_close(sock: Any, received: Received) -> None:
        sent()(sock, received)
        closed.set()
        raise ConnectionAbortedError

    valify.answer_send(answer_and_close, sent())
    send_otp(NUMBER)
    assert closed.wait(10)
    valify.wait_until_closed()
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert valify.connections == 2


@pytest.mark.django_db
def test_a_connection_that_was_idle_for_long_is_not_trusted(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_otp(NUMBER)
    monkeypatch.setattr(transport, "IDLE_SECONDS", 0)
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert valify.connections > 1


@pytest.mark.django_db
def test_no_request_starts_after_the_deadline(valify: ScriptedServer, settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "DEADLINE": 1e-9}
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert valify.received == []
    assert OtpSend.objects.get().reason == "token call: TimeoutError"


@pytest.mark.django_db(transaction=True)
def test_threads_share_tokens_and_connections(valify: ScriptedServer) -> None:
    """300 sends from 8 threads, against a server that knows what each token still may."""
    uses: dict[str, int] = {}
    lock = threading.Lock()

    def give_token(sock: Any, received: Received) -> None:
        with lock:
            name = f"token-{len(uses)}"
            uses[name] = 0
        token(name)(sock, received)

    def take_call(sock: Any, received: Received) -> None:
        with lock:
            uses[received.token] += 1
            left = 3 - uses[received.token]
            number = sum(uses.values())
        sent(transaction_id=f"T{number}", trials_remaining=str(left))(sock, received)

    valify.answer_token(give_token)
    valify.answer_send(take_call)

    def send(number: int) -> str:
        try:
            return send_otp(f"010{number:08}").status
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(300)))
    assert statuses == [OtpSend.Status.SENT] * 300
    assert max(uses.values()) == 3
    assert len(uses) <= 300 / 3 + 16
    assert len(valify.at(SEND_PATH)) == 300
    assert valify.connections <= 8
    assert OtpSend.objects.values("transaction_id").distinct().count() == 300


def send_in_child(result: Any) -> None:
    connection.close()
    otp_send = send_otp(NUMBER)
    result.put((otp_send.status, otp_send.token_fingerprint))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.django_db(transaction=True)
def test_a_forked_process_has_a_client_of_its_own(valify: ScriptedServer) -> None:
    valify.answer_token(token("parent"), token("child"))
    parent = send_otp(NUMBER)
    connection.close()
    context = get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=send_in_child, args=[results])
    child.start()
    status, fingerprint = results.get()
    child.join()
    assert (status, child.exitcode) == (OtpSend.Status.SENT, 0)
    assert fingerprint != parent.token_fingerprint
    assert send_otp(NUMBER).token_fingerprint == parent.token_fingerprint
    assert valify.connections == 2
    assert os.getpid() != child.pid
