"""What tallies count is what a recount of the rows finds, however the tallies came about."""

import hashlib
import random
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from django_valify_otp import limit_locks, tallies
from django_valify_otp.conf import get_settings
from django_valify_otp.deadline import Deadline
from django_valify_otp.exceptions import SendLimitReached
from django_valify_otp.limits import Scope
from django_valify_otp.models import LimitTally, OtpSend
from django_valify_otp.services import send_otp, sweep
from tests import crowds
from tests.clock import NOW, Clock
from tests.configuration import Configure
from tests.crowds import (
    ADDRESS,
    SETTLED,
    STATUSES,
    all_tallies,
    everything,
    look_at,
    make_attempts,
    make_random_attempts,
    moments_of,
    of_address,
    of_caller,
    of_number,
    recount,
    seconds_before,
    settle_some,
    waits_of,
)
from tests.databases import LOCK_ALL_LIMITS, held_by_another
from tests.factories import NUMBER, make_overdue
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.django_db

HOUR = 3600
SCOPES = [make("7/1h") for make in (everything, of_number, of_caller, of_address)]


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process, which makes tallies whenever they are due."""
    monkeypatch.setattr(tallies, "_chains", {})
    monkeypatch.setattr(tallies, "PAUSE_SECONDS", 0)


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tally after each ten attempts."""
    monkeypatch.setattr(tallies, "STEP", 10)


def extend(scope: Scope, *, seconds: float = 0) -> OtpSend | None:
    return crowds.extend(scope, now=NOW + timedelta(seconds=seconds))


def count(scope: Scope, seconds: float) -> int:
    """Count what is newer than so many seconds before now."""
    since = NOW - timedelta(seconds=seconds)
    [counted] = tallies.count([(scope, since)], using="default")
    assert counted.attempts == recount(scope, since)
    return counted.attempts


def check_counts(chance: random.Random) -> None:
    for scope in SCOPES:
        moments = moments_of(scope)
        for seconds in (0, HOUR / 2, HOUR, *(chance.randint(1, 2 * HOUR) for _ in range(6))):
            since = NOW - timedelta(seconds=seconds)
            [counted] = tallies.count([(scope, since)], using="default")
            assert counted.attempts == sum(moment > since for moment in moments)


