"""What the trials find, and that they would find what is wrong."""

import sys
from collections import Counter

import pytest

from tests.engines import engines
from tests.engines.launch import KILL_WORKERS, SEND, STOP_REDIS, trials_of
from tests.engines.ledger import Entry, Findings, compare

NONE = Findings(
    rows=0,
    sent=0,
    unknown=0,
    expired=0,
    other=0,
    open=0,
    again=0,
    sms=0,
    without_row=0,
    twice=0,
    unsent=0,
)


@pytest.mark.parametrize(
    ("entry", "sms", "found"),
    [
        (Entry("1", "sent"), 1, {"sent": 1, "sms": 1}),
        (Entry("1", "sent"), 2, {"sent": 1, "sms": 2, "twice": 1}),
        (Entry("1", "sent"), 0, {"sent": 1, "unsent": 1}),
        (Entry("1", "unknown"), 0, {"unknown": 1}),
        (Entry("1", "unknown"), 1, {"unknown": 1, "sms": 1}),
        (Entry("1", "pending"), 1, {"open": 1, "sms": 1}),
        (Entry("1", "queued"), 1, {"open": 1, "sms": 1, "without_row": 1}),
        (Entry("1", "failed", "queue_expired"), 0, {"expired": 1}),
        (Entry("1", "failed", "valify_unreachable"), 0, {"other": 1}),
        (Entry("1", "sent", "", True), 1, {"sent": 1, "sms": 1, "again": 1}),
    ],
)
def test_one_row(entry: Entry, sms: int, found: dict[str, int]) -> None:
    assert compare([entry], Counter({"1": sms})).as_json() == {**NONE.as_json(), "rows": 1, **found}


def test_an_sms_that_no_row_knows() -> None:
    found = compare([], Counter({"1": 1}))
    assert found.as_json() == {**NONE.as_json(), "sms": 1, "without_row": 1}


def test_what_cannot_be_tried_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "version", lambda _name: "1.0")
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    assert engines.describe() == (
        "task queues that are tried: django-tasks-db 1.0; django-tasks-rq 1.0, rq 1.0, redis 1.0;"
        " django-tasks-fennel 1.0, celery 1.0; not on this Python: django-ox, which needs Python"
        " 3.12"
    )
    monkeypatch.setattr(sys, "version_info", (3, 12, 0))
    assert engines.describe().endswith("celery 1.0; django-ox 1.0")


def test_the_trials_of_an_engine() -> None:
    names = {
        name: [trial for trial, _ in trials_of(engine, undisturbed=1, disturbed=1)]
        for name, engine in engines.ENGINES.items()
    }
    assert names["django-tasks-rq"] == [SEND, KILL_WORKERS, STOP_REDIS]
    assert names["django-tasks-db"] == [SEND, KILL_WORKERS]
