"""Read the values of settings: each function returns what its key takes, or raises ``BadValue``."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.module_loading import import_string

LANGS = ("en", "ar")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WRONG_IN_BASE_URL = {
    r"[\s\x00-\x1f\x7f\\]": "has a space or another character that no address has",
    "@": "has a user name or a password in it",
    r"[?#]": "has a query or a fragment behind the path",
}
LONGEST_WINDOW = 366 * SECONDS["d"]
LONGEST_TIMEOUT = SECONDS["h"]
LONGEST_RETENTION_DAYS = 36_500


# Each is added to the address by this app.
VALIFY_PATH = re.compile(r"/api(/(o|v[0-9]+)(/.*)?)?\Z")


class BadValue(ValueError):
    """A value that its key cannot take; the text says what is wrong, without the value."""


@dataclass(frozen=True)
class Limit:
    """At most ``count`` sends in any ``seconds`` seconds; ``text`` is as the settings have it."""

    text: str
    count: int
    seconds: int


def read_base_url(value: object) -> str:
    text = _text(value)
    for wrong, what in WRONG_IN_BASE_URL.items():
        if re.search(wrong, text):
            raise BadValue(what)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadValue("has a port or an IPv6 address that cannot be read") from None
    if parts.scheme not in {"http", "https"}:
        raise BadValue("does not begin with https://")
    if not host:
        raise BadValue("has no host")
    if VALIFY_PATH.search(parts.path.rstrip("/")):
        raise BadValue("has a path of Valify's API behind the host, which this app adds itself")
    return parts.geturl().rstrip("/")


def is_plain_http_to_others(base_url: str) -> bool:
    """Tell whether what is sent there could be read on the way."""
    parts = urlsplit(base_url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _text(value: object) -> str:
    if value is None:
        raise BadValue("is None, as from an environment variable that is not set")
    if not isinstance(value, str):
        raise BadValue(f"is not text but {type(value).__name__}")
    if not value.strip():
        raise BadValue("is empty")
    return value


def read_secret(value: object) -> str:
    text = _text(value)
    if not text.isprintable():
        raise BadValue("has a line break or another character that cannot be printed")
    return text


def read_whole_number(largest: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            raise BadValue
        return value

    return read


def read_timeout(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadValue
    if not 0 < value <= LONGEST_TIMEOUT:
        raise BadValue
    return value


def read_limits(value: object) -> tuple[Limit, ...]:
    if not isinstance(value, list | tuple):
        raise BadValue
    return tuple(_limit(item) for item in value)


def _limit(value: object) -> Limit:
    if not isinstance(value, str):
        raise BadValue
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})?([smhd])", value)
    if match is None:
        raise BadValue
    seconds = int(match[2] or 1) * SECONDS[match[3]]
    if seconds > LONGEST_WINDOW:
        raise BadValue
    return Limit(value, int(match[1]), seconds)


def read_lang(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or value not in LANGS):
        raise BadValue
    return value


def read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValue
    return value


def read_callable_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not callable(_imported(value)):
        raise BadValue
    return value


def read_permission_classes(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadValue
    for path in value:
        if not isinstance(path, str) or not hasattr(_imported(path), "has_permission"):
            raise BadValue
    return tuple(value)


def _imported(path: str) -> object:
    try:
        return import_string(path)
    except (ImportError, TypeError, ValueError):
        return None


def read_days(value: object) -> int | None:
    return None if value is None else read_whole_number(LONGEST_RETENTION_DAYS)(value)
