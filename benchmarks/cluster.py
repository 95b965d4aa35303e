"""Run private PostgreSQL servers on this machine, which may be killed and promoted.

Debian's server programs are enough. As root, they run as the user ``postgres``.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.ports import free_port

PLACES = "/usr/lib/postgresql"
DATABASE = "postgres"
USER = "postgres"
START_SECONDS = 60
# Only processes are killed, never the machine: so nobody has to wait for a disk.
CONFIGURATION = """
fsync = off
listen_addresses = '127.0.0.1'
max_connections = 100
port = {port}
shared_buffers = 16MB
unix_socket_directories = ''
# Whoever is promoted waits for as long as this for a primary that is dead; 5 seconds by default.
wal_retrieve_retry_interval = 200ms
"""


class Server:
    """One PostgreSQL server, primary or standby, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Make an empty database cluster."""
        arguments = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", f"-U{USER}"]
        self._call("initdb", *arguments, f"--pgdata={self._folder}")
        self._configure("postgresql.conf", CONFIGURATION.format(port=self.port))

    def copy(self, primary: "Server", *, via: int | None = None, settings: str = "") -> None:
        """Become a standby of another server, which is followed by the port ``via`` if given."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        address = f"host=127.0.0.1 user={USER}"
        arguments = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self._call(
            "pg_basebackup",
            f"-d{address} port={primary.port}",
            f"-D{self._folder}",
            *arguments,
        )
        self._configure("postgresql.conf", CONFIGURATION.format(port=self.port))
        # The last line of a name is the one that holds.
        follow = f"primary_conninfo = '{address} port={via or primary.port}'\n"
        self._configure("postgresql.auto.conf", follow + settings)

    def start(self) -> None:
        """Start, and wait until it answers."""
        log = self._folder.with_suffix(".log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", str(self._folder)],
                cwd=self._folder.parent,
                stdout=subprocess.DEVNULL,
                stderr=log,
                **as_server_user(),
            )
        until(self.answers, START_SECONDS)

    def kill(self) -> None:
        """Kill all its processes with SIGKILL, the first one first, so that it tells nobody."""
        if self._process is None:
            return
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for pid in [self._process.pid, *map(int, path.read_text("utf-8").split())]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._call("pg_ctl", "promote", "--wait", f"--pgdata={self._folder}")

    def answers(self) -> bool:
        """Tell whether it takes connections."""
        try:
            self.query("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def query(self, statement: str) -> Any:
        """Run one statement as the superuser, and return the first column of its first row."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, dbname=DATABASE, autocommit=True
        ) as connection:
            cursor = connection.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def wait_for_standby(self, *, synchronous: bool) -> None:
        """Wait until a standby follows, and from then on synchronously if it is to."""
        until(lambda: self._standby() is not None, START_SECONDS)
        names = "*" if synchronous else ""
        self.query(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.query("SELECT pg_reload_conf()")
        until(lambda: self._standby() == ("sync" if synchronous else "async"), START_SECONDS)

    def _standby(self) -> Any:
        return self.query("SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'")

    def _configure(self, name: str, text: str) -> None:
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def _call(self, name: str, *arguments: str) -> None:
        command = [program(name), *arguments]
        done = subprocess.run(
            command,
            cwd=self._folder.parent,
            capture_output=True,
            check=False,
            text=True,
            **as_server_user(),
        )
        assert not done.returncode, f"{name}: {done.stdout}{done.stderr}"


def program(name: str) -> str:
    """Return the path of a server program, of the newest version that is installed."""
    places = sorted(Path(PLACES).glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join(map(str, places)))
    assert found, f"{PLACES}/*/bin/{name} is missing"
    return found


def as_server_user() -> dict[str, Any]:
    """Return what makes a process run as somebody else, where root runs this: root may not."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def servers(count: int) -> Iterator[list[Server]]:
    """Return so many servers, not started yet. At the end they are killed and removed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        shutil.chown(folder, USER if os.geteuid() == 0 else os.geteuid())
        found = [Server(Path(folder, f"server-{number}")) for number in range(count)]
        for server in found:
            stack.callback(server.kill)
        yield found


def until(is_true: Any, seconds: float) -> None:
    """Wait until it is true, at most for so long."""
    ends_at = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < ends_at, f"{is_true} is not true after {seconds} seconds"
        time.sleep(0.02)
