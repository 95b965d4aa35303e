"""Worker processes that are killed and started again, as a host's supervisor would."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tests.environment import unmeasured


class Workers:
    """So many workers of one command, each with its children in a process group of its own."""

    def __init__(self, command: list[str], log: IO[bytes], *, count: int) -> None:
        self._command = command
        self._log = log
        self._running = [self._start() for _ in range(count)]
        self._groups = [worker.pid for worker in self._running]
        self.killed = 0

    def kill_one(self, chance: random.Random) -> None:
        """Kill one process: a worker, or one of its children."""
        group = chance.choice(self._running).pid
        victim = chance.choice(processes_of(group))
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.killed += 1

    def tend(self) -> None:
        """Start a worker in the place of each that has ended."""
        for place, worker in enumerate(self._running):
            if worker.poll() is not None:
                self._running[place] = self._start()
                self._groups.append(self._running[place].pid)

    def stop(self) -> None:
        """Kill them all, children that have outlived their worker too."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        for worker in self._running:
            worker.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            # They must not outlive a trial that is killed itself.
            ["setpriv", "--pdeathsig", "KILL", *self._command],
            # A worker that is killed writes no figures.
            env=unmeasured(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )


@contextmanager
def running(command: list[str], log: IO[bytes], *, count: int = 1) -> Iterator[Workers]:
    """Run workers until the block ends."""
    workers = Workers(command, log, count=count)
    try:
        yield workers
    finally:
        workers.stop()


def processes_of(group: int) -> list[int]:
    """Return the processes of a group, the youngest last; at least its leader's number."""
    found = {group}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _, _, fields = path.read_text().rpartition(")")
            state, _parent, its_group, *_rest = fields.split()
            if int(its_group) == group and state != "Z":
                found.add(int(path.parent.name))
    return sorted(found)
