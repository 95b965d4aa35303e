"""TLS, proxies, keep-alive and threads."""

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from django.db import connection

from django_valify_otp.exceptions import ValifyUnreachable
from django_valify_otp.models import OtpSend
from django_valify_otp.services import send_otp
from django_valify_otp.valify import bounded_http, tokens
from django_valify_otp.valify.client import Account, client_for
from tests.configuration import Configure
from tests.scripted_server import (
    SEND_PATH,
    TOKEN_PATH,
    Received,
    ScriptedServer,
    raw,
    repeat,
    sent,
    token,
)

NUMBER = "01012345678"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, configure: Configure) -> Iterator[ScriptedServer]:
    """A Valify over TLS, whose authority nobody knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedServer(tls=context)
    server.answer_token(token())
    server.answer_send(sent())
    configure(BASE_URL=server.base_url)
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
    trusted: ScriptedServer, configure: Configure
) -> None:
    base_url = trusted.base_url.replace("127.0.0.1", "localhost")
    configure(BASE_URL=base_url)
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert trusted.received == []


@pytest.mark.django_db
def test_sends_over_tls_share_a_connection(trusted: ScriptedServer) -> None:
    assert [send_otp(NUMBER).status for _ in range(3)] == [OtpSend.Status.SENT] * 3
    assert trusted.connections == 1


@pytest.mark.django_db
def test_the_deadline_holds_over_tls(trusted: ScriptedServer, configure: Configure) -> None:
    configure(DEADLINE=0.8)
    trusted.answer_token(repeat(b"x", pause=0.05))
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)


@pytest.mark.django_db
def test_a_handshake_that_never_ends(configure: Configure) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base_url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        configure(BASE_URL=base_url, CONNECT_TIMEOUT=0.2)
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
def test_a_host_that_requests_refuses(configure: Configure) -> None:
    configure(BASE_URL="https://*.invalid")
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert OtpSend.objects.get().reason == "token call: InvalidURL"


@pytest.fixture
def far_host(server: ScriptedServer, configure: Configure) -> str:
    """Valify, as a host of this test only: the proxies of a host are read once."""
    host = f"valify-{server.base_url.rpartition(':')[2]}.invalid"
    configure(BASE_URL=f"https://{host}")
    return f"{host}:443"


@pytest.fixture
def proxied(
    server: ScriptedServer, far_host: str, monkeypatch: pytest.MonkeyPatch
) -> ScriptedServer:
    """The proxy on the way to Valify."""
    monkeypatch.setenv("HTTPS_PROXY", server.base_url.replace("//", "//user:hush@"))
    monkeypatch.setenv("NO_PROXY", "")
    return server


@pytest.mark.django_db
@pytest.mark.parametrize("status", [407, 502])
def test_a_proxy_that_refuses_is_no_connection(
    proxied: ScriptedServer, far_host: str, status: int
) -> None:
    head = f"HTTP/1.1 {status} hush for https://user:hush@proxy\r\nContent-Length: 0\r\n\r\n"
    proxied.answers[far_host] = [raw(head.encode())]
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    row = OtpSend.objects.get()
    assert (row.status, row.code, row.calls) == ("failed", "valify_unreachable", 0)
    assert row.reason == f"token call: the proxy answered HTTP {status}"
    assert {received.path for received in proxied.received} == {far_host}


@pytest.mark.django_db
def test_a_proxy_that_is_away_is_named(
    proxied: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@127.0.0.1:9")
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert OtpSend.objects.get().reason == "token call: the proxy: ConnectionRefusedError"


@pytest.mark.django_db
def test_no_proxy(trusted: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert send_otp(NUMBER).status == OtpSend.Status.SENT


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
def test_headers(valify: ScriptedServer) -> None:
    send_otp(NUMBER)
    [token_call] = valify.at(TOKEN_PATH)
    [call] = valify.at(SEND_PATH)
    headers = {
        "host": valify.base_url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "django-valify-otp",
    }
    assert token_call.headers == {
        **headers,
        "content-type": "application/x-www-form-urlencoded",
        "content-length": str(len(token_call.body)),
    }
    assert call.headers == {
        **headers,
        "authorization": "Bearer token-1",
        "content-type": "application/json",
        "content-length": str(len(call.body)),
    }


@pytest.mark.django_db
def test_a_client_that_is_closed_goes_on(valify: ScriptedServer) -> None:
    """Settings change in another thread, between the two calls of a send."""
    other = Account(
        base_url="https://other.invalid",
        bundle_key="other",
        username="other",
        password="other",
        client_id="other",
        client_secret="other",
        token_uses=3,
        connect_timeout=5,
        read_timeout=20,
    )

    def answer_and_change(sock: Any, received: Received) -> None:
        client_for(other)
        token()(sock, received)

    valify.answer_token(answer_and_change)
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert valify.connections == 2


@pytest.mark.django_db
def test_a_connection_that_was_idle_for_long_is_not_trusted(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_otp(NUMBER)
    monkeypatch.setattr(bounded_http, "IDLE_SECONDS", 0)
    assert send_otp(NUMBER).status == OtpSend.Status.SENT
    assert valify.connections == 2


@pytest.mark.django_db
def test_no_request_starts_after_the_deadline(valify: ScriptedServer, configure: Configure) -> None:
    configure(DEADLINE=1e-9)
    with pytest.raises(ValifyUnreachable):
        send_otp(NUMBER)
    assert valify.received == []
    assert OtpSend.objects.get().reason == "token call: TimeoutError"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("worth_a_thread", [0, 60], ids=["ahead", "not ahead"])
def test_threads_share_tokens_and_connections(
    valify: ScriptedServer, monkeypatch: pytest.MonkeyPatch, worth_a_thread: int
) -> None:
    """300 sends from 8 threads, against a server that knows what each token still may."""
    monkeypatch.setattr(tokens, "WORTH_A_THREAD_SECONDS", worth_a_thread)
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
    # One more than the threads, for the token that is fetched ahead.
    assert valify.connections <= 8 + 1
    assert OtpSend.objects.values("transaction_id").distinct().count() == 300
