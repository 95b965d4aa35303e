"""Decide which attempts a purge takes, and whether it deletes or anonymises them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import connections, router
from django.db.models import F, Max, Min, Q, QuerySet
from django.db.models.expressions import CombinedExpression

from django_valify_otp import database_clock
from django_valify_otp.audit.needs import CLOCK_SKEW, Need, Needs, any_of
from django_valify_otp.audit.periods import Bucket
from django_valify_otp.audit.statistics import days_to_total, totalled_days
from django_valify_otp.callers import ERASED
from django_valify_otp.conf import get_settings
from django_valify_otp.models import OtpSend, OtpVerification


class Stretch(NamedTuple):
    """A stretch of time, its end left out, whose days all have a total, or none of them."""

    start: datetime | None
    end: datetime
    has_totals: bool


class Selected(NamedTuple):
    """The rows to delete or to anonymise."""

    sends: QuerySet[OtpSend]
    tries: QuerySet[OtpVerification]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to purge, and by which moment to judge it."""

    days: int | None
    phone_number: str | None
    needs: Needs
    using: str

    def rows(self) -> QuerySet[OtpSend]:
        """Return the attempts of the number, or all, whatever their age."""
        rows: QuerySet[OtpSend] = OtpSend.objects.using(self.using)
        if self.phone_number is None:
            return rows
        return rows.filter(phone_number=self.phone_number)

    def stretches(self) -> list[Stretch]:
        """Return the times whose attempts may be purged, oldest first."""
        days = totalled_days(self.using)
        if self.needs.foresee_sweep:
            days += days_to_total(self.needs.open_rows(OtpSend.objects.using(self.using)))
        stretches = _cut_at_totals(days, self._cutoff())
        if self.phone_number is None:
            return [stretch for stretch in stretches if stretch.has_totals]
        return stretches

    def select(self, rows: QuerySet[OtpSend], *, anonymise: bool) -> Selected:
        """Return those of the attempts that nothing needs, and their tries."""
        tries = _tries_of(rows)
        sends = rows.exclude(any_of(self.needs.of(rows, tries)))
        if anonymise:
            sends = sends.exclude(caller=ERASED)
        keys = sends.values(key=self._unindexed("pk"))
        found = tries.alias(key=self._unindexed("otp_send")).filter(key__in=keys)
        return Selected(sends, found)

    def needs_of_number(self) -> list[Need]:
        """Return the reasons for which attempts to the number stay."""
        tries = OtpVerification.objects.using(self.using)
        tries_of_number = tries.filter(otp_send__phone_number=self.phone_number)
        found = self.needs.of(self.rows(), tries_of_number)
        if self.days is None:
            return found
        lasts = timedelta(days=self.days)
        young = Q(created_at__gte=self.needs.now - lasts)
        return [*found, Need(f"not older than {self.days} days", young, "created_at", lasts)]

    def _unindexed(self, column: str) -> F | CombinedExpression:
        """Return a column to join by, on PostgreSQL as an expression.

        To plan a join of columns, it looks for the ends of their indexes, past all that the batches
        before have deleted. MariaDB needs the index to join.
        """
        is_postgresql = connections[self.using].vendor == "postgresql"
        return F(column) + 0 if is_postgresql else F(column)

    def _cutoff(self) -> datetime:
        """Return the moment before which attempts are old enough."""
        now = self.needs.now
        cutoff = now + CLOCK_SKEW
        if self.phone_number is None:
            cutoff = now - self.needs.settings.longest_window - CLOCK_SKEW
        if self.days is None:
            return cutoff
        return min(cutoff, now - timedelta(days=self.days))


def make_plan(*, days: int | None, phone_number: str | None, dry_run: bool = False) -> Plan:
    """Return what to purge as of now."""
    using = router.db_for_write(OtpSend)
    now = database_clock.now(using)
    needs = Needs(settings=get_settings(), now=now, foresee_sweep=dry_run)
    return Plan(days=days, phone_number=phone_number, needs=needs, using=using)


def _cut_at_totals(days: Iterable[Bucket], end: datetime) -> list[Stretch]:
    """Cut the time until ``end`` where days with a total and days without one meet."""
    edges: list[datetime] = []
    for day in sorted(days):
        if edges and edges[-1] == day.start:
            edges[-1] = day.end
        else:
            edges += [day.start, day.end]
    stretches: list[Stretch] = []
    start = None
    for stop in (*(edge for edge in edges if edge < end), end):
        # The first stretch has no totals, the second one has, and so on.
        stretches.append(Stretch(start, stop, has_totals=len(stretches) % 2 == 1))
        start = stop
    return stretches


def _tries_of(rows: QuerySet[OtpSend]) -> QuerySet[OtpVerification]:
    """Return the tries in the range of these attempts; PostgreSQL may read all tries without it."""
    # Not of the column itself, which PostgreSQL would look for along the whole primary key.
    pk = F("pk") + 0
    ends = rows.aggregate(first=Min(pk), last=Max(pk))
    return OtpVerification.objects.using(rows.db).filter(
        otp_send__gte=ends["first"] or 0, otp_send__lte=ends["last"] or 0
    )
