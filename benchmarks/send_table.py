"""Print the figures of ``benchmarks.send``: ratios to the floor, beside the wanted ones."""

import statistics
from collections.abc import Iterator
from typing import Any

HEAD = f"{'':27}{'CPU':>6}{'wanted':>8}{'wall':>8}{'wanted':>8}{'tokens':>9}{'connections':>13}"
# Limits off, then on.
SEND_VARIANTS = ("send_otp, limits off", "send_otp, limits on")
ENDPOINT_VARIANTS = ("endpoint, limits off", "endpoint, limits on")
WANTED_VERIFY = 1.5
WANTED_OF_VENDOR = "wanted of send_otp: at most 0.36 tokens and 0.01 connections for each send"
WANTED_REQUESTS = dict(zip(ENDPOINT_VARIANTS, (0.95, 0.80), strict=True))


def wanted(scenario: dict[str, Any], engine: str) -> dict[tuple[str, str], float]:
    """Return the ratios to reach, by variant and by ``cpu`` or ``wall``."""
    found: dict[tuple[str, str], float] = {}

    def want(variants: tuple[str, str], what: str, off: float, on: float) -> None:
        found.update({(variants[0], what): off, (variants[1], what): on})

    if scenario["tls"] and not scenario["delay"]:
        want(SEND_VARIANTS, "wall", 1.10, 1.40)
    elif scenario["threads"] == 1 and scenario["delay"]:
        want(SEND_VARIANTS, "wall", 0.80, 0.85)
    elif scenario["threads"] == 1:
        want(SEND_VARIANTS, "cpu", 1.00, 1.30)
        if engine == "sqlite":
            want(SEND_VARIANTS, "wall", 1.10, 1.35)
        want(ENDPOINT_VARIANTS, "cpu", 1.10, 1.40)
        found[("verify_otp", "cpu")] = found[("verify_otp", "wall")] = WANTED_VERIFY
    return found


def lines(database: dict[str, Any]) -> Iterator[str]:
    """Return the lines about one database."""
    for scenario in database["scenarios"]:
        yield ""
        yield f"{database['database']}, {scenario['name']}"
        yield HEAD
        yield from scenario_lines(scenario, database["engine"])
    for load in database["gunicorn"]:
        yield ""
        yield f"{database['database']}, {load['name']}"
        yield f"{'':27}{'requests/s':>12}{'wanted':>8}"
        yield from load_lines(load["rounds"])
    yield ""
    yield WANTED_OF_VENDOR
    yield ""
    yield f"{database['database']}, for each send{'':5}statements  commits  WAL bytes"
    for variant, counts in database["counts"].items():
        yield (
            f"{variant:27}{counts['statements']:17.1f}{counts['commits']:9.1f}"
            f"{least_wal(database, variant):11,.0f}"
        )
    for table, size in database["bytes_a_row"].items():
        yield f"{table}: {size['table']:,.0f} bytes a row, and {size['indexes']:,.0f} in indexes"


def scenario_lines(scenario: dict[str, Any], engine: str) -> Iterator[str]:
    """Return a line for each variant: medians of a floor, else medians of ratios to the floor."""
    to_reach, rounds = wanted(scenario, engine), scenario["rounds"]
    for variant, floor in scenario["floors"].items():
        cells = ""
        for what in ("cpu", "wall"):
            if variant == floor:
                cells += f"{median(rounds, variant, what) * 1000:6.2f} ms{'':7}"
                continue
            found = statistics.median(r[variant][what] / r[floor][what] for r in rounds)
            aim = to_reach.get((variant, what))
            cells += f"{found:6.2f}{f'{aim:.2f}' if aim else '':>8}  "
        # Means: a median would hide a connection that is rare.
        tokens, connections = (mean(rounds, variant, what) for what in ("tokens", "connections"))
        yield f"{variant:27}{cells}{tokens:7.2f}{connections:13.3f}"


def load_lines(rounds: list[dict[str, float]]) -> Iterator[str]:
    """Return a line for each view: medians of ratios to the bare view, whose own is a rate."""
    floor, *views = rounds[0]
    yield f"{floor:27}{statistics.median(rates[floor] for rates in rounds):12.0f}"
    for view in views:
        found = statistics.median(rates[view] / rates[floor] for rates in rounds)
        aim = WANTED_REQUESTS.get(view)
        yield f"{view:27}{found:12.2f}{f'{aim:.2f}' if aim else '':>8}".rstrip()


def median(rounds: list[dict[str, Any]], variant: str, what: str) -> float:
    """Return the median of the rounds."""
    return float(statistics.median(figures[variant][what] for figures in rounds))


def mean(rounds: list[dict[str, Any]], variant: str, what: str) -> float:
    """Return the mean of the rounds."""
    return float(statistics.fmean(figures[variant][what] for figures in rounds))


def least_wal(database: dict[str, Any], variant: str) -> float:
    """Return the bytes of a send; the least of all, since others write to the same log."""
    rounds = [figures for scenario in database["scenarios"] for figures in scenario["rounds"]]
    batches = (float(figures[variant]["wal"]) for figures in rounds if variant in figures)
    return min(batches, default=0)
