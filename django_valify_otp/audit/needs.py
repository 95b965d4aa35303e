"""Tell which attempts are still needed, why, and until when."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.db.models import Count, Max, Q, QuerySet

from django_valify_otp.callers import ANONYMOUS, ERASED, SYSTEM
from django_valify_otp.conf import Settings
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.setting_values import Limit

# After a failover the clock is another server's, which may be behind.
CLOCK_SKEW = timedelta(minutes=1)
MAY_HAVE_SENT = Q(status__in=OtpSend.MAY_HAVE_SENT)
TRIED = Q(status__in=OtpSend.MAY_HAVE_SENT_OR_REJECTED)
HAS_CALLER = ~Q(caller__in=(ANONYMOUS, SYSTEM, ERASED))
HAS_NETWORK = ~Q(limited_network="")
# Of all tries, most are verified: an index of the status must not be searched for these.
NOT_VERIFIED = [
    status for status in OtpVerification.Status if status != OtpVerification.Status.VERIFIED
]


@dataclass(frozen=True)
class Need:
    """A reason to keep the sends that match ``condition``.

    It ends ``lasts`` after the time in the column ``since``; without a column, nobody knows when.
    """

    reason: str
    condition: Q
    since: str = ""
    lasts: timedelta = timedelta(0)


class NeededSends(NamedTuple):
    """How many sends are kept for a reason, and until when the last of them is."""

    sends: int
    reason: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Tell what is needed at a moment.

    With ``foresee_sweep``, rows that a sweep would settle count as settled.
    """

    settings: Settings
    now: datetime
    foresee_sweep: bool = False

    def open_rows(self, rows: Any) -> QuerySet[Any]:
        """Return the rows that are under way."""
        found: QuerySet[Any] = rows.filter(status__in=rows.model.OPEN)
        if self.foresee_sweep:
            overdue = rows.overdue(self.now, deadline=self.settings.deadline)
            found = found.exclude(pk__in=overdue.values("pk"))
        return found

    def of(self, sends: QuerySet[OtpSend], tries: QuerySet[OtpVerification]) -> list[Need]:
        """Return the needs of these sends, whose tries are among these.

        The tries are read now, so that no condition reads a table: MySQL refuses a DELETE or an
        UPDATE that reads the table it writes, at any depth.
        """
        return [self._under_way(sends), *self._of_tries(tries), self._of_code(), *self._limits()]

    def _under_way(self, sends: QuerySet[OtpSend]) -> Need:
        condition = Q(settled_at=None)
        if self.foresee_sweep:
            condition = Q(pk__in=self.open_rows(sends).values("pk"))
        return Need("under way", condition)

    def _of_tries(self, tries: QuerySet[OtpVerification]) -> Iterator[Need]:
        yield Need("with a try under way", _sends_of(self.open_rows(tries)))
        lasts = self._code_lifetime + CLOCK_SKEW
        # Whoever redeems a token reads the number after it.
        unused = Q(redeemed_at=None) | Q(redeemed_at__gt=self.now - CLOCK_SKEW)
        good = tries.filter(unused, settled_at__gt=self.now - lasts).exclude(
            status__in=NOT_VERIFIED
        )
        reason = "with a verification token that may still be redeemed"
        yield Need(reason, _sends_of(good), "verified_at", lasts)

    def _of_code(self) -> Need:
        lasts = self._code_lifetime + CLOCK_SKEW
        sent = Q(status=OtpSend.Status.SENT, verified_at=None)
        condition = sent & Q(settled_at__gt=self.now - lasts)
        return Need("with an OTP that may still be verified", condition, "settled_at", lasts)

    def _limits(self) -> Iterator[Need]:
        """Return a need for each kind of limit: its longest window outlasts the others."""
        for key, limits, counted in (
            ("NUMBER_SEND_LIMITS", self.settings.number_send_limits, MAY_HAVE_SENT),
            ("USER_SEND_LIMITS", self.settings.user_send_limits, TRIED & HAS_CALLER),
            ("IP_SEND_LIMITS", self.settings.ip_send_limits, TRIED & HAS_NETWORK),
            ("GLOBAL_SEND_LIMITS", self.settings.global_send_limits, MAY_HAVE_SENT),
        ):
            if limits:
                longest = max(limits, key=_seconds)
                lasts = timedelta(seconds=longest.seconds) + CLOCK_SKEW
                condition = counted & Q(created_at__gt=self.now - lasts)
                yield Need(f"counted by {key} {longest.text}", condition, "created_at", lasts)

    @property
    def _code_lifetime(self) -> timedelta:
        return timedelta(seconds=self.settings.code_lifetime)


def any_of(needs: list[Need]) -> Q:
    """Return a condition of the sends that one of these needs keeps."""
    return reduce(or_, [need.condition for need in needs])


def count_needed(sends: QuerySet[OtpSend], needs: list[Need]) -> Iterator[NeededSends]:
    """Count the sends that each of these needs keeps; one may be kept by several."""
    for need in needs:
        found = sends.filter(need.condition).aggregate(
            sends=Count("pk"), since=Max(need.since or "created_at")
        )
        if found["sends"]:
            until = found["since"] + need.lasts if need.since else None
            yield NeededSends(found["sends"], need.reason, until)


def _sends_of(tries: QuerySet[OtpVerification]) -> Q:
    return Q(pk__in=[*tries.values_list("otp_send", flat=True)])


def _seconds(limit: Limit) -> int:
    return limit.seconds
