"""Send one OTP through a local Valify, show what is on record, and serve the example site."""

import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

import django
import requests
from django.core.management import call_command

FOLDER = Path(__file__).resolve().parent
SANDBOX_PORT = 8900
SITE_PORT = 8000
DEMO = "demo"
CREDENTIALS = (
    "VALIFY_BUNDLE_KEY",
    "VALIFY_USERNAME",
    "VALIFY_PASSWORD",
    "VALIFY_CLIENT_ID",
    "VALIFY_CLIENT_SECRET",
)
START_SECONDS = 30


def say(text: str = "") -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201 (a script for people)


def free_port(usual: int) -> int:
    """The usual port, or a free one if that is taken."""
    for port in (usual, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise OSError("no free port")


@contextmanager
def starting_alone() -> Iterator[None]:
    """Demos that start at once take turns: two would choose one port and make the same tables."""
    lock = Path(tempfile.gettempdir()) / f"django-valify-otp-demo-{os.getuid()}.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, stopped at the end."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=FOLDER)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            say(f"demo: {name} had to be killed")


def wait_until_up(name: str, process: subprocess.Popen[bytes], url: str) -> None:
    """Return when the address answers. Exits if the process ended before it did."""
    for _ in range(START_SECONDS * 10):
        if process.poll() is not None:
            sys.exit(f"demo: {name} ended with status {process.returncode}")
        try:
            session().get(url, timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"demo: {name} did not start")


def session() -> requests.Session:
    """Requests to this machine, which no proxy of the environment can reach."""
    found = requests.Session()
    found.trust_env = False
    return found


def configure(sandbox: str) -> None:
    """The demo's settings. The environment outranks ``.env``, which may name a live account."""
    os.environ |= dict.fromkeys(CREDENTIALS, "sandbox")
    os.environ |= {"VALIFY_BASE_URL": sandbox, "DEBUG": "true", "ALLOWED_HOSTS": "127.0.0.1"}
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{FOLDER / 'example.sqlite3'}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
    django.setup()


def prepare() -> None:
    """The tables and a superuser."""
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import User  # noqa: PLC0415 (not before setup)

    if not User.objects.filter(username=DEMO).exists():
        User.objects.create_superuser(username=DEMO, password=DEMO)


def random_number() -> str:
    """An Egyptian mobile number that the sandbox has no plans for."""
    return f"010{secrets.randbelow(89_999_999) + 10_000_000}"


def send_one(site: str) -> bool:
    """Send an OTP through the endpoint and print what is on record; whether it was sent."""
    from django_valify_otp.models import OtpSend  # noqa: PLC0415 (not before setup)

    body = {"phone_number": random_number(), "purpose": DEMO}
    response = session().post(f"{site}/otp/sends/", json=body, timeout=60)
    say(f"POST /otp/sends/ -> {response.status_code}")
    answer = response.json()
    say(json.dumps(answer, indent=2, ensure_ascii=False))
    row = OtpSend.objects.filter(uuid=answer.get("id")).first()
    if row is None:
        return False
    say("\nThe audit row:")
    for name in (
        "uuid",
        "status",
        "masked_phone_number",
        "caller",
        "ip_address",
        "purpose",
        "transaction_id",
        "trials_remaining",
        "token_fingerprint",
        "created_at",
        "settled_at",
        "duration",
    ):
        say(f"  {name}: {getattr(row, name)}")
    return response.status_code == 201 and row.status == OtpSend.Status.SENT


def stop(_signal: int, _frame: FrameType | None) -> None:
    """End as if Ctrl-C had been pressed."""
    raise KeyboardInterrupt


def serve(servers: dict[str, subprocess.Popen[bytes]]) -> int:
    """Wait for Ctrl-C, the way to end, or for the end of a server, which is a failure."""
    try:
        while True:
            for name, process in servers.items():
                if process.poll() is not None:
                    say(f"demo: {name} ended with status {process.returncode}")
                    return 1
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("demo: stopped")
        return 0


@contextmanager
def running_servers(
    sandbox_port: int, site_port: int
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The two processes, not yet answering."""
    site_command = ("manage.py", "runserver", "--noreload", str(site_port))
    with (
        running(
            "the sandbox", "-m", "django_valify_otp.sandbox", "--port", str(sandbox_port)
        ) as sandbox,
        running("the site", *site_command) as site,
    ):
        yield {"the sandbox": sandbox, "the site": site}


def main() -> int:
    """Exit status 0 if the OTP was sent."""
    signal.signal(signal.SIGTERM, stop)
    with ExitStack() as stack:
        with starting_alone():
            ports = free_port(SANDBOX_PORT), free_port(SITE_PORT)
            sandbox, site = (f"http://127.0.0.1:{port}" for port in ports)
            configure(sandbox)
            prepare()
            servers = stack.enter_context(running_servers(*ports))
            wait_until_up("the sandbox", servers["the sandbox"], f"{sandbox}/inbox/")
            wait_until_up("the site", servers["the site"], site)
        sent = send_one(site)
        if os.environ.get("ONCE"):
            return 0 if sent else 1
        say(f"\nSite:  {site}/")
        say(f"Admin: {site}/admin/ (user {DEMO}, password {DEMO})")
        say(f"Inbox: {sandbox}/inbox/")
        say("Ctrl-C stops them.")
        return serve(servers)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: stopped before the end")
