"""What a purge deletes or blanks, and what it leaves alone."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import count
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models import Model
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_valify_otp import verification_tokens
from django_valify_otp.audit import references, retention
from django_valify_otp.audit.needs import CLOCK_SKEW
from django_valify_otp.audit.periods import PERIODS
from django_valify_otp.audit.purge_plan import Selected
from django_valify_otp.audit.retention import Progress, purge
from django_valify_otp.audit.statistics import keep_daily_totals, summarize
from django_valify_otp.exceptions import InvalidVerificationToken, NotVerifiable
from django_valify_otp.management.commands import valify_purge
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import (
    read_verification_token,
    redeem_verification_token,
    send_otp,
    verify_otp,
)
from tests.clock import CAIRO, NOW, Clock, at
from tests.configuration import Configure
from tests.factories import NUMBER, make_try
from tests.history import kept_days, opened, send
from tests.scripted_server import ScriptedServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "01112345678"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH_ROWS", 3)


def done(**arguments: Any) -> tuple[int, int]:
    """The sends and tries that a purge was done with."""
    progress = Progress(0, 0, 0)
    for progress in purge(**arguments):
        assert 0 <= progress.share <= 1
    return progress.sends, progress.tries


def try_of(row: OtpSend, **fields: Any) -> OtpVerification:
    times = dict.fromkeys(("created_at", "called_at", "settled_at"), row.settled_at)
    return make_try(row, **{**times, **fields})


def left() -> set[int]:
    return set(OtpSend.objects.values_list("pk", flat=True))


def test_what_is_past_its_age_goes_with_its_tries() -> None:
    old, young = send(at(31)), send(at(29))
    for row in (old, old, young):
        try_of(row)
    assert done(days=30) == (1, 2)
    assert left() == {young.pk}
    assert OtpVerification.objects.get().otp_send == young


def test_the_age_is_exact() -> None:
    # In UTC, where a day has 24 hours.
    then = NOW.astimezone(UTC) - timedelta(days=30)
    send(then - timedelta(microseconds=1))
    kept = send(then)
    assert done(days=30) == (1, 0)
    assert left() == {kept.pk}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7, 10])
@pytest.mark.parametrize("same_moment", [True, False])
def test_batches_lose_and_repeat_nothing(
    small_batches: None, count: int, same_moment: bool
) -> None:
    for n in range(count):
        try_of(send(at(40) if same_moment else at(40 + n)))
    # Rows that are written late for an early moment, and the other way round.
    kept = send(at(1))
    assert done(days=30, dry_run=True) == (count, count)
    assert done(days=30, anonymise=True) == (count, count)
    assert done(days=30, anonymise=True) == (0, 0)
    assert done(days=30) == (count, count)
    assert left() == {kept.pk}


@pytest.mark.parametrize("anonymise", [True, False])
def test_open_rows_are_not_touched(small_batches: None, anonymise: bool) -> None:
    under_way = [opened(at(40), called_at=NOW) for _ in range(7)]
    tried = send(at(41))
    try_of(tried, status="pending", code="", called_at=NOW, settled_at=None)
    settled = send(at(41))
    before = {row.pk: row.phone_number for row in (*under_way, tried)}
    assert done(days=30, anonymise=anonymise) == (1, 0)
    found = OtpSend.objects.exclude(pk=settled.pk).values_list("pk", "phone_number")
    assert dict(found) == before
    assert OtpVerification.objects.get().caller == "system"


def test_what_a_dead_process_left_is_settled_first() -> None:
    row = send(at(40))
    try_of(row, status="pending", code="", settled_at=None)
    opened(at(40))
    assert done(days=30) == (2, 1)


@pytest.mark.parametrize(
    "key", ["NUMBER_SEND_LIMITS", "USER_SEND_LIMITS", "IP_SEND_LIMITS", "GLOBAL_SEND_LIMITS"]
)
@pytest.mark.parametrize("arguments", [{"days": 1}, {"phone_number": NUMBER}])
@pytest.mark.parametrize("anonymise", [True, False])
def test_what_a_limit_counts_is_not_touched(
    configure: Configure, key: str, arguments: dict[str, Any], anonymise: bool
) -> None:
    configure(**{key: ["5/10d"]})
    whose: dict[str, Any] = {"caller": "user:1", "limited_network": "41.32.10.7"}
    counted = send(NOW - timedelta(days=10) + timedelta(seconds=1), **whose)
    past = send(NOW - timedelta(days=10) - 2 * CLOCK_SKEW, **whose)
    assert done(**arguments, anonymise=anonymise) == (1, 0)
    assert left() - {past.pk} == {counted.pk}
    assert OtpSend.objects.filter(phone_number=NUMBER).get() == counted


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("sent", {"NUMBER", "USER", "IP", "GLOBAL"}),
        ("unknown", {"NUMBER", "USER", "IP", "GLOBAL"}),
        ("rejected", {"USER", "IP"}),
        ("failed", set()),
        ("blocked", set()),
    ],
)
@pytest.mark.parametrize("scope", ["NUMBER", "USER", "IP", "GLOBAL"])
@pytest.mark.parametrize(
    "whose", [{"caller": "user:1", "limited_network": "41.32.10.7"}, {"caller": "anonymous"}]
)
def test_of_one_person_only_what_counts_stays(
    configure: Configure, status: str, counts: set[str], scope: str, whose: dict[str, Any]
) -> None:
    configure(**{f"{scope}_SEND_LIMITS": ["5/10d"]})
    send(at(2), status=status, **whose)
    applies = scope in {"NUMBER", "GLOBAL"} or whose["caller"] == "user:1"
    assert done(phone_number=NUMBER) == (0 if scope in counts and applies else 1, 0)


@pytest.mark.parametrize("status", ["failed", "blocked", "rejected", "unknown"])
def test_what_nothing_needs_goes_at_once(status: str) -> None:
    row = send(NOW - timedelta(seconds=1), seconds=0.5, status=status)
    assert done(phone_number=NUMBER) == (1, 0)
    row.refresh_from_db()
    assert row.phone_number == ""


def test_what_may_still_be_verified_is_not_touched(configure: Configure) -> None:
    configure(CODE_LIFETIME=86_400)
    lifetime = timedelta(days=1)
    kept = send(NOW - lifetime)
    # Its process was stopped for two days, and went on.
    late = send(at(3), settled_at=NOW - timedelta(minutes=1))
    send(NOW - lifetime - 2 * CLOCK_SKEW)
    assert done(phone_number=NUMBER, anonymise=True) == (1, 0)
    assert done(days=1) == (0, 0)
    assert set(OtpSend.objects.filter(phone_number=NUMBER)) == {kept, late}


def test_what_may_still_be_redeemed_is_not_touched(configure: Configure) -> None:
    configure(CODE_LIFETIME=86_400)
    good, past = NOW - timedelta(days=1), NOW - timedelta(days=1) - 2 * CLOCK_SKEW
    kept = [verified(good), verified(good, redeemed_at=NOW), verified(good, redeemed_at=None)]
    verified(past)
    verified(good, redeemed_at=NOW - 2 * CLOCK_SKEW)
    assert done(phone_number=NUMBER) == (2, 2)
    assert left() == {row.pk for row in kept}


def verified(moment: datetime, **fields: Any) -> OtpSend:
    """An attempt three days old whose code was verified at the moment."""
    row = send(at(3), verified_at=moment)
    try_of(row, status="verified", code="", settled_at=moment, **fields)
    return row


def test_one_person_who_asks_for_it() -> None:
    send(at(2))
    kept = [send(at(0, 14, 29)), send(at(400), phone_number=OTHER)]
    assert done(phone_number=NUMBER, days=30) == (0, 0)
    assert done(phone_number=NUMBER) == (1, 0)
    assert left() == {row.pk for row in kept}


def test_anonymised_rows_are_about_nobody(user: User) -> None:
    row = send(
        at(40),
        user=user,
        caller=f"user:{user.pk}",
        ip_address="41.32.10.7",
        limited_network="41.32.10.7",
        idempotency_hash="abc",
    )
    try_of(row, user=user, caller=f"user:{user.pk}", ip_address="41.32.10.7")
    assert done(days=30, anonymise=True) == (1, 1)
    row.refresh_from_db()
    attempt = OtpVerification.objects.get()
    assert (row.phone_number, row.limited_network, row.idempotency_hash) == ("", "", None)
    assert (row.status, row.transaction_id, row.created_at) == ("sent", "T1", at(40))
    for record in (row, attempt):
        assert (record.user, record.caller, record.ip_address) == (None, "erased", None)
    assert attempt.status == "rejected"


def test_anonymised_rows_are_deleted_in_their_time() -> None:
    send(at(40))
    assert done(days=30, anonymise=True) == (1, 0)
    assert done(days=30) == (1, 0)


def test_an_anonymised_row_proves_no_number(settings: Settings) -> None:
    row = send(NOW - timedelta(minutes=1))
    attempt = try_of(row, status="verified", code="")
    OtpSend.objects.update(phone_number="", caller="erased")
    with pytest.raises(InvalidVerificationToken):
        read_verification_token(verification_tokens.sign(attempt.uuid, purpose=""))
    with pytest.raises(NotVerifiable):
        verify_otp(row, "482913")


def test_a_dry_run_changes_nothing(small_batches: None) -> None:
    for n in range(5):
        try_of(send(at(40 + n)))
    # A run would settle it first.
    opened(at(40))
    with CaptureQueriesContext(connection) as queries:
        assert done(days=30, dry_run=True) == (6, 5)
        assert done(days=30, dry_run=True, anonymise=True) == (6, 5)
    assert not [q["sql"] for q in queries if re.match("INSERT|UPDATE|DELETE", q["sql"])]


def test_figures_stay(clock: Clock) -> None:
    send(at(3), verified_at=at(3))
    send(at(0))
    live = summarize(PERIODS["7d"])
    assert done(days=2) == (1, 0)
    assert summarize(PERIODS["7d"]) == live


def test_a_day_is_purged_once_it_has_a_total(clock: Clock) -> None:
    clock.now = datetime(2026, 11, 23, 0, 30, tzinfo=CAIRO)
    send(at(1, 0, 15))
    assert done(days=1) == (0, 0)
    clock.now = datetime(2026, 11, 23, 1, 30, tzinfo=CAIRO)
    assert done(days=1) == (1, 0)
    assert kept_days() == [at(1).date()]


def test_a_day_that_closes_meanwhile_loses_nothing(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.now = datetime(2026, 11, 23, 1, 12, 24, tzinfo=CAIRO)

    def keep_slowly() -> None:
        keep_daily_totals()
        clock.now += timedelta(seconds=2)

    monkeypatch.setattr(retention, "keep_daily_totals", keep_slowly)
    send(at(1, 0, 15))
    send(at(1, 12))
    assert done(days=1) == (0, 0)
    assert keep_daily_totals() == 1
    assert summarize(PERIODS["7d"]).total.statuses == {"sent": 2}
    assert done(days=1) == (1, 0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_day_without_a_total_keeps_its_rows(dry_run: bool) -> None:
    opened(at(40), called_at=NOW)
    send(at(40))
    send(at(41))
    assert done(days=30, dry_run=dry_run) == (1, 0)
    assert kept_days()[:2] == ([] if dry_run else [at(41).date(), at(39).date()])


def test_of_one_person_a_day_without_a_total_is_anonymised(settings: Settings) -> None:
    """So that the total still counts what was sent to that person."""
    other = opened(at(40), phone_number=OTHER, called_at=NOW)
    rows = [send(at(41)), send(at(40)), send(at(39)), send(at(0, 9))]
    for row in rows:
        try_of(row)
    planned = [*purge(phone_number=NUMBER, dry_run=True)][-1]
    found = [*purge(phone_number=NUMBER)][-1]
    assert found == planned == Progress(4, 4, 1, anonymised_sends=2, anonymised_tries=2)
    assert left() == {rows[1].pk, rows[3].pk, other.pk}
    assert not OtpSend.objects.filter(phone_number=NUMBER).exists()
    assert [*OtpVerification.objects.values_list("caller", flat=True)] == ["erased"] * 2
    assert [*purge(phone_number=NUMBER)] == []


def test_others_may_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As auditing apps do, which would have every row read into memory."""
    heard: list[type[Model]] = []

    def hear(sender: type[Model], **_kwargs: Any) -> None:
        heard.append(sender)

    try_of(send(at(40)))
    kept = send(at(0))
    post_delete.connect(hear)
    try:
        assert done(days=30) == (1, 1)
        assert heard == []
        kept.delete()
    finally:
        post_delete.disconnect(hear)
    assert heard == [OtpSend]


