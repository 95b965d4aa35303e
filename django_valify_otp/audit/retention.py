"""Delete or anonymise old attempts, in short transactions."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connections, transaction
from django.db.models import Min, Q, QuerySet

from django_valify_otp.audit.needs import NeededSends, any_of, count_needed
from django_valify_otp.audit.purge_plan import Plan, Selected, make_plan
from django_valify_otp.audit.references import Reference, find_references
from django_valify_otp.audit.statistics import keep_daily_totals
from django_valify_otp.callers import ERASED
from django_valify_otp.locking import repeat
from django_valify_otp.models import OtpSend
from django_valify_otp.services import sweep

# So few that nobody who waits for their locks notices.
BATCH_ROWS = 5000
# Before each try, after a deadlock, a lock timeout or a lost connection.
PAUSES_SECONDS = (0, 0.1, 1, 3)
# After which a connection to SQLite that waits for the lock looks again, at the latest.
LONGEST_SLEEP_SECONDS = 0.1


class StillReferenced(IntegrityError):
    """Rows of the site's own refer to what was to be deleted; ``model`` is theirs, if known."""

    def __init__(self, model: str) -> None:
        super().__init__(f"Rows of {model or 'another table'} refer to attempts to be deleted.")
        self.model = model


@dataclass(frozen=True)
class Progress:
    """How many rows a purge is done with, and how far it has come, from 0 to 1.

    Of these rows, ``anonymised_sends`` and ``anonymised_tries`` were anonymised instead of deleted.
    """

    sends: int
    tries: int
    share: float
    anonymised_sends: int = 0
    anonymised_tries: int = 0

    def plus(self, sends: int, tries: int, *, share: float, is_instead: bool) -> "Progress":
        """Return the progress with so many rows more."""
        done = replace(self, sends=self.sends + sends, tries=self.tries + tries, share=share)
        if not is_instead:
            return done
        return replace(
            done,
            anonymised_sends=self.anonymised_sends + sends,
            anonymised_tries=self.anonymised_tries + tries,
        )


def purge(
    *,
    days: int | None = None,
    phone_number: str | None = None,
    anonymise: bool = False,
    dry_run: bool = False,
) -> Iterator[Progress]:
    """Delete the settled attempts that are older than ``days`` days, with their tries.

    With ``phone_number`` (``01xxxxxxxxx``) only those of this number; then ``days`` may be left
    out. ``anonymise`` keeps the rows, without number, address and user; ``dry_run`` only counts.

    Attempts that a limit still counts, and those whose OTP or verification token may still be good,
    stay. So do all of a day that has no total yet; those of one number are anonymised instead, and
    so the total will count them.

    Foreign keys of the site's own with ``SET_NULL`` are set to null. No ``pre_delete`` or
    ``post_delete`` is sent. Raises ``ValueError`` without days and number, and ``StillReferenced``.
    """
    if days is None and phone_number is None:
        raise ValueError("Give days or phone_number: everything is not to be purged by mistake.")
    if not dry_run:
        sweep()
        keep_daily_totals()
    plan = make_plan(days=days, phone_number=phone_number, dry_run=dry_run)
    yield from _purge(plan, anonymise=anonymise, dry_run=dry_run)


def _purge(plan: Plan, *, anonymise: bool, dry_run: bool) -> Iterator[Progress]:
    stretches = plan.stretches()
    if not stretches:
        return
    end = stretches[-1].end
    oldest = _moment_of_oldest(plan.rows().filter(created_at__lt=end))
    if oldest is None:
        return
    done = Progress(0, 0, 0)
    for stretch in stretches:
        is_instead = not anonymise and not stretch.has_totals
        # The index may still begin with many rows that an earlier purge has deleted.
        start = max(oldest, stretch.start or oldest)
        for batch, reached in _batches(plan.rows(), start, stretch.end):
            sends, tries = _purge_batch(
                plan, batch, anonymise=anonymise or is_instead, dry_run=dry_run
            )
            share = (max(reached, oldest) - oldest) / (end - oldest)
            done = done.plus(sends, tries, share=share, is_instead=is_instead)
            yield done


def _moment_of_oldest(rows: QuerySet[OtpSend]) -> datetime | None:
    found = rows.aggregate(oldest=Min("created_at"))
    oldest: datetime | None = found["oldest"]
    return oldest


