"""Kill the workers of real task queues while attempts are queued, and count what goes wrong.

Each engine has two workers. First they send everything undisturbed, without a sweep. Then they are
killed at random with ``kill -9`` and started again, until four fifths of the attempts are settled,
while ``valify_sweep --loop 2`` runs. With Redis that is done once more, and Redis is killed too
when half of the attempts are queued, and started when all are. At last a site is asked for OTPs
whose broker has a closed port, or takes connections and never answers.

``no row`` are SMS that no row admits, ``twice`` numbers with more than one SMS, ``open`` rows that
are not settled; ``again`` are rows that the sweep handed over. Tokens and connections are per
attempt, and what a killed worker had is lost. ``DATABASE_URL`` names a PostgreSQL; Redis and
RabbitMQ must be installed, and RabbitMQ be running.

    python -m benchmarks.engines [--attempts 1000] [--seed 20] [--engines rq]
"""

import argparse
from typing import Any

from tests.engines.engines import Engine, describe, supported
from tests.engines.launch import ASK_CLOSED, ASK_SILENT, run_trials, trials_of

COLUMNS = ("kills", "sent", "unknown", "expired", "again", "sms", "without_row", "twice", "open")
TITLES = {"without_row": "no row"}
SHARES = ("tokens", "connections")
ASKED = 60


def title() -> str:
    """Return the first line of the table."""
    names = [*(TITLES.get(column, column) for column in COLUMNS), *SHARES]
    return f"{'':33}" + "".join(f"{name:>9}" for name in names[:-1]) + f"{names[-1]:>13}"


def line(engine: Engine, name: str, found: dict[str, Any]) -> str:
    """Return the line of one trial."""
    figures = "".join(f"{found[column]:9}" for column in COLUMNS)
    shares = f"{found['tokens']:9.3f}{found['connections']:13.3f}"
    return f"{engine.name:20}{name:13}{figures}{shares}"


def measure(engine: Engine, *, attempts: int, seed: str) -> None:
    """Print the lines of one engine."""
    trials = trials_of(engine, undisturbed=attempts, disturbed=attempts)
    for (name, _), found in zip(trials, run_trials(engine, trials, seed=seed), strict=True):
        print(line(engine, name, found), flush=True)


def ask(engine: Engine, name: str, *, seed: str) -> None:
    """Print how long requests take whose broker is dead."""
    [found] = run_trials(engine, [(name, ASKED)], seed=seed)
    *others, slowest = found["seconds"]
    print(
        f"{engine.name}, {name}: {found['statuses']}, the slowest in {slowest:.2f} s, the others in"
        f" up to {max(others):.2f} s",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--seed", default="20", help="(default: %(default)s)")
    parser.add_argument("--engines", default="", help="only those with this in their name")
    arguments = parser.parse_args()
    engines = [engine for engine in supported() if arguments.engines in engine.name]
    print(f"{describe()}\n{title()}")
    for engine in engines:
        measure(engine, attempts=arguments.attempts, seed=arguments.seed)
    for engine in [engine for engine in engines if engine.broker]:
        for name in (ASK_CLOSED, ASK_SILENT):
            ask(engine, name, seed=arguments.seed)


if __name__ == "__main__":
    main()
