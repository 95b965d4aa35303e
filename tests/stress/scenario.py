"""Sends, guesses, sweeps and purges at once, and what must be true of the rows afterwards."""

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from django.contrib.auth.models import User
from django.db import close_old_connections, connections
from django.utils import timezone
from rest_framework.test import APIClient

from django_valify_otp.audit.retention import purge
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.services import sweep
from tests.processes import at_once
from tests.scripted_server import ScriptedServer
from tests.seeds import seed_of
from tests.stress.vendor import RecordingValify, right_otp

PRIMARY = "default"
# By default a run takes some seconds. With VALIFY_STRESS_SIZE=100 it needs pytest's --timeout=0.
SIZE = int(os.environ.get("VALIFY_STRESS_SIZE", "1"))
SEED = seed_of("VALIFY_STRESS_SEED")
STEPS, CALLERS, TARGETS, DEAD, OLD = (SIZE * count for count in (25, 6, 4, 10, 40))
NUMBERS = [f"0101{number:07}" for number in range(8 * SIZE)]
ADDRESSES = [f"41.32.{number // 256}.{number % 256}" for number in range(3 * SIZE)]
KEYS = ["c0ffee", "7ea"]
NUMBER_LIMIT, USER_LIMIT, IP_LIMIT, TRIES = 3, 5, 12, 5
GLOBAL_LIMIT = 21 * SIZE + TARGETS
LIMITS = {
    "NUMBER_SEND_LIMITS": [f"{NUMBER_LIMIT}/1h"],
    "USER_SEND_LIMITS": [f"{USER_LIMIT}/1h"],
    "IP_SEND_LIMITS": [f"{IP_LIMIT}/1h"],
    "GLOBAL_SEND_LIMITS": [f"{GLOBAL_LIMIT}/1h"],
    "VERIFY_TRIES": TRIES,
    "PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEADLINE": 15,
}

ANSWERS = {
    ("send", 201, ""),
    ("send", 409, "idempotency_conflict"),
    ("send", 422, "rejected"),
    ("send", 429, "send_limit_reached"),
    ("send", 502, "valify_misconfigured"),
    ("send", 503, "site_busy"),
    ("send", 503, "valify_busy"),
    ("send", 503, "valify_unreachable"),
    ("send", 504, "outcome_unknown"),
    ("guess", 200, ""),
    ("guess", 409, "not_verifiable"),
    ("guess", 422, "code_rejected"),
    ("guess", 429, "too_many_tries"),
    ("guess", 502, "valify_misconfigured"),
    ("guess", 503, "site_busy"),
    ("guess", 503, "valify_unreachable"),
    ("guess", 504, "outcome_unknown"),
    ("sweep", 0, ""),
    ("purge", 0, ""),
}
# Without these, little was tried.
EXPECTED = {
    ("send", 201, ""),
    ("send", 429, "send_limit_reached"),
    ("guess", 200, ""),
    ("guess", 422, "code_rejected"),
    ("guess", 429, "too_many_tries"),
    ("sweep", 0, ""),
    ("purge", 0, ""),
}


Thing = TypeVar("Thing")


class Done(NamedTuple):
    """One step of a worker: what it did, and what it was told.

    ``rows`` is how many it swept or purged; ``key`` is the idempotency key, with its owner.
    """

    step: str
    status: int = 0
    code: str = ""
    id: str = ""
    key: str = ""
    rows: int = 0


class Target(NamedTuple):
    """A send that somebody may verify."""

    user: User
    id: str
    transaction_id: str


