"""Say what an attempt means now, in words that support can read out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import npgettext, pgettext, pgettext_lazy

from django_valify_otp.audit.charts import localized
from django_valify_otp.audit.wording import limit_of, name_limit, name_time
from django_valify_otp.conf import Settings
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.outcomes import explain

# How it went: well, badly, or nobody can say yet.
GOOD, BAD, OPEN = "good", "bad", "open"
# By an attempt's code, or by its status where it has no code.
TITLES: dict[str, Any] = {
    OtpSend.Status.QUEUED: pgettext_lazy("OTP", "Waiting to be sent"),
    OtpSend.Status.PENDING: pgettext_lazy("OTP", "Waiting for Valify's answer"),
    OtpSend.Status.SENT: pgettext_lazy("OTP", "Sent: the person can type the code"),
    OtpSend.Code.SEND_LIMIT_REACHED: pgettext_lazy("OTP", "Not sent: refused by a limit"),
    OtpSend.Code.SEND_FORBIDDEN: pgettext_lazy("OTP", "Not sent: refused by a send block"),
    OtpSend.Code.SENDING_PAUSED: pgettext_lazy("OTP", "Not sent: all sending was stopped"),
    OtpSend.Code.REJECTED: pgettext_lazy("OTP", "Not sent: refused by Valify"),
    OtpSend.Code.VALIFY_MISCONFIGURED: pgettext_lazy(
        "OTP", "Not sent: Valify did not accept this site's settings"
    ),
    OtpSend.Code.VALIFY_BUSY: pgettext_lazy("OTP", "Not sent: Valify was too busy"),
    OtpSend.Code.VALIFY_UNREACHABLE: pgettext_lazy("OTP", "Not sent: Valify could not be reached"),
    OtpSend.Code.QUEUE_EXPIRED: pgettext_lazy("OTP", "Not sent: no worker took it in time"),
    OtpSend.Code.OUTCOME_UNKNOWN: pgettext_lazy("OTP", "Perhaps sent: no usable answer came"),
}
BLOCKED = {OtpSend.Code.SEND_FORBIDDEN, OtpSend.Code.SENDING_PAUSED}
RULES: dict[str, Any] = {
    "NUMBER_SEND_LIMITS": pgettext_lazy("OTP", "One number gets at most %(limit)s."),
    "USER_SEND_LIMITS": pgettext_lazy("OTP", "One user gets at most %(limit)s."),
    "IP_SEND_LIMITS": pgettext_lazy("OTP", "One IP address gets at most %(limit)s."),
    "GLOBAL_SEND_LIMITS": pgettext_lazy("OTP", "The whole site sends at most %(limit)s."),
}


@dataclass(frozen=True)
class Meaning:
    """A title and the sentences below it; ``mark`` says how it went."""

    mark: str
    title: str
    sentences: Sequence[str]


def read_meaning(
    otp_send: OtpSend,
    tries: Sequence[OtpVerification],
    *,
    now: datetime,
    settings: Settings,
    is_blocked: bool,
) -> Meaning:
    """Return what an attempt means now; ``tries`` are its tries.

    ``is_blocked`` tells whether a block would refuse the same attempt now.
    """
    if otp_send.status == OtpSend.Status.SENT:
        found = _of_sent(otp_send, tries, now, settings)
    else:
        title = str(TITLES[otp_send.code or otp_send.status])
        mark = OPEN if otp_send.status in OtpSend.MAY_HAVE_SENT else BAD
        found = Meaning(mark, title, [explain(otp_send), *_limit_sentences(otp_send, now)])
    more = _block_sentences(otp_send, is_blocked=is_blocked)
    return replace(found, sentences=[*found.sentences, *more])


def expires_at(otp_send: OtpSend, settings: Settings) -> datetime | None:
    """Return until when the OTP of an attempt can be verified, ``None`` if none was sent."""
    if otp_send.status != OtpSend.Status.SENT or otp_send.settled_at is None:
        return None
    return otp_send.settled_at + timedelta(seconds=settings.code_lifetime)


def count_spent(tries: Sequence[OtpVerification]) -> int:
    """Return how many tries count: those whose call has reached Valify, or may have."""
    return sum(row.status != OtpVerification.Status.FAILED or row.calls > 0 for row in tries)


def _of_sent(
    otp_send: OtpSend, tries: Sequence[OtpVerification], now: datetime, settings: Settings
) -> Meaning:
    if otp_send.verified_at:
        return _of_verified(otp_send, tries, now)
    spent = count_spent(tries)
    again = _asking_again(otp_send, now)
    typed = npgettext(
        "OTP", "%(number)s code was typed.", "%(number)s codes were typed.", spent
    ) % {"number": localized(spent)}
    must_ask = pgettext("OTP", "The person has to ask for another code.")
    if spent >= settings.verify_tries:
        wrong = pgettext("OTP", "None of them was right.")
        title = pgettext("OTP", "Not verified: all tries are used up")
        return Meaning(BAD, title, [typed, wrong, must_ask, *again])
    end = expires_at(otp_send, settings) or now
    if otp_send.is_expired(now, code_lifetime=settings.code_lifetime):
        title = pgettext("OTP", "Not verified: the code expired at %(time)s")
        return Meaning(BAD, title % {"time": name_time(end, now=now)}, [typed, must_ask, *again])
    left = settings.verify_tries - spent
    sentences = [
        explain(otp_send),
        pgettext("OTP", "The code is good until %(time)s.") % {"time": name_time(end, now=now)},
        npgettext("OTP", "%(number)s try is left.", "%(number)s tries are left.", left)
        % {"number": localized(left)},
        *again,
    ]
    return Meaning(OPEN, str(TITLES[otp_send.status]), sentences)


def _asking_again(otp_send: OtpSend, now: datetime) -> list[str]:
    """Return from when the limits allow the next code, if that is still to come."""
    if otp_send.resend_at is None or otp_send.resend_at <= now:
        return []
    text = pgettext("OTP", "Another code can be sent from %(time)s on.")
    return [text % {"time": name_time(otp_send.resend_at, now=now)}]


def _of_verified(otp_send: OtpSend, tries: Sequence[OtpVerification], now: datetime) -> Meaning:
    time = name_time(otp_send.verified_at or now, now=now)
    title = pgettext("OTP", "Verified at %(time)s") % {"time": time}
    sentences = [pgettext("OTP", "The person typed the right code.")]
    for redeemed_at in (row.redeemed_at for row in tries if row.redeemed_at):
        used = pgettext("OTP", "The site made use of it at %(time)s.")
        sentences.append(used % {"time": name_time(redeemed_at, now=now)})
    return Meaning(GOOD, title, sentences)


def _block_sentences(otp_send: OtpSend, *, is_blocked: bool) -> list[str]:
    """Return whether a block stands in the way of the next code, where that is not plain."""
    was_blocked = otp_send.code in BLOCKED
    if is_blocked and not was_blocked:
        return [pgettext("OTP", "A send block refuses the next code, until somebody lifts it.")]
    if was_blocked and not is_blocked:
        return [pgettext("OTP", "No block applies any more: the person can ask for a code again.")]
    return []


def _limit_sentences(otp_send: OtpSend, now: datetime) -> list[str]:
    """Return which limit refused an attempt, and until when; nothing if none did."""
    limit = limit_of(otp_send.blocked_by)
    if limit is None:
        return []
    rule = RULES[otp_send.blocked_by.partition(" ")[0]]
    # The oldest of the codes that were counted leaves the window by then.
    end = otp_send.created_at + timedelta(seconds=limit.seconds)
    if end <= now:
        wait = pgettext("OTP", "That wait was over at %(time)s at the latest.")
    else:
        wait = pgettext(
            "OTP",
            "The next one can be sent at %(time)s at the latest, if none is sent in the meantime.",
        )
    return [str(rule) % {"limit": name_limit(limit)}, wait % {"time": name_time(end, now=now)}]
