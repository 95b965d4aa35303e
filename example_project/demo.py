"""Start the sandbox and the example site, send one OTP, print its row, and serve the site."""

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

from django_valify_otp.conf import get_settings

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
STOP_SECONDS = 10


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def free_port(usual: int) -> int:
    """Return the usual port, or a free one if the usual one is in use."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", usual))
        except OSError:
            sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def starting_alone() -> Iterator[None]:
    """Wait for other demos that are starting: two could choose the same port or database file."""
    lock = Path(tempfile.gettempdir()) / f"django-valify-otp-demo-{os.getuid()}.lock"
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python process, and stop it at the end."""
    process = subprocess.Popen([sys.executable, *arguments], cwd=FOLDER)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            say(f"demo: {name} did not stop and was killed")


def wait_until_up(name: str, process: subprocess.Popen[bytes], url: str) -> None:
    """Wait until the address answers. Exit if the process ends before."""
    for _ in range(START_SECONDS * 10):
        if process.poll() is not None:
            sys.exit(f"demo: {name} ended with status {process.returncode}")
        try:
            session().get(url, timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"demo: {name} did not start in {START_SECONDS} seconds")


def session() -> requests.Session:
    """Return a session without the environment's proxies: they cannot reach this machine."""
    found = requests.Session()
    found.trust_env = False
    return found


def configure(sandbox: str) -> None:
    """Set up Django for the sandbox. This overrides ``.env``, which may name a live account."""
    os.environ |= dict.fromkeys(CREDENTIALS, "sandbox")
    os.environ |= {"VALIFY_BASE_URL": sandbox, "DEBUG": "true", "ALLOWED_HOSTS": "127.0.0.1"}
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{FOLDER / 'example.sqlite3'}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
    django.setup()


def prepare() -> None:
    """Create the tables, a superuser, and a history to look at."""
    call_command("migrate", verbosity=0)
    call_command("fill_example")
    from django.contrib.auth.models import User

    if not User.objects.filter(username=DEMO).exists():
        User.objects.create_superuser(username=DEMO, password=DEMO)


def random_number() -> str:
    """Return an Egyptian mobile number for which the sandbox forces no outcome."""
    return f"010{secrets.randbelow(89_999_999) + 10_000_000}"


def send_one(site: str) -> bool:
    """Send an OTP through the endpoint and print its row. Return whether it was sent."""
    from django_valify_otp.models import OtpSend

    body = {"phone_number": random_number(), "purpose": DEMO}
    response = session().post(f"{site}/otp/sends/", json=body, timeout=60)
    say(f"POST /otp/sends/ -> {response.status_code}")
    answer = response.json()
    say(json.dumps(answer, indent=2, ensure_ascii=False))
    if response.status_code not in {201, 202}:
        return False
    row = OtpSend.objects.get(uuid=answer["id"])
    # A queued one is sent, or given up after QUEUE_LIFETIME.
    while row.status in OtpSend.OPEN:
        time.sleep(0.1)
        row.refresh_from_db()
    say("\nThe row in the audit log (OtpSend):")
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
    return bool(row.status == OtpSend.Status.SENT)


def say_what_to_look_at(site: str, sandbox: str) -> None:
    """Print where to begin."""
    attempts = f"{site}/admin/django_valify_otp/otpsend/"
    say(f"\nSite:    {site}/ (confirm a number; its code arrives in the inbox beside the form)")
    say(f"Admin:   {site}/admin/ (user name {DEMO}, password {DEMO})")
    say(f"Summary: {attempts}summary/?period=30d (a campaign, an outage, an attack on 0128)")
    say(f"List:    {attempts}?q=mona@example.com (why did she get no code? Or karim, salma, hana)")
    say(f"Inbox:   {sandbox}/inbox/ (the SMS that the sandbox has sent)")
    say("Press Ctrl-C to stop.")


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Stop as after Ctrl-C."""
    raise KeyboardInterrupt


def serve(servers: dict[str, subprocess.Popen[bytes]]) -> int:
    """Wait for Ctrl-C. Return 1 if a server ends before."""
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
    """Start the sandbox and the site. They do not answer yet."""
    commands: dict[str, tuple[str, ...]] = {
        "the sandbox": ("-m", "django_valify_otp.sandbox", "--port", str(sandbox_port)),
        "the site": ("manage.py", "runserver", "--noreload", str(site_port)),
    }
    if get_settings().send_in_background:
        commands["the worker"] = ("manage.py", "db_worker", "--no-reload")
        commands["the sweep"] = ("manage.py", "valify_sweep", "--loop", "10")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(name, *command)) for name, command in commands.items()
        }


def main() -> int:
    """Run the demo. Return 0 if the OTP was sent."""
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
        say_what_to_look_at(site, sandbox)
        return serve(servers)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("demo: stopped before the OTP was sent")
