"""The one reader of ``settings.VALIFY_OTP``: typed, checked, read anew at each access."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

LANGS = ("en", "ar")
CREDENTIALS = ("USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
# Their values stay out of messages; a BASE_URL may hold a password, and people paste tokens.
SECRETS = ("BASE_URL", "BUNDLE_KEY", "ACCESS_TOKEN_CALLABLE", *CREDENTIALS)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_WINDOW = 366 * SECONDS["d"]
LONGEST_TIMEOUT = SECONDS["h"]
LONGEST_RETENTION_DAYS = 36_500


class Problem(NamedTuple):
    """One thing wrong with ``VALIFY_OTP``: where, what, and how to mend it."""

    key: str
    message: str
    hint: str


@dataclass(frozen=True)
class Limit:
    """At most ``count`` sends in any ``seconds`` seconds; ``text`` is as the settings have it."""

    text: str
    count: int
    seconds: int


class BadValue(ValueError):  # noqa: N818
    """A value that its key cannot take."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``VALIFY_OTP`` with its defaults filled in. Secrets are not in its ``repr``."""

    base_url: str = field(repr=False)
    bundle_key: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    access_token_callable: str | None = None
    token_uses: int = 3
    default_lang: str = "en"
    connect_timeout: float = 5
    read_timeout: float = 20
    deadline: float = 25
    number_send_limits: tuple[Limit, ...] = (
        Limit("1/60s", 1, 60),
        Limit("5/1h", 5, 3600),
        Limit("10/1d", 10, 86_400),
    )
    user_send_limits: tuple[Limit, ...] = (Limit("10/1h", 10, 3600), Limit("20/1d", 20, 86_400))
    ip_send_limits: tuple[Limit, ...] = (Limit("300/1h", 300, 3600),)
    global_send_limits: tuple[Limit, ...] = ()
    verify_tries: int = 5
    code_lifetime: int = 600
    send_in_background: bool = False
    queue_lifetime: int = 120
    permission_classes: tuple[str, ...] = ("rest_framework.permissions.IsAuthenticated",)
    retention_days: int | None = None


def get_settings() -> Settings:
    """The settings in force. Raises ``ImproperlyConfigured`` with all that is wrong with them."""
    # Tracebacks show the variables of the frames that raise: this one has no secret.
    found = _read()
    if isinstance(found, list):
        raise ImproperlyConfigured(" ".join(f"{p.message} {p.hint}" for p in found))
    return found


def find_problems() -> list[Problem]:
    """Everything that is wrong with ``VALIFY_OTP``."""
    found = _read()
    return found if isinstance(found, list) else []


def _read() -> Settings | list[Problem]:
    raw = getattr(django_settings, "VALIFY_OTP", None)
    if not isinstance(raw, Mapping):
        hint = "Set VALIFY_OTP to a dict with at least BASE_URL, BUNDLE_KEY and the credentials."
        return [Problem("VALIFY_OTP", "VALIFY_OTP is not set to a dict.", hint)]
    values: dict[str, Any] = {}
    problems = [*_unknown_keys(raw), *_missing_keys(raw)]
    for key, (read, wanted) in KEYS.items():
        if key not in raw:
            continue
        try:
            values[key.lower()] = read(raw[key])
        except BadValue:
            shown = "its value" if key in SECRETS else f"{raw[key]!r:.80}"
            message = f"VALIFY_OTP[{key!r}] cannot be {shown}."
            problems.append(Problem(key, message, f"Set VALIFY_OTP[{key!r}] to {wanted}."))
    return problems or Settings(**values)


def _unknown_keys(raw: Mapping[Any, object]) -> Iterator[Problem]:
    for key in raw:
        if key not in KEYS:
            hint = f"Correct or remove {key!r}; the keys are {', '.join(KEYS)}."
            yield Problem("unknown", f"VALIFY_OTP has an unknown key {key!r}.", hint)


def _missing_keys(raw: Mapping[Any, object]) -> Iterator[Problem]:
    required = [f.name.upper() for f in fields(Settings) if f.default is MISSING]
    if raw.get("ACCESS_TOKEN_CALLABLE") is None:
        required += CREDENTIALS
    for key in required:
        if key not in raw:
            hint = f"Set VALIFY_OTP[{key!r}] to {KEYS[key][1]}."
            yield Problem("missing", f"VALIFY_OTP[{key!r}] is missing.", hint)


def _base_url(value: object) -> str:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f\x7f\\?#@]", value):
        raise BadValue
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise BadValue from None
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        raise BadValue
    return parts.geturl().rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secret(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise BadValue
    return value


def _whole_number(largest: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
            raise BadValue
        return value

    return read


def _timeout(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise BadValue
    if not 0 < value <= LONGEST_TIMEOUT:
        raise BadValue
    return value


def _limits(value: object) -> tuple[Limit, ...]:
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


def _lang(value: object) -> str:
    if not isinstance(value, str) or value not in LANGS:
        raise BadValue
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValue
    return value


def _callable_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not callable(_imported(value)):
        raise BadValue
    return value


def _permission_classes(value: object) -> tuple[str, ...]:
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


def _days(value: object) -> int | None:
    return None if value is None else _whole_number(LONGEST_RETENTION_DAYS)(value)


_SECRET = (_secret, "the text that Valify sent you, in quotes, on one line")
_COUNT = (_whole_number(32_767), "a whole number from 1 to 32767")
_LIFETIME = (_whole_number(SECONDS["d"]), "a whole number of seconds from 1 to 86400")
_TIMEOUT = (_timeout, "a number of seconds above 0 and up to 3600")
_LIMITS = (_limits, 'a list of limits such as ["1/60s", "5/1h"] (units s, m, h, d), [] for none')

KEYS: dict[str, tuple[Callable[[object], Any], str]] = {
    "BASE_URL": (
        _base_url,
        "Valify's https address, such as https://valifystage.com, without user, query or fragment",
    ),
    "BUNDLE_KEY": _SECRET,
    "USERNAME": _SECRET,
    "PASSWORD": _SECRET,
    "CLIENT_ID": _SECRET,
    "CLIENT_SECRET": _SECRET,
    "ACCESS_TOKEN_CALLABLE": (
        _callable_path,
        "the dotted path of a callable that returns an access token, or None",
    ),
    "TOKEN_USES": _COUNT,
    "DEFAULT_LANG": (_lang, '"en" or "ar"'),
    "CONNECT_TIMEOUT": _TIMEOUT,
    "READ_TIMEOUT": _TIMEOUT,
    "DEADLINE": _TIMEOUT,
    "NUMBER_SEND_LIMITS": _LIMITS,
    "USER_SEND_LIMITS": _LIMITS,
    "IP_SEND_LIMITS": _LIMITS,
    "GLOBAL_SEND_LIMITS": _LIMITS,
    "VERIFY_TRIES": _COUNT,
    "CODE_LIFETIME": _LIFETIME,
    "SEND_IN_BACKGROUND": (_boolean, "True or False"),
    "QUEUE_LIFETIME": _LIFETIME,
    "PERMISSION_CLASSES": (
        _permission_classes,
        "a list of dotted paths of DRF permission classes, each of which can be imported",
    ),
    "RETENTION_DAYS": (_days, "a whole number of days, at least 1, or None to keep every row"),
}
