"""Which limits a look finds reached, and for how long, compared with a recount of all rows."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from django_valify_otp import limits, tallies
from django_valify_otp.limits import Chain, Scope
from django_valify_otp.models import OtpSend, SendBlock
from tests.crowds import (
    COUNTED,
    everything,
    extend,
    make_attempts,
    make_random_attempts,
    of_address,
    of_caller,
    of_number,
    seconds_before,
    waits_of,
)

pytestmark = pytest.mark.django_db

HOUR = 3600
NO_CHAINS: Mapping[Scope, Chain] = MappingProxyType({})


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does."""
    monkeypatch.setattr(tallies, "_chains", {})


def make_scopes(chance: random.Random) -> list[Scope]:
    """Return every kind of scope, each with few and with many sends allowed."""
    few = [f"{chance.randint(1, 40)}/{chance.randint(1, 600)}s" for _ in range(4)]
    edges = ["20/1m", "21/1m", "300/1h", "301/1h"]
    many = [f"{chance.randint(301, 900)}/{chance.randint(600, 3 * HOUR)}s" for _ in range(3)]
    return [make(*few, *edges, *many) for make in (everything, of_number, of_caller, of_address)]


def check(scopes: list[Scope], chains: Mapping[Scope, Chain] = NO_CHAINS) -> set[str]:
    """Compare a look with a recount, and return the limits that are reached."""
    look = limits.look(scopes, chains=chains, using="default")
    now = look.clock.moment
    crowd = tallies.look(look, using="default")
    found = {name: seconds for seconds, name in [*look.reached, *crowd.reached]}
    assert found == waits_of(scopes, now)
    return {*found}


def extend_all(scopes: list[Scope]) -> Mapping[Scope, Chain]:
    """Make tallies, and return what the process remembers of them."""
    for scope in scopes:
        extend(scope, now=timezone.now())
    return tallies.known(scopes, using="default")


@pytest.mark.parametrize("use_tz", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_a_look_agrees_with_a_recount(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int, *, use_tz: bool
) -> None:
    settings.USE_TZ = use_tz
    monkeypatch.setattr(tallies, "STEP", 50)
    chance = random.Random(seed)
    seconds, count = chance.randint(300, 3 * HOUR), chance.randint(300, 2400)
    start = timezone.now() - timedelta(seconds=seconds)
    make_random_attempts(chance, start, seconds=seconds, count=count)
    scopes = make_scopes(chance)
    check(scopes)
    OtpSend.objects.filter(status__in=OtpSend.OPEN, pk__lt=chance.randint(1, count)).update(
        status="failed", settled_at=start
    )
    chains = extend_all(scopes)
    assert [*chains] == scopes
    check(scopes, chains)
    # Since then, attempts were made and settled, and others have made tallies.
    make_attempts(seconds_before(timezone.now(), 60))
    OtpSend.objects.filter(status__in=OtpSend.OPEN).update(status="failed", settled_at=start)
    check(scopes, chains)
    extend_all(scopes)
    assert check(scopes, chains)


def test_no_attempt_reaches_no_limit() -> None:
    assert check(make_scopes(random.Random(0))) == set()


@pytest.mark.parametrize("ends_at", [None, datetime(2000, 1, 1, tzinfo=UTC)])
def test_a_look_tells_whether_there_is_any_block(ends_at: datetime | None) -> None:
    scopes = [everything("7/1h")]
    assert not limits.look(scopes, using="default").any_block
    SendBlock.objects.create(scope="everything", ends_at=ends_at)
    assert limits.look(scopes, using="default").any_block


def test_the_columns_that_are_counted_say_what_counts() -> None:
    make_random_attempts(random.Random(2), timezone.now(), seconds=60, count=200)
    for column, statuses in COUNTED.items():
        counted = OtpSend.objects.filter(**{column: F("created_at")})
        assert {*counted} == {*OtpSend.objects.filter(status__in=statuses)}
        assert OtpSend.objects.filter(**{column: None}).exists()


def test_what_is_remembered_is_of_no_use_to_a_limit_that_allows_few() -> None:
    """As where a setting has changed."""
    make_attempts(seconds_before(timezone.now(), 600))
    [many, few] = everything("500/1h"), everything("5/1h")
    extend_all([many])
    assert tallies.known([few], using="default") == {}
    assert check([few], tallies.known([few], using="default")) == {"GLOBAL_SEND_LIMITS 5/1h"}
