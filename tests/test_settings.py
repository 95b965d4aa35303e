from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from django_valify_otp.checks import ERROR_IDS, check_deployment, check_settings
from django_valify_otp.conf import KEYS, Limit, get_settings

REQUIRED = {
    "BASE_URL": "https://valify.example",
    "BUNDLE_KEY": "bundle",
    "USERNAME": "username",
    "PASSWORD": "password",
    "CLIENT_ID": "client-id",
    "CLIENT_SECRET": "client-secret",
}
PERMISSIONS = "rest_framework.permissions."
BAD_LIMITS = ["5/h", None, [5], ["5"], ["5/"], ["0/h"], ["5/0h"], ["5/w"], ["5/ h"], ["5/367d"]]


def no_token() -> str:
    return "supplied"


def configure(settings: Settings, **values: object) -> None:
    settings.VALIFY_OTP = {**REQUIRED, **values}


def test_defaults(settings: Settings) -> None:
    settings.VALIFY_OTP = REQUIRED
    found = get_settings()
    assert found.base_url == "https://valify.example"
    assert found.token_uses == 3
    assert found.default_lang == "en"
    assert (found.connect_timeout, found.read_timeout, found.deadline) == (5, 20, 25)
    assert [limit.text for limit in found.number_send_limits] == ["1/60s", "5/1h", "10/1d"]
    assert [limit.text for limit in found.user_send_limits] == ["10/1h", "20/1d"]
    assert [limit.text for limit in found.ip_send_limits] == ["300/1h"]
    assert found.global_send_limits == ()
    assert (found.verify_tries, found.code_lifetime, found.queue_lifetime) == (5, 600, 120)
    assert found.send_in_background is False
    assert found.permission_classes == (f"{PERMISSIONS}IsAuthenticated",)
    assert found.retention_days is None
    assert check_settings(None) == []


def test_settings_are_read_at_each_access(settings: Settings) -> None:
    configure(settings, TOKEN_USES=1)
    assert get_settings().token_uses == 1
    configure(settings, TOKEN_USES=2)
    assert get_settings().token_uses == 2


def test_default_limits_are_what_their_texts_say(settings: Settings) -> None:
    configure(settings)
    default = get_settings()
    configure(
        settings,
        NUMBER_SEND_LIMITS=["1/60s", "5/1h", "10/1d"],
        USER_SEND_LIMITS=["10/1h", "20/1d"],
        IP_SEND_LIMITS=["300/1h"],
    )
    assert get_settings() == default


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("1/60s", 1, 60), ("5/1h", 5, 3600), ("5/h", 5, 3600), ("10/2d", 10, 172_800), ("9/m", 9, 60)],
)
def test_limits(settings: Settings, text: str, count: int, seconds: int) -> None:
    configure(settings, GLOBAL_SEND_LIMITS=(text,))
    assert get_settings().global_send_limits == (Limit(text, count, seconds),)