def test_everything_is_not_purged_by_mistake() -> None:
    send(at(40))
    with pytest.raises(ValueError, match="Give days or phone_number"):
        done()
    assert OtpSend.objects.count() == 1


def failing(monkeypatch: pytest.MonkeyPatch, failures: list[OperationalError]) -> None:
    """Have the next deletions fail."""
    delete = retention._delete

    def fail(selected: Selected) -> tuple[int, int]:
        if failures:
            raise failures.pop()
        return delete(selected)

    monkeypatch.setattr(retention, "PAUSES_SECONDS", (0, 0, 0))
    monkeypatch.setattr(retention, "_delete", fail)


@pytest.mark.parametrize("code", [1205, 1213, 2006, 2013, 4031])
def test_a_deadlock_is_tried_again(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    failures = [OperationalError(code, "deadlock")] * 2
    failing(monkeypatch, failures)
    send(at(40))
    assert done(days=30) == (1, 0)
    failures += [OperationalError(code, "deadlock")] * 3
    send(at(40))
    with pytest.raises(OperationalError):
        done(days=30)
    assert failures == []
    assert OtpSend.objects.count() == 1


def test_a_statement_that_is_refused_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    message = "You can't specify target table 'django_valify_otp_otpsend' for update in FROM clause"
    failures = [OperationalError(1093, message)] * 2
    failing(monkeypatch, failures)
    send(at(40))
    with pytest.raises(OperationalError, match="specify target"):
        done(days=30)
    assert len(failures) == 1


WRITES = re.compile(r"INSERT|UPDATE|DELETE")
TABLES = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+[\"`](\w+)[\"`]")


def purge_all_kinds() -> None:
    for n in range(3):
        try_of(send(at(40 + n)))
        try_of(send(at(40 + n)), status="pending", code="", called_at=NOW, settled_at=None)
        try_of(send(at(40 + n)), status="pending", code="", settled_at=None)
        opened(at(40 + n))
    try_of(send(at(0, 9)))
    done(days=30, anonymise=True)
    done(days=30)
    done(phone_number=NUMBER)


def sweep_and_total() -> None:
    try_of(send(at(2)), status="pending", code="", settled_at=None)
    opened(at(2))
    call_command("valify_sweep", stdout=StringIO())


def send_verify_and_redeem() -> None:
    attempt = verify_otp(send_otp(NUMBER, idempotency_key="c0ffee"), "482913")
    assert redeem_verification_token(attempt.token) == NUMBER


@pytest.mark.parametrize("work", [purge_all_kinds, sweep_and_total, send_verify_and_redeem])
def test_no_statement_reads_the_table_that_it_writes(
    small_batches: None,
    valify: ScriptedServer,
    configure: Configure,
    work: Callable[[], None],
) -> None:
    """MySQL refuses it with error 1093, at any depth; the other databases do not mind."""
    configure(NUMBER_SEND_LIMITS=["5/1h"])
    with CaptureQueriesContext(connection) as queries:
        work()
    written = [query["sql"] for query in queries if WRITES.match(query["sql"])]
    assert written
    for statement in written:
        tables = TABLES.findall(statement)
        assert len(tables) == len(set(tables)) > 0, statement


def test_a_statement_has_one_bound_on_either_side(small_batches: None) -> None:
    """Of several, SQLite searches an index by any one, and reads all that was purged before."""
    for n in range(10):
        send(at(40 + n))
    with CaptureQueriesContext(connection) as queries:
        done(days=30, anonymise=True)
    bounds = [
        (len(re.findall(r"created_at[\"`] >= ", sql)), len(re.findall(r"created_at[\"`] <= ", sql)))
        for sql in (query["sql"] for query in queries)
        if sql.startswith("UPDATE") or "OFFSET" in sql
    ]
    assert len(bounds) > 8
    assert max(bounds) == (1, 1)


@pytest.mark.parametrize("options", [{}, {"anonymise": True}, {"dry_run": True}])
def test_a_batch_does_not_look_for_tries_by_a_status_that_most_have(
    small_batches: None, options: dict[str, bool]
) -> None:
    """Without statistics SQLite prefers that index, and reads all verified tries for each batch."""
    for n in range(4):
        try_of(send(at(40 + n)), status="verified", code="")
    with CaptureQueriesContext(connection) as queries:
        assert done(days=30, **options) == (4, 4)
    assert not [query["sql"] for query in queries if re.search("= 'verified'", query["sql"])]


def test_a_dry_run_looks_for_open_rows_in_its_batch_only(small_batches: None) -> None:
    """Or it may read the whole table for each batch."""
    for n in range(4):
        send(at(40 + n))
    opened(at(40))
    with CaptureQueriesContext(connection) as queries:
        assert done(days=30, dry_run=True) == (5, 0)
    counts = [query["sql"] for query in queries if query["sql"].startswith("SELECT COUNT")]
    assert len(counts) == 4
    for statement in counts:
        reads = re.findall(r"FROM [\"`]django_valify_otp_otpsend[\"`]", statement)
        assert len(reads) == len(re.findall(r"created_at[\"`] >=? ", statement)) > 1


@pytest.mark.parametrize("arguments", [{"days": 30}, {"phone_number": NUMBER}])
@pytest.mark.parametrize("options", [{}, {"anonymise": True}, {"dry_run": True}])
def test_no_replica_is_asked(
    settings: Settings, arguments: dict[str, Any], options: dict[str, bool]
) -> None:
    """It is not even there, and to ask it raises ConnectionDoesNotExist."""
    settings.DATABASE_ROUTERS = ["tests.routers.PrimaryReplicaRouter"]
    row = OtpSend.objects.using("default").get(pk=send(at(40)).pk)
    try_of(row)
    try_of(row, status="verified", code="")
    opened(at(41))
    assert done(**arguments, **options) == (2, 2)
    run("--phone-number", NUMBER)
    call_command("valify_sweep", stdout=StringIO())


def test_batches_are_short(small_batches: None) -> None:
    for n in range(10):
        send(at(40 + n))
    assert [progress.sends for progress in purge(days=30)] == [3, 6, 9, 10]


@pytest.mark.parametrize(
    ("wakes_up", "seconds", "options", "pauses"),
    [
        (True, 2, {}, []),
        (False, 0.03, {}, [0.03, 0.03]),
        (False, 2, {"anonymise": True}, [0.1, 0.1]),
        (False, 2, {"dry_run": True}, []),
    ],
)
def test_where_nobody_is_woken_others_get_their_turn(
    small_batches: None,
    monkeypatch: pytest.MonkeyPatch,
    wakes_up: bool,
    seconds: float,
    options: dict[str, bool],
    pauses: list[float],
) -> None:
    """As long as a batch takes, but no longer than any other connection sleeps."""
    slept: list[float] = []
    ticks = count(step=seconds)
    monkeypatch.setattr(connection.features, "has_select_for_update", wakes_up)
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(time, "sleep", slept.append)
    for n in range(4):
        send(at(40 + n))
    assert done(days=30, **options) == (4, 0)
    assert slept == pytest.approx(pauses)


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("valify_purge", *arguments, stdout=output)
    return output.getvalue()


def test_the_command(configure: Configure) -> None:
    configure(RETENTION_DAYS=30)
    try_of(send(at(31)))
    send(at(29))
    assert run("--dry-run") == "sends to delete: 1\ntries to delete: 1\n"
    assert run("--dry-run", "--anonymise") == "sends to anonymise: 1\ntries to anonymise: 1\n"
    assert run("--anonymise") == "sends anonymised: 1\ntries anonymised: 1\n"
    assert run("--days", "10") == "sends deleted: 2\ntries deleted: 1\n"
    assert run() == "sends deleted: 0\ntries deleted: 0\n"


def test_the_command_for_one_person(configure: Configure) -> None:
    configure(RETENTION_DAYS=30, NUMBER_SEND_LIMITS=["5/1d"])
    send(at(29))
    send(at(0))
    send(at(29), phone_number=OTHER)
    printed = run("--phone-number", "+20 10 1234 5678")
    assert printed == (
        "sends deleted: 1\n"
        "tries deleted: 0\n"
        "sends left to this number: 1\n"
        "  1 counted by NUMBER_SEND_LIMITS 5/1d until 2026-11-24 12:01\n"
    )
    assert OtpSend.objects.count() == 2


def test_a_dry_run_tells_what_the_run_then_does(configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["5/1d"])
    for days in (0, 1, 2, 40):
        send(at(days), caller="user:1")
        send(at(days), status="blocked", called_at=None)
        opened(at(days))
        try_of(send(at(days)), status="pending", code="", settled_at=None)
    for arguments in (
        ["--days", "30"],
        ["--phone-number", NUMBER, "--days", "2"],
        ["--phone-number", NUMBER],
    ):
        planned = run(*arguments, "--dry-run")
        past = re.sub("to (delete|anonymise):", r"\1d:", planned).replace("to leave", "left")
        assert run(*arguments) == past
        assert "deleted: 0" not in past.splitlines()[0]


def test_the_command_says_what_is_left_and_why(configure: Configure) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s", "10/1d", "5/1h"], IP_SEND_LIMITS=["300/1h"])
    send(at(0, 13), limited_network="41.32.10.7")
    row = send(at(0, 14, 28), limited_network="41.32.10.7")
    try_of(row, status="pending", code="", called_at=NOW, settled_at=None)
    redeemable = send(at(0, 14, 25), verified_at=at(0, 14, 26))
    try_of(redeemable, status="verified", code="", settled_at=at(0, 14, 26))
    opened(at(0, 14, 30))
    try_of(send(at(0, 14), status="blocked"))
    assert run("--phone-number", NUMBER).splitlines() == [
        "sends deleted: 0",
        "tries deleted: 0",
        "sends anonymised: 1",
        "tries anonymised: 1",
        "  instead of deleted: their days have no total yet, and need them",
        "sends left to this number: 4",
        "  1 under way",
        "  1 with a try under way",
        "  1 with a verification token that may still be redeemed until 2026-11-23 14:37",
        "  1 with an OTP that may still be verified until 2026-11-23 14:40",
        "  4 counted by NUMBER_SEND_LIMITS 10/1d until 2026-11-24 14:31",
        "  1 counted by IP_SEND_LIMITS 300/1h until 2026-11-23 15:29",
    ]
    assert run("--phone-number", NUMBER, "--days", "7").splitlines()[-1] == (
        "  4 not older than 7 days until 2026-11-30 14:30"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "Give --days"),
        (["--days", "0"], "from 1 to"),
        (["--days", "-5"], "from 1 to"),
        (["--days", "99999999999999"], "from 1 to"),
        (["--days", "x"], "invalid int"),
        (["--phone-number", "12"], "one Egyptian mobile"),
        (["--phone-number", ""], "one Egyptian mobile"),
        (["--phone-number", NUMBER, "--days", "0"], "from 1 to"),
    ],
)
def test_bad_arguments_purge_nothing(arguments: list[str], reason: str) -> None:
    send(at(400))
    with pytest.raises(CommandError, match=reason):
        run(*arguments)
    assert OtpSend.objects.count() == 1


