"""PgBouncer, started for a test as a process of its own."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.ports import free_port

# In transaction mode a server's connection is somebody else's after each transaction.
CONFIGURATION = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
query_wait_timeout = {wait_seconds}
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


@contextmanager
def pgbouncer(
    server: dict[str, Any], folder: Path, *, pool_size: int, wait_seconds: int = 120
) -> Iterator[int]:
    """Stand before a PostgreSQL of ``DATABASES``; the port it listens on.

    Whoever has waited for a connection of the pool for over ``wait_seconds`` is refused.
    """
    port = free_port()
    path = folder / "pgbouncer.ini"
    text = CONFIGURATION.format(
        server=_address(server), port=port, pool_size=pool_size, wait_seconds=wait_seconds
    )
    path.write_text(text, "utf-8")
    # It refuses to run as root, and reads its configuration before it becomes somebody else.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [_program(), *user, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        up = threading.Event()
        # It reads to the end: a full pipe would stop the other side.
        reader = threading.Thread(target=_pass_on, args=[process, up])
        reader.start()
        try:
            assert up.wait(30)
            yield port
        finally:
            process.terminate()
            reader.join()


def _address(server: dict[str, Any]) -> str:
    keys = ("host", "port", "user", "password")
    return " ".join(f"{key}='{server[key.upper()]}'" for key in keys if server[key.upper()])


def _program() -> str:
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which("pgbouncer", path=places)
    assert found, "pgbouncer is missing"
    return found


def _pass_on(process: subprocess.Popen[str], up: threading.Event) -> None:
    assert process.stderr
    for line in process.stderr:
        sys.stderr.write(line)
        if "process up" in line:
            up.set()