def delete_any(chance: random.Random) -> None:
    """Delete some tallies."""
    pks = [*LimitTally.objects.values_list("pk", flat=True)]
    LimitTally.objects.filter(pk__in=chance.sample(pks, len(pks) // 2)).delete()


def delete_none(_chance: random.Random) -> None:
    """Delete no tally."""


def delete_all(_chance: random.Random) -> None:
    """Delete all tallies."""
    LimitTally.objects.all().delete()


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("delete", [delete_none, delete_any, delete_all])
@pytest.mark.parametrize("seed", range(6))
def test_tallies_change_no_count(delete: Callable[[random.Random], None], seed: int) -> None:
    chance = random.Random(seed)
    start = NOW - timedelta(seconds=HOUR * 2)
    for _ in range(4):
        # Rows of one moment are many, as an hour has 3,600 of them.
        make_random_attempts(chance, start, seconds=HOUR // 2, count=chance.randint(20, 150))
        start += timedelta(seconds=HOUR // 2)
        check_counts(chance)
        delete(chance)
        check_counts(chance)
        for scope in SCOPES:
            extend(scope)
        check_counts(chance)
        settle_some(chance)
        check_counts(chance)


def test_counts_of_many_attempts_that_settle_in_any_order() -> None:
    chance = random.Random(20_000)
    start, span = NOW - timedelta(seconds=2 * HOUR), 2 * HOUR // 10
    for _ in range(10):
        make_random_attempts(chance, start, seconds=span, count=2000, statuses=STATUSES)
        start += timedelta(seconds=span)
        for _ in range(2):
            settle_some(chance)
            for scope in SCOPES:
                extend(scope)
    check_counts(chance)
    OtpSend.objects.filter(status__in=OtpSend.OPEN).update(
        status="failed", settled_at=NOW, transaction_id=""
    )
    for scope in SCOPES:
        extend(scope)
    check_counts(chance)
    assert LimitTally.objects.count() > len(SCOPES)
    for scope in SCOPES:
        assert count_rows_read(scope) <= 2 * tallies.STEP


def count_rows_read(scope: Scope) -> int:
    """Return how many rows a count reads that are beside its tallies."""
    of_scope = LimitTally.objects.filter(scope=tallies.key_of(scope)).order_by("counted_until")
    start = NOW - timedelta(seconds=HOUR)
    first, last = of_scope.filter(counted_until__gt=start).first(), of_scope.last()
    assert first
    assert last
    return sum(
        start < moment <= first.counted_until or moment > last.counted_until
        for moment in moments_of(scope)
    )


@pytest.mark.usefixtures("small_steps")
def test_tallies_that_are_made_again_say_the_same() -> None:
    chance = random.Random(1)
    make_random_attempts(
        chance, NOW - timedelta(seconds=HOUR), seconds=HOUR, count=500, statuses=SETTLED
    )
    for scope in SCOPES:
        extend(scope)
    made = all_tallies()
    delete_all(chance)
    for scope in SCOPES:
        extend(scope)
    assert all_tallies() == made
    assert len(made) > 40


@pytest.mark.usefixtures("small_steps")
def test_a_tally_ends_before_an_attempt_that_is_open() -> None:
    make_attempts(seconds_before(NOW, 25)[:12])
    make_attempts(seconds_before(NOW, 13)[:1], "pending")
    make_attempts(seconds_before(NOW, 12))
    scope = everything("7/1h")
    in_the_way = extend(scope)
    assert in_the_way == OtpSend.objects.get(status="pending")
    assert [total for *_, total in all_tallies()] == [0, 10]
    assert count(scope, HOUR) == 25
    in_the_way.settle(status="failed", settled_at=NOW)
    assert count(scope, HOUR) == 24
    assert extend(scope) is None
    assert [total for *_, total in all_tallies()] == [0, 10, 20]
    assert count(scope, HOUR) == 24


@pytest.mark.usefixtures("small_steps")
def test_attempts_of_the_moment_of_an_open_one_are_left_to_later() -> None:
    moments = seconds_before(NOW, 10)
    make_attempts(moments)
    make_attempts(moments[-1:], "pending")
    scope = everything("7/1h")
    extend(scope)
    assert [total for *_, total in all_tallies()] == [0]
    OtpSend.objects.filter(status="pending").update(status="unknown", settled_at=NOW)
    extend(scope)
    assert [total for *_, total in all_tallies()] == [0, 11]


@pytest.mark.usefixtures("small_steps")
def test_attempts_of_one_moment_are_in_one_tally() -> None:
    make_attempts([NOW - timedelta(seconds=9)] * 25)
    make_attempts([NOW - timedelta(seconds=8)] * 9)
    scope = everything("7/1h")
    extend(scope)
    # The second is that of just before so many, to tell how many were there by then.
    assert [total for *_, total in all_tallies()] == [0, 0, 25]
    for seconds in (8, 9, 10):
        count(scope, seconds)


@pytest.mark.usefixtures("small_steps")
def test_what_a_purge_deleted_is_in_no_count() -> None:
    scope = everything("7/1h")
    make_attempts(NOW - timedelta(seconds=HOUR + 4 - number) for number in range(9))
    make_attempts(seconds_before(NOW, 35))
    extend(scope, seconds=-HOUR)
    extend(scope)
    assert count(scope, HOUR) == 39
    OtpSend.objects.filter(created_at__lte=NOW - timedelta(seconds=HOUR)).delete()
    assert count(scope, HOUR) == 39
    check_looks([scope])


@pytest.mark.usefixtures("small_steps")
def test_a_longer_window_is_tallied_anew() -> None:
    make_attempts(seconds_before(NOW, 200))
    extend(everything("7/60s"))
    assert count(everything("7/1h"), HOUR) == 200
    longer = everything("7/1h")
    crowd = look_at(longer)
    assert crowd.untallied == [longer]
    extend(longer)
    assert [total for *_, total in all_tallies()] == [*range(0, 201, 10)]
    assert count(longer, HOUR) == 200
    assert not look_at(longer).untallied


@pytest.mark.usefixtures("small_steps")
def test_tallies_of_before_the_window_are_deleted_but_for_one() -> None:
    scope = everything("7/60s")
    make_attempts(seconds_before(NOW, 60))
    extend(scope)
    make_attempts(seconds_before(NOW + timedelta(seconds=30), 30))
    extend(scope, seconds=30)
    assert all_tallies()[0][1:] == (NOW - timedelta(seconds=30), 30)
    assert count(scope, 30) == 59


@pytest.mark.usefixtures("small_steps")
def test_attempts_that_came_late_are_found_out() -> None:
    """As after a restored backup, or a clock that was put back."""
    scope = everything("7/1h")
    moments = seconds_before(NOW, 35)
    make_attempts(moments)
    extend(scope)
    make_attempts(moments[25:28])
    make_attempts(seconds_before(NOW + timedelta(seconds=10), 10))
    extend(scope, seconds=10)
    assert count(scope, HOUR) == 48


def check_looks(scopes: list[Scope]) -> None:
    """Compare which limits are reached, and until when, with a recount."""
    found = look_at(*scopes)
    assert {name: seconds for seconds, name in found.reached} == waits_of(scopes, NOW)


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("seed", range(6))
def test_looks_agree_with_a_recount(seed: int) -> None:
    chance = random.Random(seed)
    start = NOW - timedelta(seconds=HOUR + 600)
    make_random_attempts(chance, start, seconds=HOUR + 600, count=chance.randint(100, 400))
    limits = [f"{chance.randint(1, 300)}/{chance.randint(60, HOUR)}s" for _ in range(8)]
    # At the edge: as many as there are, and one more.
    exact = len([m for m in moments_of(SCOPES[0]) if m > NOW - timedelta(seconds=HOUR)])
    limits += [f"{exact}/1h", f"{exact + 1}/1h"]
    scopes = [make(*limits) for make in (everything, of_number, of_caller, of_address)]
    check_looks(scopes)
    for scope in scopes:
        extend(scope)
    check_looks(scopes)
    settle_some(chance)
    check_looks(scopes)


@pytest.mark.parametrize("seconds_ago", [[], [2 * HOUR]])
def test_an_attempt_that_fails_during_the_look_frees_its_place(
    monkeypatch: pytest.MonkeyPatch, seconds_ago: list[int]
) -> None:
    make_attempts(NOW - timedelta(seconds=seconds) for seconds in seconds_ago)
    make_attempts(seconds_before(NOW, 4))
    make_attempts([NOW], "pending")
    moment_of = tallies._moment_of

    def fail_one(*args: Any, **kwargs: Any) -> Any:
        OtpSend.objects.filter(status="pending").update(status="failed", settled_at=NOW)
        return moment_of(*args, **kwargs)

    monkeypatch.setattr(tallies, "_moment_of", fail_one)
    scope = everything("5/1h")
    assert look_at(scope).reached == []


@pytest.mark.usefixtures("small_steps")
def test_tallies_that_are_deleted_during_the_look_are_missed_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_attempts(seconds_before(NOW, 40))
    scope = everything("33/1h")
    extend(scope)
    moment_of = tallies._moment_of

    def delete_and_look(*args: Any, **kwargs: Any) -> Any:
        LimitTally.objects.all().delete()
        return moment_of(*args, **kwargs)

    monkeypatch.setattr(tallies, "_moment_of", delete_and_look)
    check_looks([scope])


@pytest.mark.usefixtures("small_steps")
def test_of_two_who_make_tallies_at_once_one_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = everything("7/1h")
    moments = seconds_before(NOW, 45)
    make_attempts(moments[:15])
    extend(scope)
    make_attempts(moments[15:])
    extend_after = tallies._extend_after

    def let_another_be_first(*args: Any) -> tallies.Extension:
        made = extend_after(*args)
        monkeypatch.setattr(tallies, "_extend_after", extend_after)
        extend(scope)
        return made

    monkeypatch.setattr(tallies, "_extend_after", let_another_be_first)
    extend(scope)
    assert [total for *_, total in all_tallies()] == [0, 10, 20, 30, 40]


@pytest.mark.django_db(transaction=True)
def test_tallies_are_swapped_in_under_the_lock() -> None:
    limit_locks.make("default")
    make_attempts(seconds_before(NOW, 5))
    scope = everything("7/1h")
    with held_by_another(LOCK_ALL_LIMITS), pytest.raises(OperationalError):
        tallies.extend(scope, now=NOW, using="default", deadline=Deadline(0.2))
    assert all_tallies() == []
    extend(scope)
    assert len(all_tallies()) == 1
    # Who has none to add does not wait.
    with held_by_another(LOCK_ALL_LIMITS):
        tallies.extend(scope, now=NOW, using="default", deadline=Deadline(0.2))


def test_a_tally_names_neither_the_user_nor_the_address() -> None:
    for scope in SCOPES:
        make_attempts(seconds_before(NOW, 5))
        extend(scope)
    for scope in SCOPES[1:]:
        plain = hashlib.sha256(scope.name.encode()).hexdigest()
        rows = [*LimitTally.objects.values(), *map(str, LimitTally.objects.all())]
        assert scope.name not in f"{rows}"
        assert plain not in f"{rows}"
        assert scope.value not in f"{rows}"
    assert len({key for key, *_ in all_tallies()}) == len(SCOPES)


@pytest.mark.usefixtures("small_steps")
def test_a_sweep_deletes_the_tallies_of_scopes_that_are_out_of_use(
    configure: Configure, clock: Clock
) -> None:
    configure(GLOBAL_SEND_LIMITS=["7/60s"], USER_SEND_LIMITS=["7/1h"])
    idle, busy = of_address("7/1h", value="41.32.10.8"), of_caller("7/1h")
    make_attempts(seconds_before(NOW - timedelta(seconds=HOUR), 20), limited_network=idle.value)
    make_attempts(seconds_before(NOW, 20), limited_network=ADDRESS)
    for scope in (idle, busy):
        extend(scope, seconds=-HOUR)
        extend(scope)
    sweep()
    assert {key for key, *_ in all_tallies()} == {tallies.key_of(busy)}
    assert count(idle, 2 * HOUR) == 20


def test_a_sweep_settles_rows_although_tallies_cannot_be_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    make_overdue()
    monkeypatch.setattr(tallies, "delete_unused", fail)
    assert sweep() == 1


def test_the_longest_window_of_all_limits(configure: Configure) -> None:
    assert get_settings().longest_window == timedelta(0)
    configure(NUMBER_SEND_LIMITS=["1/60s", "1/2h"], GLOBAL_SEND_LIMITS=["1/1h"])
    assert get_settings().longest_window == timedelta(hours=2)


def test_the_next_send_settles_the_overdue_attempt_in_the_way(
    valify: ScriptedServer, configure: Configure, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "STEP", 50)
    configure(GLOBAL_SEND_LIMITS=["1000/1h"])
    moments = seconds_before(NOW, 400)
    overdue = make_overdue(created_at=moments[0], called_at=moments[0])
    make_attempts(moments[1:])
    send_otp("01112345678")
    assert [total for *_, total in all_tallies()] == [0]
    overdue.refresh_from_db()
    assert (overdue.status, overdue.settled_at) == ("unknown", NOW)
    send_otp("01112345678")
    assert [total for *_, total in all_tallies()] == [*range(0, 401, 50)]


def test_a_crowded_limit_refuses_and_tells_when_to_come_back(
    valify: ScriptedServer, configure: Configure, clock: Clock
) -> None:
    configure(GLOBAL_SEND_LIMITS=["1200/1h"], IP_SEND_LIMITS=["1300/2h"])
    make_attempts(seconds_before(NOW, 1199))
    send_otp(NUMBER, ip_address=ADDRESS)
    waits = []
    for _ in range(3):
        with pytest.raises(SendLimitReached) as caught:
            send_otp(NUMBER, ip_address=ADDRESS)
        waits.append(caught.value.retry_after)
    assert waits == [*waits_of([everything("1200/1h")], NOW).values()] * 3
    assert waits[0] == HOUR - 1199
    clock.pass_seconds(HOUR - 1199)
    assert send_otp(NUMBER, ip_address=ADDRESS).status == "sent"


def test_a_send_goes_out_although_no_tally_can_be_made(
    valify: ScriptedServer, configure: Configure, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise OperationalError

    configure(GLOBAL_SEND_LIMITS=["1000/1h"])
    make_attempts(seconds_before(NOW, 600))
    monkeypatch.setattr(tallies, "extend", fail)
    assert send_otp(NUMBER).status == "sent"
    assert all_tallies() == []


@pytest.mark.usefixtures("small_steps")
def test_no_query_has_two_bounds_on_one_side() -> None:
    """SQLite would use any of them, and tallies of a large window would take minutes."""
    make_attempts(seconds_before(NOW, 55))
    make_attempts([NOW], "pending")
    scope = of_caller("7/1h")
    with CaptureQueriesContext(connection) as queries:
        extend(scope, seconds=-30)
        make_attempts([NOW])
        extend(scope)
        count(scope, HOUR / 2)
        check_looks([scope])
    statements = [query["sql"] for query in queries.captured_queries]
    reads = [sql for sql in statements if sql.startswith("SELECT") and "_otpsend" in sql]
    assert len(reads) > 20
    for sql in (part for read in reads for part in read.split("UNION ALL")):
        assert len(re.findall(r"(?:created|rejected)_at\W? >", sql)) <= 1
        assert len(re.findall(r"(?:created|rejected)_at\W? <", sql)) <= 1


def test_a_process_remembers_only_so_many_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MOST_CHAINS", 1)
    monkeypatch.setattr(tallies, "_extended_at", {})
    scopes = [of_address("400/1h", value=address) for address in ("41.32.10.7", "41.32.10.8")]
    for scope in scopes:
        assert tallies.is_due(scope, "default")
        extend(scope)
        assert [*tallies.known(scopes, using="default")] == [scope]
    assert tallies.is_due(scopes[0], "default")
