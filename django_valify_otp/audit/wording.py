"""Say in the words of support what rows and settings name for programs."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import get_language_info, npgettext, pgettext, pgettext_lazy

from django_valify_otp.audit.bidi import isolated
from django_valify_otp.audit.charts import localized
from django_valify_otp.callers import ANONYMOUS, ERASED, SYSTEM
from django_valify_otp.phone_numbers import mask_numbers
from django_valify_otp.setting_values import SECONDS, BadValue, Limit, read_limits

CALLERS: dict[str, Any] = {
    ANONYMOUS: pgettext_lazy("OTP", "somebody without a login"),
    SYSTEM: pgettext_lazy("OTP", "the site itself"),
    ERASED: pgettext_lazy("OTP", "anonymised"),
}
LIMITS: dict[str, Any] = {
    "NUMBER_SEND_LIMITS": pgettext_lazy("OTP", "limit per number: %(limit)s"),
    "USER_SEND_LIMITS": pgettext_lazy("OTP", "limit per user: %(limit)s"),
    "IP_SEND_LIMITS": pgettext_lazy("OTP", "limit per IP address: %(limit)s"),
    "GLOBAL_SEND_LIMITS": pgettext_lazy("OTP", "limit of the whole site: %(limit)s"),
}
BLOCK = re.compile("SendBlock ([0-9]+)")


def name_caller(caller: str, *, whole_numbers: bool = False) -> str:
    """Return who a caller is, such as "user 7" of ``user:7``, with phone numbers masked."""
    if caller in CALLERS:
        return str(CALLERS[caller])
    kind, _colon, key = (caller if whole_numbers else mask_numbers(caller)).partition(":")
    if kind == "user":
        return pgettext("OTP", "user %(key)s") % {"key": isolated(key)}
    return f"{_model_name(kind)} {isolated(key)}" if key else kind


def name_refusal(blocked_by: str) -> str:
    """Return which limit or block refused: "limit per number: 5 codes in an hour"."""
    if found := BLOCK.fullmatch(blocked_by):
        return pgettext("OTP", "send block %(number)s") % {"number": found[1]}
    limit = limit_of(blocked_by)
    if limit is None:
        return blocked_by
    return str(LIMITS[blocked_by.partition(" ")[0]]) % {"limit": name_limit(limit)}


def limit_of(blocked_by: str) -> Limit | None:
    """Return the limit that refused an attempt, ``None`` if it was something else."""
    key, _space, text = blocked_by.partition(" ")
    if key not in LIMITS:
        return None
    try:
        [limit] = read_limits([text])
    except BadValue:
        return None
    return limit


def name_limit(limit: Limit) -> str:
    """Return a limit in words: "5 codes in an hour"."""
    codes = npgettext("OTP", "%(number)s code", "%(number)s codes", limit.count)
    parts = {
        "codes": codes % {"number": localized(limit.count)},
        "time": _name_window(limit.seconds),
    }
    return pgettext("OTP", "%(codes)s in %(time)s") % parts


def name_lang(lang: str) -> str:
    """Return what the reader calls a language, its code if nobody has heard of it."""
    try:
        return str(get_language_info(lang)["name_translated"])
    except KeyError:
        return lang


def name_time(moment: datetime, *, now: datetime) -> str:
    """Return a time of day to the second, with the date if it is not today's."""
    shown = local_to_reader(moment)
    time = isolated(date_format(shown, "H:i:s"))
    if shown.date() == local_to_reader(now).date():
        return time
    return f"{date_format(shown, 'DATE_FORMAT')}, {time}"


def local_to_reader(moment: datetime) -> datetime:
    """Return the moment in the time zone of the admin's pages."""
    return moment if timezone.is_naive(moment) else timezone.localtime(moment)


def name_duration(duration: timedelta) -> str:
    """Return how long something took, to the millisecond if it was less than a minute."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 60:
        return pgettext("OTP", "%(seconds)s s") % {"seconds": f"{seconds:.3f}"}
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    if days:
        return pgettext("OTP", "%(days)s d %(hours)s h") % parts
    if hours:
        return pgettext("OTP", "%(hours)s h %(minutes)s min") % parts
    return pgettext("OTP", "%(minutes)s min %(seconds)s s") % parts


def _name_window(seconds: int) -> str:
    """Return the window of a limit, in its largest whole unit."""
    unit = next(unit for unit in "dhms" if seconds % SECONDS[unit] == 0)
    number = seconds // SECONDS[unit]
    match unit:
        case "d":
            text = npgettext("OTP", "a day", "%(number)s days", number)
        case "h":
            text = npgettext("OTP", "an hour", "%(number)s hours", number)
        case "m":
            text = npgettext("OTP", "a minute", "%(number)s minutes", number)
        case _:
            text = npgettext("OTP", "a second", "%(number)s seconds", number)
    return text % {"number": localized(number)}


def _model_name(label: str) -> str:
    """Return what a site calls a model of its own, its label if there is none."""
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except (LookupError, ValueError):
        return label
