"""The task queues that are tried, each with what a site needs to use it."""

import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

# Stands for it in the command of a worker.
QUEUE_NAME = "QUEUE_NAME"


@dataclass(frozen=True)
class Engine:
    """One task queue: what is installed for it, its part of the settings, how a worker starts."""

    name: str
    distributions: tuple[str, ...]
    backend: str
    worker: tuple[str, ...]
    apps: tuple[str, ...] = ()
    broker: str = ""
    python: tuple[int, int] = (3, 11)

    @property
    def is_supported(self) -> bool:
        """Tell whether it can be installed on this Python."""
        return sys.version_info >= self.python

    @property
    def versions(self) -> str:
        """Return what is installed, with versions."""
        return ", ".join(f"{name} {version(name)}" for name in self.distributions)

    def settings(self, *, broker_url: str, queue_name: str) -> dict[str, Any]:
        """Return the settings of a site that uses it."""
        return {
            "TASKS": {"default": {"BACKEND": self.backend, "QUEUES": [queue_name]}},
            "RQ_QUEUES": {queue_name: {"URL": broker_url}},
            "CELERY_BROKER_URL": broker_url,
        }

    def worker_command(self, queue_name: str) -> list[str]:
        """Return the command of one worker, of one process that sends."""
        command = (part.replace(QUEUE_NAME, queue_name) for part in self.worker)
        return [sys.executable, "-m", *command]


ENGINES = {
    engine.name: engine
    for engine in (
        Engine(
            name="django-tasks-db",
            distributions=("django-tasks-db",),
            backend="django_tasks_db.DatabaseBackend",
            worker=("django", "db_worker", "--no-startup-delay", "--interval=0.2"),
            apps=("django_tasks_db",),
        ),
        Engine(
            name="django-tasks-rq",
            distributions=("django-tasks-rq", "rq", "redis"),
            backend="django_tasks_rq.RQBackend",
            worker=(
                "django",
                "rqworker",
                "--worker-class=rq.SimpleWorker",
                "--job-class=django_tasks_rq.Job",
                QUEUE_NAME,
            ),
            apps=("django_rq",),
            broker="redis",
        ),
        Engine(
            name="django-tasks-fennel",
            distributions=("django-tasks-fennel", "celery"),
            backend="django_tasks_fennel.CeleryBackend",
            worker=(
                "celery",
                "--app=django_tasks_fennel.app",
                "worker",
                "--concurrency=1",
                "--without-gossip",
                "--without-mingle",
                f"--queues={QUEUE_NAME}",
            ),
            apps=("django_tasks_fennel",),
            broker="rabbitmq",
        ),
        Engine(
            name="django-ox",
            distributions=("django-ox",),
            backend="django_ox.backend.OxBackend",
            worker=("django", "ox_worker", "--interval=0.2"),
            apps=("django_ox",),
            python=(3, 12),
        ),
    )
}


def supported() -> list[Engine]:
    """Return the engines that can be installed on this Python."""
    return [engine for engine in ENGINES.values() if engine.is_supported]


def describe() -> str:
    """Name the engines that are tried on this Python, and those that cannot be."""
    tried = "; ".join(engine.versions for engine in supported())
    left_out = [
        f"{engine.name}, which needs Python {'.'.join(map(str, engine.python))}"
        for engine in ENGINES.values()
        if not engine.is_supported
    ]
    not_tried = f"; not on this Python: {', '.join(left_out)}" if left_out else ""
    return f"task queues that are tried: {tried}{not_tried}"


if __name__ == "__main__":
    print(describe())
