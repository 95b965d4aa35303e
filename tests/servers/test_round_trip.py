"""What is admitted in one round trip is what a recount permits, and what is doubtful is not."""

import random
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from pytest_django import DjangoAssertNumQueries

from django_valify_otp import limit_locks, limits, round_trip, tallies
from django_valify_otp.deadline import Deadline
from django_valify_otp.limits import Scope
from django_valify_otp.models import LimitLock, LimitTally, OtpSend, SendBlock
from tests.clock import NOW, Clock
from tests.crowds import (
    ADDRESS,
    everything,
    make_attempts,
    make_random_attempts,
    of_address,
    of_caller,
    of_number,
    seconds_before,
    settle_some,
    waits_of,
)
from tests.factories import NUMBER, make_send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock", "locks")]

HOUR = 3600


@pytest.fixture
def locks(db: None) -> None:
    limit_locks.make("default")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tallies of some ten attempts, and none that another test has read."""
    monkeypatch.setattr(tallies, "STEP", 10)
    monkeypatch.setattr(tallies, "_chains", {})


def insert(
    *scopes: Scope, key: str | None = None, user: User | None = None, ip_address: str | None = None
) -> round_trip.Inserted | None:
    """Try to admit a send; the row is there afterwards exactly if it was."""
    row = OtpSend(
        uuid=uuid4(),
        status="pending",
        phone_number=NUMBER,
        lang="en",
        caller="user:1",
        ip_address=ip_address,
        user=user,
        idempotency_hash=key,
    )
    inserted = round_trip.insert(
        row,
        [*scopes],
        lock_keys={scope.lock_key for scope in scopes},
        chains=tallies.known([*scopes], using="default"),
        using="default",
        first="SELECT 1",
    )
    found = OtpSend.objects.filter(uuid=row.uuid).first()
    assert (found is not None) == (inserted is not None)
    if found and inserted:
        assert found == row
        assert (found.created_at, found.called_at) == (NOW, NOW)
        assert (row.created_at, row.called_at, inserted.clock.moment) == (NOW, NOW, NOW)
        found.delete()
    return inserted


def extend(scope: Scope) -> None:
    tallies.extend(scope, now=NOW, using="default", deadline=Deadline(60))


@pytest.mark.parametrize("seed", range(8))
def test_few_attempts(seed: int) -> None:
    chance = random.Random(seed)
    make_random_attempts(chance, NOW - timedelta(seconds=300), seconds=300, count=60)
    free = set()
    for _ in range(60):
        make = chance.choice([everything, of_number, of_caller, of_address])
        limits = [f"{chance.randint(1, 60)}/{chance.randint(1, 300)}s" for _ in range(3)]
        scope = make(*limits)
        is_free = not waits_of([scope], NOW)
        assert (insert(scope) is not None) == is_free
        free.add(is_free)
    assert free == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_many_attempts(seed: int) -> None:
    chance = random.Random(seed)
    start = NOW - timedelta(seconds=HOUR + 600)
    make_random_attempts(chance, start, seconds=HOUR + 600, count=900)
    settle_some(chance)
    admitted = set()
    for _ in range(20):
        make = chance.choice([everything, of_number, of_caller, of_address])
        scope = make(f"{chance.randint(301, 700)}/1h", f"{chance.randint(2, 40)}/60s")
        is_free = not waits_of([scope], NOW)
        for known in (False, True):
            if known:
                extend(scope)
            inserted = insert(scope)
            # What is not sure is not admitted.
            assert is_free or inserted is None
            admitted.add((known, inserted is not None))
    assert admitted >= {(False, False), (True, False), (True, True)}


def test_the_last_place() -> None:
    make_attempts(seconds_before(NOW, 400))
    for allowed, is_admitted in ((401, True), (400, False)):
        scope = everything(f"{allowed}/1h")
        extend(scope)
        assert (insert(scope) is not None) == is_admitted


def test_how_many_lack_a_tally() -> None:
    make_attempts(seconds_before(NOW, 307))
    scope = everything("1000/1h")
    extend(scope)
    inserted = insert(scope)
    assert inserted is not None
    assert inserted.untallied == {scope: 7}


def test_where_no_room_is_foreseen_the_round_trip_is_saved(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_attempts(seconds_before(NOW, 407))
    scope = everything("407/1h")
    extend(scope)
    chains = tallies.known([scope], using="default")
    limits.look([scope], chains=chains, using="default")
    # One looks for the row.
    with django_assert_num_queries(1):
        assert insert(scope) is None


@pytest.mark.parametrize("kept", [0, 1])
def test_tallies_that_are_not_those_that_were_read(kept: int) -> None:
    make_attempts(seconds_before(NOW, 400))
    scope = everything("1000/1h")
    extend(scope)
    doomed = LimitTally.objects.order_by("counted_until").values_list("pk", flat=True)[kept:]
    LimitTally.objects.filter(pk__in=[*doomed]).delete()
    assert insert(scope) is None


def test_a_window_that_has_moved_leaves_more_room(clock: Clock) -> None:
    make_attempts(seconds_before(NOW, 400))
    scope = everything("400/1h")
    extend(scope)
    clock.pass_seconds(HOUR)
    tallies.remember(scope, now=clock(), using="default")
    [chain] = tallies.known([scope], using="default").values()
    assert chain.room_for(scope.limits[0]) == 400


BLOCKS = [
    ("everything", ""),
    ("number", NUMBER),
    ("number", "01112345678"),
    ("prefix", "0101"),
    ("prefix", "0111"),
    ("ip_address", "0.0.0.0/0"),
    ("ip_address", ADDRESS),
    ("ip_address", "10.0.0.0/8"),
    ("ip_address", "2001:db8::/32"),
    ("ip_address", "::/0"),
]
IN_6TO4 = "2002:2920:0a07::1"


@pytest.mark.parametrize(("scope", "value"), BLOCKS)
@pytest.mark.parametrize("ip_address", [None, ADDRESS, "2001:db8::7", IN_6TO4])
def test_only_a_block_that_applies_is_looked_at_elsewhere(
    scope: str, value: str, ip_address: str | None
) -> None:
    block = SendBlock.objects.create(scope=scope, value=value)
    applying = SendBlock.objects.applying_to(
        NOW, phone_number=NUMBER, ip_address=ip_address, user_pk=None
    )
    assert (insert(ip_address=ip_address) is None) == applying.exists()
    block.ends_at = NOW
    block.save()
    assert insert(ip_address=ip_address)


def test_a_block_of_a_user() -> None:
    user, other = User.objects.create_user("mona"), User.objects.create_user("other")
    SendBlock.objects.create(scope="user", user=user)
    SendBlock.objects.create(scope="ip_address", value=ADDRESS)
    assert insert(user=user) is None
    assert insert(user=other)
    assert insert()
    user.delete()
    assert insert()


def test_no_lock_may_be_missing() -> None:
    scope = of_number("1/60s")
    LimitLock.objects.filter(pk=scope.lock_key).delete()
    assert insert(scope) is None


def test_a_key_in_use() -> None:
    make_send(idempotency_hash="c0ffee")
    assert insert(key="7ea")
    assert insert(key="c0ffee") is None