@dataclass
class Scenario:
    """A site under load."""

    vendor: RecordingValify
    users: Sequence[User]
    targets: Sequence[Target]

    @classmethod
    def prepare(cls, server: ScriptedServer) -> "Scenario":
        """A site with users, with sends to verify, and with rows to sweep and to purge."""
        names = [f"caller-{number}" for number in range(CALLERS + TARGETS)]
        users = [User.objects.using(PRIMARY).create(username=name) for name in names]
        _make_dead_rows()
        _make_old_rows()
        targets = [_make_target(user, n) for n, user in enumerate(users[CALLERS:])]
        vendor = RecordingValify(server, random.Random(SEED))
        return cls(vendor, users[:CALLERS], targets)

    def run(self, *, processes: int = 4, threads: int = 4) -> list[Done]:
        """Let so many workers do their steps at once."""
        print(f"VALIFY_STRESS_SEED={SEED} VALIFY_STRESS_SIZE={SIZE}")
        found = at_once(self._work, processes=processes, threads=threads)
        assert not [result for result in found if isinstance(result, str)], found
        return [done for results in found for done in results]

    def _work(self, number: int) -> list[Done]:
        chance = random.Random(f"{SEED}-{number}")
        own: list[Target] = []
        done = []
        try:
            for place in range(STEPS):
                done.append(self._step(place // 3, chance, own))
                # As at the end of a request: a pool has fewer connections than there are workers.
                close_old_connections()
        finally:
            connections.close_all()
        return done

    def _step(self, place: int, chance: random.Random, own: list[Target]) -> Done:
        fate = chance.random()
        if fate < 0.45:
            return self._send(place, chance, own)
        if fate < 0.85:
            is_own = own and chance.random() < 0.3
            return self._guess(chance, chance.choice(own) if is_own else _at(self.targets, place))
        if fate < 0.93:
            return _attempt("sweep", sweep)
        is_dry = chance.random() < 0.5
        return _attempt("purge", lambda: _purge(dry_run=is_dry))

    def _send(self, place: int, chance: random.Random, own: list[Target]) -> Done:
        user = chance.choice([_at(self.users, place), chance.choice(self.users), None])
        number = _at(NUMBERS, place)
        key = f"{chance.choice(KEYS)}-{number}" if chance.random() < 0.3 else ""
        response = _client(user).post(
            "/otp/sends/",
            {"phone_number": number, "lang": "en"},
            format="json",
            headers={"Idempotency-Key": key} if key else {},
            REMOTE_ADDR=_at(ADDRESSES, place),
        )
        done = _done("send", response)
        if done.status == 201 and user:
            own.append(Target(user, done.id, response.json()["transaction_id"]))
        return done._replace(key=key and f"{user and user.pk} {key}")

    def _guess(self, chance: random.Random, target: Target) -> Done:
        # Of some sends the tries are used up, and others are verified, whoever meets whom.
        is_right = chance.random() < 0.3
        if target in self.targets:
            is_right = self.targets.index(target) % 2 == 1
        otp = right_otp(target.transaction_id) if is_right else "999999"
        response = _client(target.user).post(
            f"/otp/sends/{target.id}/verify/", {"otp": otp}, format="json"
        )
        return _done("guess", response)


def _at(things: Sequence[Thing], place: int) -> Thing:
    """Choose what the other workers choose at about the same time: there they meet."""
    return things[place % len(things)]


def _client(user: User | None) -> APIClient:
    client = APIClient(raise_request_exception=False)
    if user:
        client.force_authenticate(user)
    return client


def _done(step: str, response: Any) -> Done:
    if response.status_code == 500:
        return Done(step, 500, f"{response.exc_info[1]!r:.300}")
    body = response.json()
    return Done(step, response.status_code, body.get("code") or "", body.get("id") or "")


def _attempt(step: str, work: Callable[[], int]) -> Done:
    try:
        return Done(step, rows=work())
    except Exception as error:  # noqa: BLE001 (whatever it is, it is compared)
        return Done(step, 500, f"{error!r:.300}")


def _purge(*, dry_run: bool) -> int:
    sends = [progress.sends for progress in purge(days=1, dry_run=dry_run)]
    return 0 if dry_run else max([0, *sends])


def _make_target(user: User, number: int) -> Target:
    transaction_id = f"T9{number:05}"
    row = _make_row(
        phone_number=f"0119{number:07}",
        status="sent",
        caller=f"user:{user.pk}",
        user_id=user.pk,
        transaction_id=transaction_id,
    )
    return Target(user, str(row.uuid), transaction_id)


def _make_dead_rows() -> None:
    """Calls whose process was killed an hour and more ago, outside of every limit's window."""
    then = timezone.now() - timedelta(hours=2)
    for _ in range(DEAD):
        _make_row(status="pending", settled_at=None, created_at=then, called_at=then)


def _make_old_rows() -> None:
    then = timezone.now() - timedelta(days=3)
    times = dict.fromkeys(("created_at", "called_at", "settled_at"), then)
    tries = OtpVerification.objects.using(PRIMARY)
    for _ in range(OLD):
        row = _make_row(status="failed", **times)
        tries.create(otp_send_id=row.pk, caller="system", status="rejected", **times)


def _make_row(**fields: Any) -> OtpSend:
    now = timezone.now()
    times = dict.fromkeys(("created_at", "called_at", "settled_at"), now)
    defaults = {"phone_number": "01199990099", "lang": "en", "caller": "system", **times}
    return OtpSend.objects.using(PRIMARY).create(**{**defaults, **fields})


def sweep_everything() -> int:
    """Sweep as if every call that is open had begun long ago; how many rows were open."""
    long_ago = timezone.now() - timedelta(hours=1)
    open_rows = 0
    for model in (OtpSend, OtpVerification):
        rows = model.objects.using(PRIMARY).filter(status="pending")
        open_rows += rows.update(called_at=long_ago)
    assert sweep() == open_rows
    return open_rows


def compare(scenario: Scenario, found: Sequence[Done], *, are_cut: bool = False) -> None:
    """Compare the rows with the answers and with the vendor's record.

    ``are_cut``: the database ended connections. Then a sweep or a purge may fail, and a row may
    have been committed without anybody knowing it, who therefore made no call.
    """
    vendor = scenario.vendor
    _compare_answers(found, are_cut=are_cut)
    sends = list(OtpSend.objects.using(PRIMARY))
    young = [row for row in sends if row.created_at > timezone.now() - timedelta(hours=1)]
    tries = list(OtpVerification.objects.using(PRIMARY))
    assert not [row for row in [*sends, *tries] if row.settled_at is None], "open after the sweep"
    _compare_limits(young, vendor)
    _compare_sends(young, vendor)
    _compare_tries(sends, tries, vendor)
    _compare_ids(found, young)
    calls = sum(row.calls for row in [*young, *tries])
    received = vendor.sends().total() + vendor.guesses().total()
    assert calls == received or (are_cut and calls > received)
    missing = EXPECTED - {done[:3] for done in found}
    assert not missing, missing


def _compare_answers(found: Sequence[Done], *, are_cut: bool) -> None:
    answers = Counter(done[:3] for done in found)
    lost = ("OperationalError", "InterfaceError") if are_cut else ()
    bad = {
        (step, status, code): count
        for (step, status, code), count in answers.items()
        if (step, status, code) not in ANSWERS
        and not (step in {"sweep", "purge"} and code.startswith(lost))
    }
    assert not bad, bad
    busy = sum(count for (_, _, code), count in answers.items() if code == "site_busy")
    assert busy <= len(found) / (2 if are_cut else 10), answers
    assert sum(done.rows for done in found if done.step == "purge") <= OLD


def _most(counts: Counter[Any]) -> int:
    return max(counts.values(), default=0)


def _compare_limits(young: list[OtpSend], vendor: RecordingValify) -> None:
    count = [row for row in young if row.status in OtpSend.MAY_HAVE_SENT]
    tried = [row for row in young if row.status in (*OtpSend.MAY_HAVE_SENT, "rejected")]
    assert _most(Counter(row.phone_number for row in count)) <= NUMBER_LIMIT
    assert _most(vendor.sms) <= NUMBER_LIMIT
    users = [row.caller for row in tried if row.caller.startswith("user:")]
    assert _most(Counter(users)) <= USER_LIMIT
    networks = [row.limited_network for row in tried if row.limited_network]
    assert _most(Counter(networks)) <= IP_LIMIT
    assert len(count) <= GLOBAL_LIMIT
    assert vendor.sms.total() + TARGETS <= GLOBAL_LIMIT


def _compare_sends(young: list[OtpSend], vendor: RecordingValify) -> None:
    calls = Counter[str]()
    for row in young:
        calls[row.phone_number] += row.calls
    assert vendor.sends() <= calls, "a call without a row"
    sent = [row for row in young if row.status == "sent" and row.phone_number in NUMBERS]
    recorded = {row.transaction_id: row.phone_number for row in sent}
    assert len(recorded) == len(sent), "a transaction ID on two rows"
    assert recorded.items() <= vendor.told.items()
    unknown = Counter(row.phone_number for row in young if row.status == "unknown")
    untold = vendor.sms - Counter(recorded.values())
    assert untold <= unknown, "an SMS that no row admits"


def _compare_tries(
    sends: list[OtpSend], tries: list[OtpVerification], vendor: RecordingValify
) -> None:
    transaction_ids = {row.pk: row.transaction_id for row in sends}
    calls = Counter[str]()
    for row in tries:
        calls[transaction_ids[row.otp_send_id]] += row.calls
    guesses = vendor.guesses()
    assert guesses <= calls, "a guess without a row"
    # One whose token was refused was repeated, within its try.
    assert _most(guesses - vendor.refused_guesses) <= TRIES
    spent = Counter(row.otp_send_id for row in tries if row.calls)
    assert _most(spent) <= TRIES
    verified = Counter(row.otp_send_id for row in tries if row.status == "verified")
    assert _most(verified) <= 1


def _compare_ids(found: Sequence[Done], young: list[OtpSend]) -> None:
    rows = {str(row.uuid): row for row in young}
    told = {done.id for done in found if done.id}
    assert told <= rows.keys(), "a row that was taken although it is young"
    sent = [done for done in found if done.step == "send" and done.status == 201]
    assert {rows[done.id].status for done in sent} == {"sent"}
    by_key: dict[str, set[str]] = {}
    for done in sent:
        if done.key:
            by_key.setdefault(done.key, set()).add(done.id)
    assert not [ids for ids in by_key.values() if len(ids) > 1], "a key that was sent twice"
