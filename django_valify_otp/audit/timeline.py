"""Tell the story of an attempt, step by step, each with its time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import pgettext, pgettext_lazy

from django_valify_otp.audit.bidi import left_to_right, own_direction
from django_valify_otp.audit.facts import Fact
from django_valify_otp.audit.masking import user_name
from django_valify_otp.audit.meaning import BAD, GOOD, OPEN, expires_at
from django_valify_otp.audit.wording import (
    local_to_reader,
    name_caller,
    name_duration,
    name_lang,
    name_refusal,
)
from django_valify_otp.conf import Settings
from django_valify_otp.models import CallRecord, OtpSend, OtpVerification
from django_valify_otp.phone_numbers import mask_numbers

PLAIN = "plain"
# By a row's code, or by its status where it has no code.
ANSWERS: dict[str, tuple[str, Any]] = {
    OtpSend.Status.SENT: (GOOD, pgettext_lazy("OTP", "Valify says that it sent the SMS")),
    OtpSend.Code.REJECTED: (BAD, pgettext_lazy("OTP", "Valify refused")),
    OtpSend.Code.VALIFY_MISCONFIGURED: (
        BAD,
        pgettext_lazy("OTP", "Valify did not accept this site's settings"),
    ),
    OtpSend.Code.VALIFY_BUSY: (BAD, pgettext_lazy("OTP", "Valify was too busy")),
    OtpSend.Code.VALIFY_UNREACHABLE: (BAD, pgettext_lazy("OTP", "Valify could not be reached")),
    OtpSend.Code.QUEUE_EXPIRED: (BAD, pgettext_lazy("OTP", "It had waited for too long")),
    OtpSend.Code.OUTCOME_UNKNOWN: (OPEN, pgettext_lazy("OTP", "No usable answer came")),
}
NOT_CHECKED = pgettext_lazy("OTP", "A code was typed and could not be checked")
TRIES: dict[str, tuple[str, Any]] = {
    OtpVerification.Status.PENDING: (OPEN, pgettext_lazy("OTP", "A code is being checked")),
    OtpVerification.Status.VERIFIED: (GOOD, pgettext_lazy("OTP", "The right code was typed")),
    OtpVerification.Code.CODE_REJECTED: (BAD, pgettext_lazy("OTP", "A wrong code was typed")),
    OtpVerification.Code.NOT_VERIFIABLE: (
        PLAIN,
        pgettext_lazy("OTP", "The right code was typed, after another try had verified it"),
    ),
    OtpVerification.Code.VALIFY_MISCONFIGURED: (BAD, NOT_CHECKED),
    OtpVerification.Code.VALIFY_BUSY: (BAD, NOT_CHECKED),
    OtpVerification.Code.VALIFY_UNREACHABLE: (BAD, NOT_CHECKED),
    OtpVerification.Code.OUTCOME_UNKNOWN: (
        OPEN,
        pgettext_lazy("OTP", "A code was typed, and no usable answer came"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that happened, how it went, and how long after the step before.

    ``day`` is empty where it is that of the step before.
    """

    at: datetime
    name: Any
    mark: str = PLAIN
    facts: Sequence[Fact] = field(default=())
    url: str = ""
    day: str = ""
    since: str = ""

    @property
    def iso(self) -> str:
        """Return the time for programs."""
        return self.at.isoformat(timespec="milliseconds")

    @property
    def time(self) -> str:
        """Return the local time to the millisecond."""
        return f"{date_format(local_to_reader(self.at), 'H:i:s')}.{self.at.microsecond // 1000:03}"


def tell(
    otp_send: OtpSend,
    tries: Iterable[OtpVerification],
    *,
    now: datetime,
    settings: Settings,
    whole_numbers: bool,
) -> list[Step]:
    """Return what happened to an attempt, in its order; the tries' callers are always masked."""
    steps = [*_until_answered(otp_send, whole_numbers), *_after(otp_send, tries, now, settings)]
    # Of steps at the same time, those that were named first.
    return [*_with_distances(sorted(steps, key=attrgetter("at")))]


