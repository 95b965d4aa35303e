"""Read ``settings.VALIFY_OTP``: typed, checked, and as it is at each access."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from django_valify_otp import setting_values as values
from django_valify_otp.setting_values import BadValue, Limit

# Engines find a task by its path. So does this app, in which the task imports what hands it over.
TASK_PATH = "django_valify_otp.tasks.send_queued_otp"
CREDENTIALS = ("USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")


class Problem(NamedTuple):
    """One thing wrong with ``VALIFY_OTP``: where, what, and how to mend it."""

    key: str
    message: str
    hint: str


class Key(NamedTuple):
    """How one key is read: the id of its error, what reads it, and what it must be set to."""

    error_id: str
    read: Callable[[object], Any]
    wanted: str
    is_secret: bool


def _key(
    error_id: str,
    read: Callable[[object], Any],
    wanted: str,
    *,
    default: Any = MISSING,
    is_secret: bool = False,
) -> Any:
    """Return the field of a key. A secret is in no message: people paste tokens and passwords."""
    key = Key(error_id, read, wanted, is_secret)
    return field(default=default, repr=not is_secret, metadata={"key": key})


def _secret_key(error_id: str, *, default: Any = MISSING) -> Any:
    wanted = "the text that Valify sent you, in quotes, on one line"
    return _key(error_id, values.read_secret, wanted, default=default, is_secret=True)


def _count_key(error_id: str, *, default: int) -> Any:
    wanted = "a whole number from 1 to 32767"
    return _key(error_id, values.read_whole_number(32_767), wanted, default=default)


def _lifetime_key(error_id: str, *, default: int) -> Any:
    wanted = "a whole number of seconds from 1 to 86400"
    return _key(error_id, values.read_whole_number(values.SECONDS["d"]), wanted, default=default)


def _timeout_key(error_id: str, *, default: float) -> Any:
    wanted = "a number of seconds above 0 and up to 3600"
    return _key(error_id, values.read_timeout, wanted, default=default)


def _limits_key(error_id: str, *, default: list[str]) -> Any:
    wanted = (
        'a list of limits such as ["1/60s", "5/1h"] (units s, m, h, d; at most 366d), [] for none'
    )
    return _key(error_id, values.read_limits, wanted, default=values.read_limits(default))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``VALIFY_OTP`` with its defaults filled in. Secrets are not in its ``repr``.

    Sites silence checks by their ids: a key keeps its own for ever, and no other key gets it.
    """

    base_url: str = _key(
        "E010",
        values.read_base_url,
        "only https:// and Valify's host, such as https://valifystage.com",
        is_secret=True,
    )
    bundle_key: str = _secret_key("E011")
    username: str = _secret_key("E012", default="")
    password: str = _secret_key("E013", default="")
    client_id: str = _secret_key("E014", default="")
    client_secret: str = _secret_key("E015", default="")
    access_token_callable: str | None = _key(
        "E016",
        values.read_callable_path,
        "the dotted path of a callable that returns an access token, or None",
        default=None,
        is_secret=True,
    )
    token_uses: int = _count_key("E017", default=3)
    default_lang: str | None = _key(
        "E018",
        values.read_lang,
        '"en", "ar" or None: the language of the request, if that is Arabic, else English',
        default=None,
    )
    connect_timeout: float = _timeout_key("E019", default=5)
    read_timeout: float = _timeout_key("E020", default=20)
    deadline: float = _timeout_key("E021", default=25)
    number_send_limits: tuple[Limit, ...] = _limits_key("E022", default=["1/60s", "5/1h", "10/1d"])
    user_send_limits: tuple[Limit, ...] = _limits_key("E023", default=["10/1h", "20/1d"])
    ip_send_limits: tuple[Limit, ...] = _limits_key("E024", default=["300/1h"])
    global_send_limits: tuple[Limit, ...] = _limits_key("E025", default=[])
    verify_tries: int = _count_key("E026", default=5)
    code_lifetime: int = _lifetime_key("E027", default=600)
    send_in_background: bool = _key(
        "E028",
        values.read_bool,
        "True or False",
        default=False,
    )
    queue_lifetime: int = _lifetime_key("E029", default=120)
    permission_classes: tuple[str, ...] = _key(
        "E030",
        values.read_permission_classes,
        "a list of dotted paths of DRF permission classes, each of which can be imported",
        default=("rest_framework.permissions.IsAuthenticated",),
    )
    retention_days: int | None = _key(
        "E031",
        values.read_days,
        "a whole number of days, at least 1, or None to keep every row",
        default=None,
    )
    allow_plain_http: bool = _key(
        "E032",
        values.read_bool,
        "True or False; True is for a sandbox in another container",
        default=False,
    )

    @property
    def longest_window(self) -> timedelta:
        """Return the longest time that any limit looks back."""
        limits = (
            *self.number_send_limits,
            *self.user_send_limits,
            *self.ip_send_limits,
            *self.global_send_limits,
        )
        return timedelta(seconds=max((limit.seconds for limit in limits), default=0))


