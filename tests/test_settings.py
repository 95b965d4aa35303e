from collections.abc import Mapping
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from django_valify_otp.checks import (
    ERROR_IDS,
    WARNING_IDS,
    check_deployment,
    check_isolation_of_options,
    check_isolation_of_server,
    check_settings,
)
from django_valify_otp.conf import KEYS, get_settings
from django_valify_otp.setting_values import Limit
from tests.configuration import Configure

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


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Sets keys of a site that begins with no more than what is required."""
    settings.VALIFY_OTP = REQUIRED
    return Configure(settings)


def test_defaults(configure: Configure) -> None:
    configure()
    found = get_settings()
    assert found.base_url == "https://valify.example"
    assert found.token_uses == 3
    assert found.default_lang is None
    assert (found.connect_timeout, found.read_timeout, found.deadline) == (5, 20, 25)
    assert [limit.text for limit in found.number_send_limits] == ["1/60s", "5/1h", "10/1d"]
    assert [limit.text for limit in found.user_send_limits] == ["10/1h", "20/1d"]
    assert [limit.text for limit in found.ip_send_limits] == ["300/1h"]
    assert found.global_send_limits == ()
    assert (found.verify_tries, found.code_lifetime, found.queue_lifetime) == (5, 600, 120)
    assert found.send_in_background is False
    assert found.permission_classes == (f"{PERMISSIONS}IsAuthenticated",)
    assert found.retention_days is None
    assert found.allow_plain_http is False
    assert check_settings(None) == []


def test_settings_are_read_at_each_access(configure: Configure) -> None:
    configure(TOKEN_USES=1)
    assert get_settings().token_uses == 1
    configure(TOKEN_USES=2)
    assert get_settings().token_uses == 2


def test_default_limits_are_what_their_texts_say(configure: Configure) -> None:
    configure()
    default = get_settings()
    configure(
        NUMBER_SEND_LIMITS=["1/60s", "5/1h", "10/1d"],
        USER_SEND_LIMITS=["10/1h", "20/1d"],
        IP_SEND_LIMITS=["300/1h"],
    )
    assert get_settings() == default


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("1/60s", 1, 60), ("5/1h", 5, 3600), ("5/h", 5, 3600), ("10/2d", 10, 172_800), ("9/m", 9, 60)],
)
def test_limits(configure: Configure, text: str, count: int, seconds: int) -> None:
    configure(GLOBAL_SEND_LIMITS=(text,))
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
    ("DEFAULT_LANG", "en"),
    ("DEFAULT_LANG", None),
    ("CONNECT_TIMEOUT", 0.5),
    ("READ_TIMEOUT", 3600),
    ("DEADLINE", 25),
    ("USER_SEND_LIMITS", []),
    ("SEND_IN_BACKGROUND", False),
    ("SEND_IN_BACKGROUND", True),
    ("PERMISSION_CLASSES", []),
    ("PERMISSION_CLASSES", (f"{PERMISSIONS}IsAdminUser",)),
    ("RETENTION_DAYS", None),
    ("RETENTION_DAYS", 90),
    ("ALLOW_PLAIN_HTTP", True),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_good_values(configure: Configure, key: str, value: object) -> None:
    configure(**{key: value})
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
    "DEFAULT_LANG": ["fr", "", False, "EN", ["en"]],
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
    "ALLOW_PLAIN_HTTP": ["True", 1, None],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in BAD.items() for value in values]
)
def test_bad_values(configure: Configure, key: str, value: object) -> None:
    configure(**{key: value})
    [error] = check_settings(None)
    assert error.id == ERROR_IDS[key]
    assert f"'{key}'" in error.msg
    assert error.hint
    assert f"VALIFY_OTP['{key}']" in error.hint
    with pytest.raises(ImproperlyConfigured, match=key):
        get_settings()


@pytest.mark.parametrize(
    ("base_url", "is_allowed"),
    [("http://sandbox:8900", True), ("http://10.0.0.7:8900", True), ("ftp://sandbox:8900", False)],
)
def test_plain_http_to_another_container(
    configure: Configure, base_url: str, *, is_allowed: bool
) -> None:
    configure(BASE_URL=base_url, ALLOW_PLAIN_HTTP=True)
    assert (check_settings(None) == []) == is_allowed
    configure(BASE_URL=base_url, ALLOW_PLAIN_HTTP=False)
    [error] = check_settings(None)
    assert error.id == "django_valify_otp.E010"
    if is_allowed:
        assert error.hint
        assert "ALLOW_PLAIN_HTTP" in error.hint


def test_what_is_not_known_to_be_allowed_is_said_once(configure: Configure) -> None:
    configure(BASE_URL="http://sandbox:8900", ALLOW_PLAIN_HTTP="yes")
    [error] = check_settings(None)
    assert error.id == "django_valify_otp.E032"


def test_plain_http_without_an_address(settings: Settings) -> None:
    settings.VALIFY_OTP = {name: value for name, value in REQUIRED.items() if name != "BASE_URL"}
    assert [error.id for error in check_settings(None)] == ["django_valify_otp.E003"]


def test_every_key_has_bad_values() -> None:
    assert set(BAD) == set(KEYS)


# Sites silence checks by these: a row may be added, and none may change.
IDS = """
E001 VALIFY_OTP
E002 unknown
E003 missing
E004 isolation_of_options
E005 isolation_of_server
E006 plain_http
E007 no_queue
E010 BASE_URL
E011 BUNDLE_KEY
E012 USERNAME
E013 PASSWORD
E014 CLIENT_ID
E015 CLIENT_SECRET
E016 ACCESS_TOKEN_CALLABLE
E017 TOKEN_USES
E018 DEFAULT_LANG
E019 CONNECT_TIMEOUT
E020 READ_TIMEOUT
E021 DEADLINE
E022 NUMBER_SEND_LIMITS
E023 USER_SEND_LIMITS
E024 IP_SEND_LIMITS
E025 GLOBAL_SEND_LIMITS
E026 VERIFY_TRIES
E027 CODE_LIFETIME
E028 SEND_IN_BACKGROUND
E029 QUEUE_LIFETIME
E030 PERMISSION_CLASSES
E031 RETENTION_DAYS
E032 ALLOW_PLAIN_HTTP
W001 unknown_proxies
W002 unbounded_cost
W003 numbers_kept
W004 staging
W005 loopback
W006 local_times
W007 shown_credentials
W008 no_worker
W009 nobody_sweeps
W010 several_writers
"""


def test_ids_never_change() -> None:
    pairs = [line.split() for line in IDS.strip().splitlines()]
    pinned = {name: f"django_valify_otp.{number}" for number, name in pairs}
    assert pinned == ERROR_IDS | WARNING_IDS


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


def test_all_problems_are_told_at_once(configure: Configure) -> None:
    configure(TOKEN_USES=0, DEADLINE=0, COLOUR="red")
    assert len(check_settings(None)) == 3


@pytest.mark.parametrize(
    "key", ["BASE_URL", "BUNDLE_KEY", "PASSWORD", "CLIENT_SECRET", "ACCESS_TOKEN_CALLABLE"]
)
def test_secrets_are_in_no_message(configure: Configure, key: str) -> None:
    configure(**{key: "https://user:hush@valify.example\n"})
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


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:8900", "http://localhost:8900", "http://[::1]:8900", "https://127.1.2.3"],
)
def test_deploy_warns_of_a_sandbox(settings: Settings, base_url: str) -> None:
    settings.DEBUG = True
    assert deploy_ids(settings, {"BASE_URL": base_url}) == []
    settings.DEBUG = False
    assert deploy_ids(settings, {"BASE_URL": base_url}) == ["django_valify_otp.W005"]


def test_plain_http_is_an_error_in_production(settings: Settings) -> None:
    settings.DEBUG = True
    plain = {"ALLOW_PLAIN_HTTP": True, "BASE_URL": "http://sandbox:8900"}
    assert deploy_ids(settings, plain) == ["django_valify_otp.E006"]
    assert not [check for check in check_deployment(None) if not check.is_serious()]


def test_deploy_warns_of_local_times(settings: Settings) -> None:
    settings.USE_TZ = False
    assert deploy_ids(settings, {}) == ["django_valify_otp.W006"]


def test_deploy_leaves_wrong_settings_to_the_errors(settings: Settings) -> None:
    assert deploy_ids(settings, {"TOKEN_USES": 0, "RETENTION_DAYS": None}) == []


# Django's own checks ask every database what it can do.
@pytest.mark.django_db(databases=["default", "replica"])
def test_checks_are_registered(settings: Settings) -> None:
    always: set[Any] = set(registry.get_checks())
    on_deploy: set[Any] = set(registry.get_checks(include_deployment_checks=True))
    assert {check_settings, check_isolation_of_options, check_isolation_of_server} <= always
    assert on_deploy - always >= {check_deployment}
    assert not [check for check in run_checks() if check.is_serious()]
    assert str(django_settings.VALIFY_OTP["BASE_URL"]).startswith("http://127.0.0.1")


def test_settings_are_parsed_once_and_seen_to_change(settings: Settings) -> None:
    settings.VALIFY_OTP = {**settings.VALIFY_OTP, "NUMBER_SEND_LIMITS": []}
    assert get_settings() is get_settings()
    settings.VALIFY_OTP["NUMBER_SEND_LIMITS"].append("7/1h")
    assert get_settings().number_send_limits == (Limit("7/1h", 7, 3600),)
    settings.VALIFY_OTP["TOKEN_USES"] = 1
    assert get_settings().token_uses == 1
    settings.VALIFY_OTP["TOKEN_USES"] = True
    with pytest.raises(ImproperlyConfigured, match="TOKEN_USES"):
        get_settings()
    settings.VALIFY_OTP["TOKEN_USES"] = [{}]
    with pytest.raises(ImproperlyConfigured, match="TOKEN_USES"):
        get_settings()