def _until_answered(otp_send: OtpSend, whole_numbers: bool) -> Iterator[Step]:
    asked = [
        Fact(pgettext("OTP", "by"), _who(otp_send, whole_numbers)),
        *_facts(
            (pgettext("OTP", "from"), left_to_right(otp_send.ip_address)),
            (pgettext("OTP", "purpose"), left_to_right(otp_send.purpose)),
            (pgettext("OTP", "language"), name_lang(otp_send.lang)),
        ),
    ]
    yield Step(at=otp_send.created_at, name=pgettext("OTP", "A code was asked for"), facts=asked)
    if otp_send.status == OtpSend.Status.BLOCKED:
        by = _facts((pgettext("OTP", "because of"), name_refusal(otp_send.blocked_by)))
        yield Step(at=otp_send.created_at, name=pgettext("OTP", "Refused"), mark=BAD, facts=by)
        return
    yield Step(at=otp_send.created_at, name=pgettext("OTP", "Admitted"))
    if otp_send.handed_over_at:
        yield Step(
            at=otp_send.handed_over_at, name=pgettext("OTP", "Handed to the queue (last time)")
        )
    if otp_send.called_at:
        yield Step(at=otp_send.called_at, name=pgettext("OTP", "Valify was called"))
    if otp_send.settled_at:
        mark, name = ANSWERS[otp_send.code or otp_send.status]
        yield Step(at=otp_send.settled_at, name=name, mark=mark, facts=_answer(otp_send))


def _after(
    otp_send: OtpSend, tries: Iterable[OtpVerification], now: datetime, settings: Settings
) -> Iterator[Step]:
    for row in tries:
        yield _try(row)
        if row.redeemed_at:
            yield Step(
                at=row.redeemed_at,
                name=pgettext("OTP", "The site made use of the verification"),
                mark=GOOD,
            )
    if otp_send.verified_at:
        yield Step(at=otp_send.verified_at, name=pgettext("OTP", "Verified"), mark=GOOD)
        return
    end = expires_at(otp_send, settings)
    if end and end < now:
        yield Step(at=end, name=pgettext("OTP", "The code expired"), mark=BAD)


def _try(row: OtpVerification) -> Step:
    mark, name = TRIES[row.code or row.status]
    by = [
        Fact(pgettext("OTP", "by"), _who(row, whole_numbers=False)),
        *_facts((pgettext("OTP", "from"), left_to_right(row.ip_address))),
    ]
    return Step(
        at=row.created_at,
        name=name,
        mark=mark,
        facts=[*by, *_answer(row)],
        url=reverse("admin:django_valify_otp_otpverification_change", args=[row.pk]),
    )


def _answer(row: CallRecord) -> list[Fact]:
    return _facts(
        (pgettext("OTP", "took"), name_duration(row.duration) if row.duration is not None else ""),
        (pgettext("OTP", "HTTP status"), left_to_right(row.http_status)),
        (pgettext("OTP", "Valify's error code"), left_to_right(row.error_code)),
        (pgettext("OTP", "Valify's message"), own_direction(row.valify_message)),
    )


def _facts(*pairs: tuple[str, Any]) -> list[Fact]:
    """Return the facts that there are."""
    return [Fact(label, value) for label, value in pairs if value]


def _who(row: CallRecord, whole_numbers: bool) -> str:
    """Return the user's name, or what else is known of the caller."""
    name = user_name(row)
    if not name:
        return name_caller(row.caller, whole_numbers=whole_numbers)
    return name if whole_numbers else mask_numbers(name)


def _with_distances(steps: Sequence[Step]) -> Iterator[Step]:
    for before, step in zip([None, *steps], steps, strict=False):
        day, since = _day(step), ""
        if before and before.at < step.at:
            since = name_duration(step.at - before.at)
        if before and _day(before) == day:
            day = ""
        yield replace(step, day=day, since=since)


def _day(step: Step) -> str:
    return date_format(local_to_reader(step.at), "DATE_FORMAT")
