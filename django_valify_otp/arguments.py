"""Bring the arguments of the public functions into their one spelling."""

import re

from django.utils.translation import get_language

from django_valify_otp import ip_addresses
from django_valify_otp.admission import NewSend
from django_valify_otp.callers import Caller, User, identify
from django_valify_otp.models import hash_idempotency_key
from django_valify_otp.phone_numbers import normalize
from django_valify_otp.setting_values import LANGS

PURPOSE = re.compile(r"\A[-a-zA-Z0-9_]{1,32}\Z")
IDEMPOTENCY_KEY = re.compile(r"\A[\x21-\x7e]{1,128}\Z")


def new_send(
    *,
    phone_number: str,
    lang: str | None,
    default_lang: str | None,
    user: User | None,
    ip_address: str | None,
    purpose: str,
    idempotency_key: str | None,
    in_background: bool = False,
) -> NewSend:
    """Bring the arguments into their one spelling. Raises ``ValueError``."""
    number, caller, address = (
        normalize(phone_number),
        identify(user),
        checked_ip_address(ip_address),
    )
    return NewSend(
        phone_number=_plain(number),
        lang=_checked_lang(lang or default_lang or reader_lang()),
        names_lang=bool(lang),
        purpose=_checked_purpose(purpose),
        caller=caller,
        ip_address=address,
        limited_network=ip_addresses.limited_network(address),
        idempotency_hash=_hash_key(idempotency_key, caller=caller, phone_number=number),
        in_background=in_background,
    )


def reader_lang() -> str:
    """Return the active language if Valify knows it, else English."""
    language = (get_language() or "").partition("-")[0]
    return language if language in LANGS else "en"


def _checked_lang(lang: str) -> str:
    if lang not in LANGS:
        raise ValueError('lang must be "en" or "ar".')
    return _plain(lang)


def _checked_purpose(purpose: str) -> str:
    if not isinstance(purpose, str) or (purpose and not PURPOSE.match(purpose)):
        raise ValueError("purpose must be an ASCII slug of at most 32 characters.")
    return _plain(purpose)


def checked_ip_address(ip_address: str | None) -> str | None:
    parsed = ip_addresses.parse(ip_address)
    if ip_address and parsed is None:
        raise ValueError("ip_address must be an IPv4 or IPv6 address.")
    return parsed


def _plain(text: str) -> str:
    # Database drivers do not agree on how a subclass of str is written.
    return str.__str__(text)


def _hash_key(key: str | None, *, caller: Caller, phone_number: str) -> str | None:
    if key is None:
        return None
    if not isinstance(key, str) or not IDEMPOTENCY_KEY.match(key):
        raise ValueError("idempotency_key must be 1 to 128 visible ASCII characters.")
    return hash_idempotency_key(_plain(key), caller=caller, phone_number=phone_number)