GOOD: list[tuple[str, Any]] = [
    ("BASE_URL", "https://valify.example/"),
    ("BASE_URL", "https://valify.example:8443/prefix"),
    ("BASE_URL", "http://localhost:8900"),
    ("BASE_URL", "HTTP://localhost:8900"),
    ("BASE_URL", "http://127.0.0.1:8900/"),
    ("BASE_URL", "http://[::1]:8900"),
    ("BUNDLE_KEY", "with space"),
    ("ACCESS_TOKEN_CALLABLE", None),
    ("ACCESS_TOKEN_CALLABLE", "tests.test_settings.no_token"),
    ("TOKEN_USES", 1),
    ("DEFAULT_LANG", "ar"),
    ("CONNECT_TIMEOUT", 0.5),
    ("READ_TIMEOUT", 3600),
    ("DEADLINE", 25),
    ("USER_SEND_LIMITS", []),
    ("SEND_IN_BACKGROUND", True),
    ("PERMISSION_CLASSES", []),
    ("PERMISSION_CLASSES", (f"{PERMISSIONS}IsAdminUser",)),
    ("RETENTION_DAYS", None),
    ("RETENTION_DAYS", 90),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_good_values(settings: Settings, key: str, value: object) -> None:
    configure(settings, **{key: value})
    assert check_settings(None) == []
    get_settings()


BAD: dict[str, list[Any]] = {
    "BASE_URL": [
        "",
        None,
        5,
        "valify.example",
        "http://valify.example",
        "http://127.0.0.1.valify.example",
        "http://0.0.0.0:8900",
        "ftp://valify.example",
        "https://",
        "https://user:secret@valify.example",
        "https://valify.example?x=1",
        "https://valify.example/#top",
        "https://valify.example:port",
        "https://valify.example:99999",
        "https://valify.example/ path",
        "https://[::1",
    ],
    **{
        key: ["", " ", None, 5, b"bytes", "two\nlines", "nul\x00"]
        for key in ("BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
    },
    "ACCESS_TOKEN_CALLABLE": [
        "",
        ".x",
        "..x",
        "nowhere.at_all",
        "tests.test_settings.REQUIRED",
        no_token,
    ],
    "TOKEN_USES": [0, -1, "3", 3.0, True, None, 32_768],
    "DEFAULT_LANG": ["fr", "", None, "EN", ["en"]],
    **{
        key: [0, -1, "5", True, None, 3601, float("nan"), float("inf")]
        for key in ("CONNECT_TIMEOUT", "READ_TIMEOUT", "DEADLINE")
    },
    **dict.fromkeys(
        ("NUMBER_SEND_LIMITS", "USER_SEND_LIMITS", "IP_SEND_LIMITS", "GLOBAL_SEND_LIMITS"),
        BAD_LIMITS,
    ),
    "VERIFY_TRIES": [0, "5", None, True],
    "CODE_LIFETIME": [0, 600.0, None, 86_401],
    "SEND_IN_BACKGROUND": ["False", 0, None],
    "QUEUE_LIFETIME": [0, "120", None],
    "PERMISSION_CLASSES": [
        f"{PERMISSIONS}AllowAny",
        None,
        [f"{PERMISSIONS}Nobody"],
        ["django_valify_otp.models.OtpSend"],
        [5],
    ],
    "RETENTION_DAYS": [0, "90", 1.5, True],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD.items() for value in values]
)
def test_bad_values(settings: Settings, key: str, value: object) -> None:
    configure(settings, **{key: value})
    [error] = check_settings(None)
    assert error.id == ERROR_IDS[key]
    assert f"'{key}'" in error.msg
    assert error.hint
    assert f"VALIFY_OTP['{key}']" in error.hint
    with pytest.raises(ImproperlyConfigured, match=key):
        get_settings()


def test_every_key_has_bad_values_and_an_id_of_its_own() -> None:
    assert set(BAD) == set(KEYS)
    assert len(set(ERROR_IDS.values())) == len(KEYS) + 3


@pytest.mark.parametrize("value", [None, [], "text"])
def test_no_dict(settings: Settings, value: object) -> None:
    settings.VALIFY_OTP = value
    assert [error.id for error in check_settings(None)] == ["django_valify_otp.E001"]


def test_not_set_at_all(settings: Settings) -> None:
    del settings.VALIFY_OTP
    assert [error.id for error in check_settings(None)] == ["django_valify_otp.E001"]


@pytest.mark.parametrize("key", ["READ_TIMOUT", "base_url", "", 5, None])
def test_unknown_keys_are_errors(settings: Settings, key: Any) -> None:
    settings.VALIFY_OTP = {**REQUIRED, key: 5}
    [error] = check_settings(None)
    assert error.id == "django_valify_otp.E002"
    assert repr(key) in error.msg
    assert error.hint
    assert "READ_TIMEOUT" in error.hint


@pytest.mark.parametrize("key", REQUIRED)
def test_missing_keys_are_errors(settings: Settings, key: str) -> None:
    settings.VALIFY_OTP = {name: value for name, value in REQUIRED.items() if name != key}
    [error] = check_settings(None)
    assert error.id == "django_valify_otp.E003"
    assert error.hint
    assert key in error.hint


def test_credentials_are_not_needed_where_a_callable_gives_tokens(settings: Settings) -> None:
    settings.VALIFY_OTP = {
        "BASE_URL": "https://valify.example",
        "BUNDLE_KEY": "bundle",
        "ACCESS_TOKEN_CALLABLE": "tests.test_settings.no_token",
    }
    assert check_settings(None) == []
    assert no_token() == "supplied"


def test_all_problems_are_told_at_once(settings: Settings) -> None:
    configure(settings, TOKEN_USES=0, DEADLINE=0, COLOUR="red")
    assert len(check_settings(None)) == 3


@pytest.mark.parametrize(
    "key", ["BASE_URL", "BUNDLE_KEY", "PASSWORD", "CLIENT_SECRET", "ACCESS_TOKEN_CALLABLE"]
)
def test_secrets_are_in_no_message(settings: Settings, key: str) -> None:
    configure(settings, **{key: "https://user:hush@valify.example\n"})
    [error] = check_settings(None)
    assert "hush" not in f"{error.msg}{error.hint}"


def test_secrets_are_in_no_repr(settings: Settings) -> None:
    settings.VALIFY_OTP = {key: f"hush-{key}" for key in REQUIRED} | {
        "BASE_URL": "https://valify.example"
    }
    assert "hush" not in repr(get_settings())


def deploy_ids(settings: Settings, values: Mapping[str, object]) -> list[str | None]:
    settings.VALIFY_OTP = {**REQUIRED, "GLOBAL_SEND_LIMITS": ["1000/1h"], "RETENTION_DAYS": 90}
    settings.VALIFY_OTP |= values
    return [warning.id for warning in check_deployment(None) if warning.hint]


@pytest.mark.parametrize("classes", [[], [f"{PERMISSIONS}AllowAny"]])
def test_deploy_warns_of_anonymous_sends_behind_an_unknown_proxy(
    settings: Settings, classes: list[str]
) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": None}
    found = deploy_ids(settings, {"PERMISSION_CLASSES": classes})
    assert found == ["django_valify_otp.W001"]
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 0}
    assert deploy_ids(settings, {"PERMISSION_CLASSES": classes}) == []


