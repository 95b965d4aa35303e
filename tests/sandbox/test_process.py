"""The sandbox as a process and as a command."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_valify_otp.sandbox.__main__ import build_parser, main
from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox
from tests.sandbox.customer import Sandbox, ask_for_silence, client_at
from tests.scripted_server import ScriptedServer, answer

ROOT = Path(__file__).parents[2]


def start(*command: str, **env: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("sent_signal", [signal.SIGINT, signal.SIGTERM])
def test_process_ends_cleanly_on_a_signal(sent_signal: signal.Signals) -> None:
    # A shell has it ignored in what it runs in the background, and so in the children of that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with start("django_valify_otp.sandbox", "--port", "0") as process:
        assert process.stdout
        line = process.stdout.readline()
        assert re.fullmatch(r"Valify sandbox on http://127\.0\.0\.1:[0-9]+\n", line)
        assert ValifySandbox(line.split()[-1]).inbox() == []
        process.send_signal(sent_signal)
        assert process.communicate() == ("", "")
        assert process.returncode == 0


def test_process_ends_cleanly_in_the_middle_of_a_silence() -> None:
    with start("django_valify_otp.sandbox", "--port", "0") as process:
        assert process.stdout
        base_url = process.stdout.readline().split()[-1]
        with client_at(base_url) as client, ask_for_silence(client) as sock:
            process.terminate()
            assert process.communicate() == ("", "")
            assert process.returncode == 0
            assert sock.recv(1) == b""


def test_process_ends_with_its_standard_input() -> None:
    with start("django_valify_otp.sandbox", "--port", "0", "--exit-on-eof") as process:
        output, errors = process.communicate("anything")
    assert output.startswith("Valify sandbox on ")
    assert (errors, process.returncode) == ("", 0)


def test_process_has_the_tokens_of_its_options() -> None:
    options = ["--token-lifetime=60", "--token-uses=1"]
    with running_sandbox(*options) as running, client_at(running.base_url) as client:
        token = client.fetch_token().json
        assert token["expires_in"] == 60
        assert client.send(token["access_token"]).json["trials_remaining"] == "0"
        assert client.send(token["access_token"]).status == 403


def test_process_has_the_codes_of_its_options() -> None:
    with running_sandbox("--code-lifetime=1") as running, client_at(running.base_url) as client:
        client.send()
        [message] = client.inbox()
        time.sleep(1)
        assert client.verify(message).json["error_code"] == 1005


def test_process_that_does_not_start_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack, pytest.raises(RuntimeError, match="did not start"):
        stack.enter_context(running_sandbox("--token-uses=0"))
    assert "invalid count value: '0'" in capfd.readouterr().err


def test_answer_of_something_else_is_reported(server: ScriptedServer) -> None:
    server.answers["/inbox/?format=json"] = [answer(404)]
    with pytest.raises(RuntimeError, match="answered 404 to GET"):
        ValifySandbox(server.base_url).inbox()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], (8900, 600, 3, 600, False)),
        (["--port", "0", "--exit-on-eof"], (0, 600, 3, 600, True)),
        (["--token-lifetime", "1", "--token-uses", "100"], (8900, 1, 100, 600, False)),
        (["--code-lifetime", "1"], (8900, 600, 3, 1, False)),
    ],
)
def test_options(arguments: list[str], options: tuple[int, int, int, int, bool]) -> None:
    parsed = build_parser().parse_args(arguments)
    assert options == (
        parsed.port,
        parsed.token_lifetime,
        parsed.token_uses,
        parsed.code_lifetime,
        parsed.exit_on_eof,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port=-1"],
        ["--port", "http"],
        ["--token-lifetime", "0"],
        ["--token-uses", "0"],
        ["--code-lifetime", "0"],
        ["--token-uses", "many"],
    ],
)
def test_wrong_options(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "invalid" in capsys.readouterr().err


def test_port_in_use_is_said_in_plain_words(sandbox: Sandbox) -> None:
    port = sandbox.server.server_port
    reason = os.strerror(errno.EADDRINUSE)
    said = f"Port {port} of 127.0.0.1 cannot be used: {reason}. Choose another with --port"
    with pytest.raises(SystemExit, match=re.escape(said)):
        main(["--port", str(port)])
    with pytest.raises(CommandError, match=re.escape(said)):
        call_command("valify_sandbox", port=port)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("203.0.113.7", f"cannot be used: {os.strerror(errno.EADDRNOTAVAIL)}"),
        ("no.such.host.invalid", "Host no.such.host.invalid is not known"),
    ],
)
def test_hosts_that_are_not_this_machine(host: str, said: str) -> None:
    with pytest.raises(CommandError, match=re.escape(said)) as caught:
        call_command("valify_sandbox", host=host, port=0)
    assert "--host" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "shown"), [("0.0.0.0", "0.0.0.0"), ("localhost", "127.0.0.1"), ("::1", "[::1]")]
)
def test_it_listens_where_it_is_told_to(host: str, shown: str) -> None:
    with running_sandbox("--host", host) as running:
        assert running.base_url.startswith(f"http://{shown}:")
        assert running.inbox() == []


def test_the_command_has_the_same_options() -> None:
    options = ["--host=127.0.0.1", "--port=0", "--token-lifetime=60", "--token-uses=1"]
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with start("django", "valify_sandbox", *options, "--code-lifetime=1", **env) as process:
        assert process.stdout
        with client_at(process.stdout.readline().split()[-1]) as client:
            token = client.fetch_token().json
            assert token["expires_in"] == 60
            assert client.send(token["access_token"]).json["trials_remaining"] == "0"
            [message] = client.inbox()
            time.sleep(1)
            assert client.verify(message).json["error_code"] == 1005
        process.terminate()
        assert process.communicate() == ("", "")


def test_command_needs_no_database() -> None:
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "DATABASE_URL": "sqlite:////nowhere/at/all"}
    with start("django", "valify_sandbox", "--port", "0", **env) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("Valify sandbox on http://127.0.0.1:")
        assert ValifySandbox(line.split()[-1]).inbox() == []
        process.terminate()
        assert process.communicate() == ("", "")
        assert process.returncode == 0