KEYS: dict[str, Key] = {f.name.upper(): f.metadata["key"] for f in fields(Settings)}


def get_settings() -> Settings:
    """Return the settings. Raises ``ImproperlyConfigured`` with all that is wrong with them."""
    # Tracebacks show the variables of the frames that raise: this one has no secret.
    found = _read()
    if isinstance(found, list):
        raise ImproperlyConfigured(" ".join(f"{p.message} {p.hint}" for p in found))
    return found


def find_problems() -> list[Problem]:
    """Return everything that is wrong with ``VALIFY_OTP``."""
    found = _read()
    return found if isinstance(found, list) else []


def _read() -> Settings | list[Problem]:
    raw = getattr(django_settings, "VALIFY_OTP", None)
    if not isinstance(raw, Mapping):
        hint = "Set VALIFY_OTP to a dict with at least BASE_URL, BUNDLE_KEY and the credentials."
        return [Problem("VALIFY_OTP", "VALIFY_OTP is not set to a dict.", hint)]
    given = tuple([tuple(v) if isinstance(v, list) else v for v in raw.values()])
    try:
        # With their types, since 1 and True are the same key.
        return _parse(tuple(raw), given, tuple(map(type, raw.values())))
    except (BadValue, TypeError):
        # Of a value that cannot be hashed, too: none of ours is one.
        return _problems_of(raw)


@lru_cache(maxsize=1)
def _parse(keys: tuple[Any, ...], given: tuple[Any, ...], _types: tuple[type, ...]) -> Settings:
    """Return the settings, parsed anew only where they have changed. Raises ``BadValue``."""
    raw = dict(zip(keys, given, strict=True))
    if _problems_of(raw):
        raise BadValue
    return Settings(**{key.lower(): KEYS[key].read(value) for key, value in raw.items()})


def _problems_of(raw: Mapping[Any, object]) -> list[Problem]:
    known = [(key, KEYS[key]) for key in raw if key in KEYS]
    bad = [problem for key, spec in known if (problem := _problem_of(key, spec, raw[key]))]
    plain_http = [] if any(problem.key == "BASE_URL" for problem in bad) else _plain_http(raw)
    return [*_unknown_keys(raw), *_missing_keys(raw), *bad, *plain_http]


def _problem_of(key: str, spec: Key, value: object) -> Problem | None:
    try:
        spec.read(value)
    except BadValue as error:
        shown = "its value" if spec.is_secret else f"{value!r:.80}"
        message = f"VALIFY_OTP[{key!r}] {str(error) or f'cannot be {shown}'}."
        return Problem(key, message, f"Set VALIFY_OTP[{key!r}] to {spec.wanted}.")
    return None


def _plain_http(raw: Mapping[Any, Any]) -> list[Problem]:
    """Return that an address is not https, which no key alone can tell."""
    if raw.get("ALLOW_PLAIN_HTTP", False) is not False or "BASE_URL" not in raw:
        return []
    if not values.is_plain_http_to_others(raw["BASE_URL"]):
        return []
    message = (
        "VALIFY_OTP['BASE_URL'] begins with http://, so whoever is on the way could read the"
        " credentials and the numbers."
    )
    hint = (
        f"Set VALIFY_OTP['BASE_URL'] to {KEYS['BASE_URL'].wanted}. For a sandbox in another"
        " container, set VALIFY_OTP['ALLOW_PLAIN_HTTP'] to True."
    )
    return [Problem("BASE_URL", message, hint)]


def _unknown_keys(raw: Mapping[Any, object]) -> Iterator[Problem]:
    for key in raw:
        if key not in KEYS:
            alike = get_close_matches(str(key).upper(), KEYS, n=1, cutoff=0.5)
            question = f"Did you mean {alike[0]!r}? " if alike else ""
            hint = f"{question}Correct or remove {key!r}; the keys are {', '.join(KEYS)}."
            yield Problem("unknown", f"VALIFY_OTP has an unknown key {key!r}.", hint)


def _missing_keys(raw: Mapping[Any, object]) -> Iterator[Problem]:
    required = [f.name.upper() for f in fields(Settings) if f.default is MISSING]
    if raw.get("ACCESS_TOKEN_CALLABLE") is None:
        required += CREDENTIALS
    for key in required:
        if key not in raw:
            hint = f"Set VALIFY_OTP[{key!r}] to {KEYS[key].wanted}."
            yield Problem("missing", f"VALIFY_OTP[{key!r}] is missing.", hint)