def count_left(
    phone_number: str, *, days: int | None = None, dry_run: bool = False
) -> tuple[int, list[NeededSends]]:
    """Count the attempts to a number that a purge leaves, and say why it does.

    ``dry_run`` counts those that it would leave.
    """
    plan = make_plan(days=days, phone_number=phone_number, dry_run=dry_run)
    needs = plan.needs_of_number()
    rows = plan.rows()
    left = rows.filter(any_of(needs)) if dry_run else rows
    return left.count(), [*count_needed(rows, needs)]


def _batches(
    rows: QuerySet[OtpSend], start: datetime, end: datetime
) -> Iterator[tuple[QuerySet[OtpSend], datetime]]:
    """Cut the rows of this time into batches with the moment that each reaches to.

    A batch has ``BATCH_ROWS`` of them, and those of the same moment as its last. They include rows
    that stay: to skip many of them must not take one long statement.
    """
    # Of several bounds on one side SQLite uses any one, and may read all that came before.
    since, until = Q(created_at__gte=start), Q(created_at__lt=end)
    while (reached := _moment_of_last(rows.filter(since, until))) is not None:
        yield rows.filter(since, created_at__lte=reached), reached
        since = Q(created_at__gt=reached)
    yield rows.filter(since, until), end


def _moment_of_last(rows: QuerySet[OtpSend]) -> datetime | None:
    """Return the moment of the last row of the next batch; ``None`` if fewer are left."""
    moments = rows.order_by("created_at").values_list("created_at", flat=True)
    return moments[BATCH_ROWS - 1 : BATCH_ROWS].first()


def _purge_batch(
    plan: Plan, batch: QuerySet[OtpSend], *, anonymise: bool, dry_run: bool
) -> tuple[int, int]:
    """Purge a batch and return the number of its sends and tries, over locks and lost connections.

    On SQLite nobody is woken when the lock is free: others get as long to see it as the batch took,
    which is about when they look again, or as long as any of them sleeps.
    """

    def treat() -> tuple[int, int]:
        selected = plan.select(batch, anonymise=anonymise)
        if dry_run:
            if not anonymise:
                _refuse_references(selected)
            return selected.sends.count(), selected.tries.count()
        return _anonymise(selected) if anonymise else _delete(selected)

    began = time.monotonic()
    done = repeat(treat, pauses=PAUSES_SECONDS, using=plan.using)
    if not dry_run and not connections[plan.using].features.has_select_for_update:
        time.sleep(min(time.monotonic() - began, LONGEST_SLEEP_SECONDS))
    return done


def _delete(selected: Selected) -> tuple[int, int]:
    sends, tries = selected
    # Read before the transaction: on SQLite, one that reads first cannot wait for another's write.
    references = [*find_references(sends), *find_references(tries)]
    try:
        with transaction.atomic(using=sends.db):
            for reference in references:
                if reference.is_nulled:
                    reference.clear()
            # delete() reads every row into memory as soon as anybody listens to post_delete.
            done: list[Any] = [rows._raw_delete(rows.db) for rows in (tries, sends)]  # noqa: SLF001
    except IntegrityError:
        model = _still_referring(references)
    else:
        return done[1], done[0]
    raise StillReferenced(model or "")


def _refuse_references(selected: Selected) -> None:
    """Raise ``StillReferenced`` where the database would refuse to delete the rows."""
    references = [*find_references(selected.sends), *find_references(selected.tries)]
    if model := _still_referring([ref for ref in references if ref.is_enforced]):
        raise StillReferenced(model)


def _still_referring(references: list[Reference]) -> str | None:
    still = (ref.model for ref in references if not ref.is_nulled and ref.rows.exists())
    return next(still, None)


def _anonymise(selected: Selected) -> tuple[int, int]:
    sends, tries = selected
    nobody: dict[str, Any] = {"ip_address": None, "user": None, "caller": ERASED}
    with transaction.atomic(using=sends.db):
        # The tries first: the sends will not be found again.
        done_tries = tries.update(**nobody)
        done_sends = sends.update(
            **nobody, phone_number="", limited_network="", idempotency_hash=None
        )
    return done_sends, done_tries
