"""The attempts that the demo makes up look like those that real code records."""

import importlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.db.models import F, Q
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from django_valify_otp.audit.periods import PERIODS
from django_valify_otp.audit.statistics import summarize
from django_valify_otp.models import DailyTotal, OtpSend, OtpVerification, SendBlock
from django_valify_otp.outcomes import explain
from django_valify_otp.sandbox.sending import FORCED_OUTCOMES
from tests.clock import Clock, stop_clocks
from tests.factories import make_send

EXAMPLE = Path(__file__).parent.parent / "example_project"

pytestmark = [pytest.mark.django_db, pytest.mark.packaging]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the command that makes them up."""
    monkeypatch.syspath_prepend(EXAMPLE)
    return load_command()


def load_command() -> Any:
    return importlib.import_module("example.management.commands.fill_example").Command()


@pytest.fixture(scope="module")
def history(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Fill the tables once, which takes seconds; what a test changes is taken back after it."""
    with (
        django_db_blocker.unblock(),
        override_settings(TIME_ZONE="Africa/Cairo"),
        pytest.MonkeyPatch.context() as patch,
        transaction.atomic(),
    ):
        patch.syspath_prepend(EXAMPLE)
        stop_clocks(patch)
        call_command(load_command(), stdout=StringIO())
        yield
        transaction.set_rollback(True)


@pytest.fixture
def filled(history: None, clock: Clock) -> datetime:
    """Return the time at which the tables were filled."""
    return clock()


def test_it_covers_thirty_days_and_ends_now(filled: datetime) -> None:
    days = Counter(send.created_at.date() for send in OtpSend.objects.all())
    assert len(days) >= 30
    assert min(days.values()) > 5
    assert not OtpSend.objects.filter(settled_at__gt=filled).exists()
    assert not OtpVerification.objects.filter(settled_at__gt=filled).exists()
    assert DailyTotal.objects.count() >= 28


def empty_tables() -> None:
    for model in (OtpVerification, OtpSend, SendBlock, DailyTotal, User):
        model.objects.all().delete()


def test_it_is_the_same_each_time(command: Any, filled: datetime) -> None:
    def found() -> list[Any]:
        rows = OtpSend.objects.order_by("uuid")
        return [*rows.values_list("uuid", "phone_number", "status", "created_at", "settled_at")]

    first = found()
    empty_tables()
    call_command(command, stdout=StringIO())
    assert found() == first


def test_a_database_with_a_history_is_left_alone(command: Any, clock: Clock) -> None:
    empty_tables()
    make_send(created_at=clock() - timedelta(days=2))
    output = StringIO()
    call_command(command, stdout=output)
    assert OtpSend.objects.count() == 1
    assert not User.objects.exists()
    assert output.getvalue().endswith("earlier days: nothing was added.\n")


def test_attempts_agree_with_themselves(filled: datetime) -> None:
    sends = OtpSend.objects.all()
    assert {send.status for send in sends} == set(OtpSend.Status) - set(OtpSend.OPEN)
    assert {send.code for send in sends} == {"", *OtpSend.Code} - {"queue_expired"}
    sent = sends.filter(status="sent")
    assert not sent.filter(Q(http_status=None) | Q(trials_remaining=None) | Q(calls=0)).exists()
    assert not sends.exclude(status="sent").filter(~Q(transaction_id="")).exists()
    blocked = sends.filter(status="blocked")
    assert not blocked.filter(Q(blocked_by="") | Q(called_at__isnull=False)).exists()
    assert not blocked.exclude(settled_at=F("created_at")).exists()
    called = sends.exclude(status="blocked")
    assert not called.exclude(called_at=F("created_at"), settled_at__gt=F("called_at")).exists()
    assert not sends.filter(user=None).exclude(caller="anonymous").exists()
    assert all(explain(send) for send in sends)
    assert not FORCED_OUTCOMES.keys() & {send.phone_number for send in sends}


def test_tries_agree_with_their_attempts(filled: datetime) -> None:
    tries = OtpVerification.objects.select_related("otp_send")
    assert Counter(t.otp_send.status for t in tries).keys() == {"sent"}
    verified = tries.filter(status="verified")
    assert not verified.exclude(settled_at=F("otp_send__verified_at")).exists()
    assert verified.count() == OtpSend.objects.exclude(verified_at=None).count()
    assert not tries.filter(created_at__lte=F("otp_send__settled_at")).exists()
    assert max(Counter(t.otp_send_id for t in tries).values()) == 5


def test_a_token_serves_three_calls(filled: datetime) -> None:
    rows = [*OtpSend.objects.all(), *OtpVerification.objects.all()]
    uses = Counter(row.token_fingerprint for row in rows if row.token_fingerprint)
    assert max(uses.values()) == 3


def test_limits_held(filled: datetime) -> None:
    moments = defaultdict(list)
    for send in OtpSend.objects.filter(status__in=OtpSend.MAY_HAVE_SENT).order_by("created_at"):
        moments[send.phone_number].append(send.created_at)
    gaps = [later - at for found in moments.values() for at, later in pairwise(found)]
    assert min(gaps) > timedelta(seconds=60)
    fifths = [f[n + 5] - f[n] for f in moments.values() for n in range(len(f) - 5)]
    assert min(fifths) > timedelta(hours=1)


def test_it_is_said_from_when_limits_allow_the_next(filled: datetime) -> None:
    may_have_sent = OtpSend.objects.filter(status__in=OtpSend.MAY_HAVE_SENT)
    minute = timedelta(seconds=60)
    assert not may_have_sent.exclude(resend_at=F("created_at") + minute).exists()
    others = OtpSend.objects.exclude(status__in=OtpSend.MAY_HAVE_SENT)
    assert not others.exclude(resend_at=None).exists()


def test_blocks_have_ended_and_refused(filled: datetime) -> None:
    blocks = SendBlock.objects.all()
    assert {block.scope for block in blocks} == {"prefix", "everything"}
    for block in blocks:
        refused = block.refused()
        assert refused.exists()
        assert block.created_by
        assert not refused.filter(created_at__lt=block.created_at).exists()
        assert block.ends_at
        assert block.ends_at < filled
        assert not refused.filter(created_at__gt=block.ends_at).exists()


def test_the_attack_shows_in_the_shares_by_prefix(filled: datetime) -> None:
    total = summarize(PERIODS["30d"]).total
    shares = {prefix: total.verified[prefix] / sent for prefix, sent in total.sent.items()}
    assert shares.pop("0128") < 0.05
    assert min(shares.values()) > 0.6


def test_each_person_has_something_to_call_about(filled: datetime) -> None:
    found = {}
    for user in User.objects.exclude(is_staff=True):
        assert user.email == f"{user.username}@example.com"
        assert not user.has_usable_password()
        newest = OtpSend.objects.filter(user=user, caller=f"user:{user.pk}").latest("created_at")
        found[user.username] = newest.code or newest.status
    assert found["mona"] == "send_limit_reached"
    assert found["karim"] == "rejected"
    assert found["omar"] == "sent"
    assert len(found) == 6