class Terminal(StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


def test_the_progress_bar(small_batches: None) -> None:
    for n in range(4):
        send(at(40 + n))
    terminal = Terminal()
    call_command("valify_purge", "--days", "30", stdout=StringIO(), stderr=terminal)
    bars = terminal.getvalue().split("\r")[1:]
    assert len(bars) == 2
    assert re.fullmatch(r"\[####\.+\]  15%  sends: 3", bars[0])
    assert bars[1] == f"[{'#' * valify_purge.BAR_LENGTH}] 100%  sends: 4\n"


@pytest.fixture
def referring_table(transactional_db: None) -> Iterator[None]:
    """A table of the site's own, whose rows refer to attempts."""
    column = OtpSend._meta.pk.rel_db_type(connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE tests_signup (otp_send_id {column} NOT NULL, FOREIGN KEY (otp_send_id)"
            " REFERENCES django_valify_otp_otpsend (id))"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE tests_signup")


def test_rows_of_the_site_s_own_are_not_broken(referring_table: None) -> None:
    row = send(at(40))
    try_of(row)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO tests_signup VALUES (%s)", [row.pk])
    with pytest.raises(CommandError, match=r"Rows of a table of your own .* --anonymise"):
        run("--days", "30")
    assert left() == {row.pk}
    assert OtpVerification.objects.count() == 1
    assert run("--days", "30", "--anonymise") == "sends anonymised: 1\ntries anonymised: 1\n"


@pytest.fixture
def shop(settings: Settings, transactional_db: None) -> Iterator[None]:
    """An app of the site's own, with its tables."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.shop"]
    # Or the models of other apps would not know those of this one.
    apps.clear_cache()
    models = [*apps.get_app_config("shop").get_models()]
    with connection.schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    yield
    with connection.schema_editor() as editor:
        for model in models:
            editor.delete_model(model)


def rows_of(name: str) -> Any:
    """The rows of one of its models, which can be imported only while the app is installed."""
    return apps.get_app_config("shop").get_model(name)._base_manager


def test_references_that_may_be_null_are_set_to_null(
    shop: None, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "KEYS_AT_ONCE", 2)
    signups = rows_of("Signup")
    young = send(at(0))
    for row in (*(send(at(40 + n)) for n in range(4)), young):
        signups.create(otp_send=row, send_uuid=row, verification=try_of(row))
    assert run("--days", "30") == "sends deleted: 4\ntries deleted: 4\n"
    fields = ("otp_send", "send_uuid", "verification")
    attempt = OtpVerification.objects.get()
    assert [*signups.order_by("pk").values_list(*fields)] == [
        *[(None, None, None)] * 4,
        (young.pk, young.uuid, attempt.pk),
    ]


def test_other_references_are_named(shop: None) -> None:
    row = send(at(40))
    signup = rows_of("Signup").create(otp_send=row)
    rows_of("Invoice").create(otp_send=row)
    for arguments in (["--dry-run"], []):
        with pytest.raises(CommandError, match=r"Rows of shop\.Invoice refer to"):
            run("--days", "30", *arguments)
    signup.refresh_from_db()
    assert signup.otp_send == row
    planned = run("--days", "30", "--anonymise", "--dry-run")
    assert planned == "sends to anonymise: 1\ntries to anonymise: 0\n"
    assert run("--days", "30", "--anonymise") == "sends anonymised: 1\ntries anonymised: 0\n"
