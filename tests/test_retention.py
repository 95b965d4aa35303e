"""What a purge deletes or blanks, and what it leaves alone."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.models import Model
from django.db.models.signals import post_delete
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_valify_otp import retention, verification_tokens
from django_valify_otp.conf import get_settings
from django_valify_otp.exceptions import InvalidVerificationToken, NotVerifiable
from django_valify_otp.management.commands import valify_purge
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.retention import Progress, purge, seconds_needed
from django_valify_otp.services import read_verification_token, verify_otp
from django_valify_otp.totals import PERIODS, summarise
from tests.test_admin import make_try
from tests.test_api import NUMBER
from tests.test_totals import CAIRO, NOW, Clock, at, kept_days, opened, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "01112345678"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FIRST_BATCH",
        "SMALLEST_BATCH",
        "LARGEST_BATCH",
        "LARGEST_ANONYMISED_BATCH",
    ):
        monkeypatch.setattr(retention, name, 3)


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


def limit(settings: Settings, key: str, text: str) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, key: [text]}


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
    queued = [opened(at(40), "queued") for _ in range(7)]
    tried = send(at(40))
    try_of(tried, status="pending", code="", called_at=NOW, settled_at=None)
    settled = send(at(40))
    before = {row.pk: row.phone_number for row in (*queued, tried)}
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
    settings: Settings, key: str, arguments: dict[str, Any], anonymise: bool
) -> None:
    limit(settings, key, "5/10d")
    counted = send(NOW - timedelta(days=10) + timedelta(seconds=1))
    past = send(NOW - timedelta(days=10, seconds=1))
    assert done(**arguments, anonymise=anonymise) == (1, 0)
    assert left() - {past.pk} == {counted.pk}
    assert OtpSend.objects.filter(phone_number=NUMBER).get() == counted


def test_what_may_still_be_verified_or_redeemed_is_not_touched(settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "CODE_LIFETIME": 86_400}
    assert seconds_needed(get_settings()) > 2 * 86_400
    kept = send(NOW - timedelta(days=2))
    assert done(phone_number=NUMBER) == (0, 0)
    assert left() == {kept.pk}


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
    opened(at(40))
    with CaptureQueriesContext(connection) as queries:
        assert done(days=30, dry_run=True) == (5, 5)
        assert done(days=30, dry_run=True, anonymise=True) == (5, 5)
    assert not [q["sql"] for q in queries if re.match("INSERT|UPDATE|DELETE", q["sql"])]


def test_figures_stay(clock: Clock) -> None:
    send(at(3), verified_at=at(3))
    send(at(0))
    live = summarise(PERIODS["7d"])
    assert done(days=2) == (1, 0)
    assert summarise(PERIODS["7d"]) == live


def test_a_day_is_purged_once_it_has_a_total(clock: Clock) -> None:
    clock.now = datetime(2026, 11, 23, 0, 30, tzinfo=CAIRO)
    send(at(1, 0, 15))
    assert done(days=1) == (0, 0)
    clock.now = datetime(2026, 11, 23, 1, 30, tzinfo=CAIRO)
    assert done(days=1) == (1, 0)
    assert kept_days() == [at(1).date()]


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


def test_a_deadlock_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSES_SECONDS", (0, 0))
    failures = [OperationalError("deadlock")] * 2
    delete = retention._delete

    def fail_twice(*rows: Any) -> tuple[int, int]:
        if failures:
            raise failures.pop()
        return delete(*rows)

    monkeypatch.setattr(retention, "_delete", fail_twice)
    send(at(40))
    assert done(days=30) == (1, 0)
    failures += [OperationalError("deadlock")] * 3
    send(at(40))
    with pytest.raises(OperationalError):
        done(days=30)
    assert OtpSend.objects.count() == 1


def test_a_large_batch_becomes_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a small one larger, as its time allows."""
    ticks = iter(range(0, 1000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    for name, size in (("FIRST_BATCH", 8), ("SMALLEST_BATCH", 2), ("LARGEST_BATCH", 16)):
        monkeypatch.setattr(retention, name, size)
    for n in range(12):
        send(at(40 + n))
    assert [progress.sends for progress in purge(days=30)] == [8, 10, 12, 12]
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks) / 1e6)
    for n in range(30):
        send(at(40 + n))
    assert [progress.sends for progress in purge(days=30)] == [8, 24, 30]


def run(*arguments: str) -> str:
    output = StringIO()
    call_command("valify_purge", *arguments, stdout=output)
    return output.getvalue()


def test_the_command(settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "RETENTION_DAYS": 30}
    try_of(send(at(31)))
    send(at(29))
    assert run("--dry-run") == "sends to delete: 1\ntries to delete: 1\n"
    assert run("--dry-run", "--anonymise") == "sends to anonymise: 1\ntries to anonymise: 1\n"
    assert run("--anonymise") == "sends anonymised: 1\ntries anonymised: 1\n"
    assert run("--days", "10") == "sends deleted: 2\ntries deleted: 1\n"
    assert run() == "sends deleted: 0\ntries deleted: 0\n"


def test_the_command_for_one_person(settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "RETENTION_DAYS": 30}
    limit(settings, "NUMBER_SEND_LIMITS", "5/1d")
    send(at(29))
    send(at(0))
    send(at(29), phone_number=OTHER)
    printed = run("--phone-number", "+20 10 1234 5678")
    assert printed == "sends deleted: 1\ntries deleted: 0\nsends left to this number: 1\n"
    assert "left" not in run("--phone-number", NUMBER, "--dry-run")
    assert OtpSend.objects.count() == 2


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
    with pytest.raises(CommandError, match="--anonymise"):
        run("--days", "30")
    assert left() == {row.pk}
    assert OtpVerification.objects.count() == 1
    assert run("--days", "30", "--anonymise") == "sends anonymised: 1\ntries anonymised: 1\n"