def test_deploy_warns_of_unbounded_cost(settings: Settings) -> None:
    assert deploy_ids(settings, {"GLOBAL_SEND_LIMITS": []}) == ["django_valify_otp.W002"]


def test_deploy_warns_of_numbers_kept_for_ever(settings: Settings) -> None:
    assert deploy_ids(settings, {"RETENTION_DAYS": None}) == ["django_valify_otp.W003"]


def test_deploy_warns_of_the_staging_host(settings: Settings) -> None:
    staging = {"BASE_URL": "https://valifystage.com"}
    settings.DEBUG = True
    assert deploy_ids(settings, staging) == []
    settings.DEBUG = False
    assert deploy_ids(settings, staging) == ["django_valify_otp.W004"]


def test_deploy_leaves_wrong_settings_to_the_errors(settings: Settings) -> None:
    assert deploy_ids(settings, {"TOKEN_USES": 0, "RETENTION_DAYS": None}) == []


def test_checks_are_registered(settings: Settings) -> None:
    always: set[Any] = set(registry.get_checks())
    on_deploy: set[Any] = set(registry.get_checks(include_deployment_checks=True))
    assert check_settings in always
    assert on_deploy - always >= {check_deployment}
    assert not [check for check in run_checks() if check.is_serious()]
    assert str(django_settings.VALIFY_OTP["BASE_URL"]).startswith("http://127.0.0.1")
