"""How the lists show moments, statuses, names and identifiers."""

from datetime import datetime
from typing import Any

from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext

from django_valify_otp.audit.bidi import left_to_right
from django_valify_otp.models import OtpSend
from django_valify_otp.moments import local

EMPTY = "–"
# Colors alone would say nothing to whoever cannot tell them apart.
SYMBOLS = {
    "queued": "…",
    "pending": "…",
    "sent": "✓",
    "verified": "✓",
    "rejected": "✗",
    "failed": "✗",
    "unknown": "?",
    "blocked": "⊘",
    "in-force": "⊘",
    "ended": "✓",
}


def badge(kind: str, word: Any) -> SafeString:
    """Return a word with its symbol, in the color of its kind."""
    return format_html(
        '<span class="valify-badge valify-badge-{}"><span aria-hidden="true">{}</span> {}</span>',
        kind,
        SYMBOLS[kind],
        word,
    )


def moment(value: datetime | None) -> SafeString | str:
    """Return date and time to the second, in the time zone of the site."""
    if value is None:
        return EMPTY
    here = local(value)
    return format_html(
        '<time dir="ltr" datetime="{}"><span class="valify-value">{}</span> {}</time>',
        here.isoformat(),
        f"{here:%Y-%m-%d}",
        f"{here:%H:%M:%S}",
    )


def time_after(value: datetime | None, start: datetime) -> SafeString | str:
    """Return the time to the second, with its date if that is not the one of the start."""
    if value is None:
        return EMPTY
    here = local(value)
    if here.date() != local(start).date():
        return moment(value)
    return format_html(
        '<time dir="ltr" datetime="{}">{}</time>', here.isoformat(), f"{here:%H:%M:%S}"
    )


def cut(text: str) -> SafeString | str:
    """Return a text that is cut by the width of its column, whole on hover."""
    if not text:
        return EMPTY
    return format_html('<span class="valify-cut" dir="auto" title="{}">{}</span>', text, text)


def identifier(text: str) -> SafeString | str:
    """Return an identifier that is cut in the same way; one click selects the whole to copy it."""
    if not text:
        return EMPTY
    return format_html(
        '<span class="valify-cut valify-id" dir="ltr" title="{}">{}</span>', text, text
    )


def masked_number(otp_send: OtpSend) -> SafeString | str:
    """Return the masked number, left to right also on a right-to-left page."""
    if not otp_send.phone_number:
        return pgettext("OTP", "anonymised")
    return left_to_right(otp_send.masked_phone_number)


def _abbreviation(short: Any, whole: Any) -> SafeString:
    return format_html('<abbr title="{}">{}</abbr>', whole, str(short).capitalize())


# A short heading that tells the whole one on hover, in the language of the reader.
heading = lazy(_abbreviation, SafeString)
