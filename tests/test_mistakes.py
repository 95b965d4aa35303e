"""Typical mistakes: each gets a sentence that names the key, or the cure."""

import re
import ssl
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any, NamedTuple

import pytest
import trustme
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError, connection, transaction
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp import services
from django_valify_otp.checks import check_settings
from django_valify_otp.cures import cure_of
from django_valify_otp.exceptions import (
    SendLimitReached,
    ValifyMisconfigured,
    ValifyOtpError,
    ValifyUnreachable,
)
from django_valify_otp.missing_tables import TablesMissing, lacks_tables
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.services import find_credential_problem, send_otp, verify_otp
from tests.clock import Clock
from tests.configuration import Configure
from tests.factories import NUMBER, make_send
from tests.scripted_server import ScriptedServer, answer

pytestmark = pytest.mark.django_db

SENDS = "/otp/sends/"


class Mistake(NamedTuple):
    """A wrong setting, and what the check says of it."""

    key: str
    value: object
    says: str


SETTINGS = [
    Mistake("BASE_URL", "", "VALIFY_OTP['BASE_URL'] is empty."),
    Mistake("BASE_URL", None, "VALIFY_OTP['BASE_URL'] is None, as from an environment variable"),
    Mistake("BASE_URL", "http://valifystage.com", "begins with http://, so whoever is on the way"),
    Mistake("BASE_URL", "http://sandbox:8900", "set VALIFY_OTP['ALLOW_PLAIN_HTTP'] to True"),
    Mistake("BASE_URL", "valifystage.com", "does not begin with https://"),
    Mistake("BASE_URL", "https://", "has no host"),
    Mistake("BASE_URL", "https://valifystage.com/api", "has a path of Valify's API"),
    Mistake("BASE_URL", "https://valifystage.com/api/v1/", "has a path of Valify's API"),
    Mistake("BASE_URL", "https://valifystage.com/api/o/token/", "only https:// and Valify's host"),
    Mistake("BASE_URL", "https://valifystage.com/api/v1/otp/send/", "which this app adds itself"),
    Mistake("BASE_URL", "https://valifystage.com ", "has a space or another character"),
    Mistake("BASE_URL", "https://me:hush@valifystage.com", "has a user name or a password in it"),
    Mistake("BASE_URL", "https://valifystage.com?lang=ar", "has a query or a fragment"),
    Mistake("BASE_URL", "https://valifystage.com:https", "has a port or an IPv6 address that"),
    Mistake("USERNAME", "", "VALIFY_OTP['USERNAME'] is empty."),
    Mistake("PASSWORD", None, "VALIFY_OTP['PASSWORD'] is None, as from an environment variable"),
    Mistake("CLIENT_SECRET", b"hush", "VALIFY_OTP['CLIENT_SECRET'] is not text but bytes."),
    Mistake("BUNDLE_KEY", "hush\n", "VALIFY_OTP['BUNDLE_KEY'] has a line break"),
    Mistake("USER", "me", "Did you mean 'USERNAME'?"),
    Mistake("VALIFY_PASSWORD", "hush", "Did you mean 'PASSWORD'?"),
    Mistake("bundle_key", "hush", "Did you mean 'BUNDLE_KEY'?"),
    Mistake("TIMEOUT", 5, "Did you mean 'READ_TIMEOUT'?"),
    Mistake("NUMBER_SEND_LIMITS", "5/1h", 'a list of limits such as ["1/60s", "5/1h"]'),
    Mistake("NUMBER_SEND_LIMITS", ["5/hour"], "(units s, m, h, d; at most 366d), [] for none"),
    Mistake("DEFAULT_LANG", "ar-eg", '"en", "ar" or None'),
    Mistake("VERIFY_TRIES", "5", "VALIFY_OTP['VERIFY_TRIES'] cannot be '5'."),
    Mistake("PERMISSION_CLASSES", "IsAuthenticated", "a list of dotted paths"),
    Mistake("PERMISSION_CLASSES", ["IsAuthenticated"], "each of which can be imported"),
    Mistake("ACCESS_TOKEN_CALLABLE", "shop.token", "the dotted path of a callable"),
    Mistake("RETENTION_DAYS", 0, "a whole number of days, at least 1, or None"),
]


@pytest.mark.parametrize("mistake", SETTINGS, ids=lambda m: f"{m.key}={m.value!r}")
def test_settings(configure: Configure, mistake: Mistake) -> None:
    configure(**{mistake.key: mistake.value})
    [error] = check_settings(None)
    said = f"{error.msg} {error.hint}"
    assert mistake.says in said
    assert mistake.key in said
    assert "hush" not in said


def test_settings_beside_the_dict(settings: Settings) -> None:
    del settings.VALIFY_OTP
    settings.VALIFY_BASE_URL = "https://valifystage.com"
    [error] = check_settings(None)
    assert error.hint == (
        "Set VALIFY_OTP to a dict with at least BASE_URL, BUNDLE_KEY and the credentials."
    )


def test_an_unknown_key_that_is_like_no_other(configure: Configure) -> None:
    configure(ZZZ=1)
    [error] = check_settings(None)
    assert error.hint
    assert error.hint.startswith("Correct or remove 'ZZZ'; the keys are BASE_URL,")


class Wrong(NamedTuple):
    """Wrong credentials, and what is said when they are used."""

    changes: dict[str, Any]
    says: str


CREDENTIALS = [
    Wrong({"USERNAME": "me"}, "VALIFY_OTP['USERNAME'] or VALIFY_OTP['PASSWORD'] (invalid_grant)"),
    Wrong({"PASSWORD": "hush"}, "VALIFY_OTP['USERNAME'] or VALIFY_OTP['PASSWORD']"),
    Wrong({"CLIENT_ID": "me"}, "VALIFY_OTP['CLIENT_ID'] or VALIFY_OTP['CLIENT_SECRET']"),
    Wrong({"CLIENT_SECRET": "hush"}, "VALIFY_OTP['CLIENT_SECRET'] (invalid_client)"),
    Wrong({"BASE_URL": "http://127.0.0.1:9"}, "is `manage.py valify_sandbox` running there?"),
    Wrong({"BASE_URL": "https://valify.invalid"}, "The host valify.invalid is not known."),
]


@pytest.mark.parametrize("wrong", CREDENTIALS, ids=lambda w: str(w.changes))
def test_credentials(valify_sandbox: ValifySandbox, configure: Configure, wrong: Wrong) -> None:
    configure(**wrong.changes)
    with pytest.raises(CommandError) as of_check:
        call_command("valify_check")
    with pytest.raises(CommandError) as of_command:
        call_command("valify_send", NUMBER, stdout=StringIO())
    with pytest.raises(ValifyOtpError) as of_python:
        send_otp(NUMBER)
    for caught in (of_check, of_command, of_python):
        assert wrong.says in str(caught.value)
        assert "hush" not in str(caught.value)


def test_a_wrong_bundle_key_is_seen_by_a_send_alone(
    valify_sandbox: ValifySandbox, configure: Configure
) -> None:
    configure(BUNDLE_KEY="hush")
    output = StringIO()
    call_command("valify_check", stdout=output)
    assert "Whether BUNDLE_KEY is right, only a send can tell" in output.getvalue()
    with pytest.raises(ValifyMisconfigured) as of_send:
        send_otp(NUMBER)
    with pytest.raises(ValifyMisconfigured) as of_try:
        verify_otp(make_send(), "123456")
    for caught in (of_send, of_try):
        assert "Valify does not accept VALIFY_OTP['BUNDLE_KEY']." in str(caught.value)


def test_the_address_of_another_site(valify: ScriptedServer) -> None:
    valify.answer_token(answer(404, b"<h1>Not found</h1>"))
    assert "is not Valify, or not the host alone: correct VALIFY_OTP['BASE_URL']." in str(
        find_credential_problem()
    )


def test_https_where_there_is_none(valify_sandbox: ValifySandbox, configure: Configure) -> None:
    configure(BASE_URL=valify_sandbox.base_url.replace("http://", "https://"))
    assert "does not speak TLS" in str(find_credential_problem())


def test_a_certificate_that_nobody_trusts(configure: Configure) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = ScriptedServer(tls=context)
    configure(BASE_URL=server.base_url)
    assert "is not trusted" in str(find_credential_problem())
    server.close()


# What needs a firewall, a proxy or Valify itself to be seen.
CURES = [
    ("ConnectionRefusedError", "", "https://valify.example", "or the firewall."),
    ("ConnectionRefusedError", "", "http://valify:8900", "running there?"),
    ("token call: TimeoutError", "", "https://valify.example", "VALIFY_OTP['CONNECT_TIMEOUT']"),
    ("the proxy answered HTTP 407", "", "https://valify.example", "HTTPS_PROXY"),
    ("token call: the proxy: TimeoutError", "", "https://valify.example", "NO_PROXY"),
    ("token call: HTTP 400", "unsupported_grant_type", "https://valify.example", "ask Valify"),
    ("token call: HTTP 302", "", "https://valify.example", "VALIFY_OTP['BASE_URL']"),
    ("HTTP 400", "", "https://valify.example", "VALIFY_OTP['BUNDLE_KEY']"),
    ("HTTP 403", "", "https://valify.example", "VALIFY_OTP['CLIENT_ID']"),
    ("HTTP 404", "", "https://valify.example", "VALIFY_OTP['BASE_URL']"),
]


@pytest.mark.parametrize(("reason", "message", "base_url", "says"), CURES)
def test_cures(reason: str, message: str, base_url: str, says: str) -> None:
    assert says in str(cure_of(reason, message, base_url=base_url))


@pytest.mark.parametrize(
    "reason",
    [
        "token call: HTTP 503",
        "token call: HTTP 429",
        "HTTP 500",
        "ACCESS_TOKEN_CALLABLE returned no token",
        "InvalidURL",
    ],
)
def test_what_has_no_cure_is_left_as_it_is(reason: str) -> None:
    assert cure_of(reason, "", base_url="https://valify.example") is None


def test_a_callable_that_returns_nothing(configure: Configure) -> None:
    configure(ACCESS_TOKEN_CALLABLE="tests.test_mistakes.returns_nothing")
    with pytest.raises(ValifyMisconfigured):
        send_otp(NUMBER)
    assert "ACCESS_TOKEN_CALLABLE returned no token" in str(find_credential_problem())


def returns_nothing() -> None:
    """As a function that forgot its return."""


def said_by_send(number: str = NUMBER) -> tuple[str, str]:
    output = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("valify_send", number, stdout=output)
    return str(caught.value), output.getvalue()


def test_a_limit_that_is_reached(
    valify: ScriptedServer, configure: Configure, clock: Clock
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/60s"])
    send_otp(NUMBER)
    clock.pass_seconds(2)
    said, printed = said_by_send()
    assert said == (
        "send_limit_reached: NUMBER_SEND_LIMITS 1/60s is reached: the next send is allowed in 58"
        " seconds."
    )
    assert "blocked_by: NUMBER_SEND_LIMITS 1/60s\n" in printed
    assert "blocked_until: 2026-11-23 14:31:00\n" in printed
    with pytest.raises(SendLimitReached, match="NUMBER_SEND_LIMITS 1/60s is reached"):
        send_otp(NUMBER)


def test_a_block_that_was_forgotten(valify: ScriptedServer, clock: Clock) -> None:
    block = SendBlock.objects.create(scope="prefix", value="0101", reason="pumping")
    said, printed = said_by_send()
    assert "send_forbidden" in said
    assert "block: prefix 0101\nblock_reason: pumping\n" in printed
    assert "blocked_until: somebody lifts the block\n" in printed
    block.ends_at = clock.now + timedelta(hours=1)
    block.save()
    assert "blocked_until: 2026-11-23 15:30:00\n" in said_by_send()[1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", [["valify_send", NUMBER], ["valify_sweep"], ["valify_purge"]])
def test_tables_that_are_missing(
    valify: ScriptedServer, configure: Configure, command: list[str]
) -> None:
    configure(RETENTION_DAYS=30)
    table = OtpSend._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
    try:
        with pytest.raises(CommandError) as caught:
            call_command(*command, stdout=StringIO())
        with pytest.raises(TablesMissing, match=r"run `manage\.py migrate`"):
            send_otp(NUMBER)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table}_away RENAME TO {table}")
    assert str(caught.value) == (
        "A table or a column of django_valify_otp is missing: run `manage.py migrate`."
    )
    assert valify.received == []


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT nowhere FROM auth_user"])
def test_what_lacks_a_table(statement: str) -> None:
    with pytest.raises((OperationalError, ProgrammingError)) as caught, transaction.atomic():
        connection.cursor().execute(statement)
    assert lacks_tables(caught.value)


@pytest.mark.parametrize("command", [["valify_send", NUMBER], ["valify_sweep"]])
def test_other_troubles_of_the_database_are_told_as_they_are(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise ProgrammingError("syntax error")

    for name in ("admit_send", "settlement.sweep"):
        monkeypatch.setattr(f"{services.__name__}.{name}", fail)
    with pytest.raises(ProgrammingError):
        call_command(*command, stdout=StringIO())


class BadRequest(NamedTuple):
    """A request that is refused, and what the answer says."""

    body: dict[str, Any]
    says: dict[str, Any]


BODIES = [
    BadRequest(
        {"phone": NUMBER},
        {"phone": ["This field is not known."], "phone_number": ["This field is required."]},
    ),
    BadRequest(
        {"phone_number": NUMBER, "language": "ar"}, {"language": ["This field is not known."]}
    ),
    BadRequest(
        {"phone_number": "0223456789"},
        {"phone_number": ["Enter an Egyptian mobile number: 11 digits that begin with 01."]},
    ),
    BadRequest({"phone_number": NUMBER, "lang": "arabic"}, {"lang": ['Give "en" or "ar".']}),
    BadRequest(
        {"phone_number": NUMBER, "purpose": "sign up"},
        {"purpose": ["Give ASCII letters, digits, - and _: at most 32 of them."]},
    ),
]


@pytest.mark.parametrize("bad", BODIES, ids=lambda b: str(b.body))
def test_bodies(api: APIClient, bad: BadRequest) -> None:
    response = api.post(SENDS, bad.body, format="json")
    assert (response.status_code, response.json()) == (400, bad.says)


def test_a_form_in_place_of_json(api: APIClient) -> None:
    response = api.post(SENDS, {"phone_number": NUMBER}, format="multipart")
    assert response.status_code == 415
    assert "Unsupported media type" in response.json()["detail"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("stats=sent", {"stats": ["There is no such filter."]}),
        ("status=delivered", {"status": ['"delivered" is not a valid choice.']}),
        ("code=limit", {"code": ['"limit" is not a valid choice.']}),
    ],
)
def test_queries(api: APIClient, query: str, says: dict[str, Any]) -> None:
    response = api.get(f"{SENDS}?{query}")
    assert (response.status_code, response.json()) == (400, says)


def test_the_name_of_the_otp(api: APIClient, user: User) -> None:
    row = make_send(caller=f"user:{user.pk}")
    response = api.post(f"{SENDS}{row.uuid}/verify/", {"code": "123456"}, format="json")
    assert (response.status_code, response.json()) == (
        400,
        {
            "code": ["This field is not known."],
            "otp": ["Enter the six digits of the code."],
        },
    )


MISUSES: list[tuple[Callable[[], object], str]] = [
    (lambda: send_otp(NUMBER, lang="fr"), 'lang must be "en" or "ar".'),
    (lambda: send_otp(NUMBER, purpose="sign up"), "purpose must be an ASCII slug"),
    (lambda: send_otp(NUMBER, user=User(username="x")), "user must have a primary key: save it"),
    (lambda: send_otp(NUMBER, ip_address="10.0.0"), "ip_address must be an IPv4 or IPv6 address."),
    (lambda: verify_otp(make_send(), "12345"), "otp must be six digits."),
]


@pytest.mark.parametrize(("misuse", "says"), MISUSES)
def test_arguments(misuse: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        misuse()


@pytest.mark.django_db(transaction=True)
def test_a_send_in_a_transaction() -> None:
    with (
        transaction.atomic(),
        pytest.raises(RuntimeError, match="Call it before the block or after it"),
    ):
        send_otp(NUMBER)


def test_nothing_listens(configure: Configure) -> None:
    with pytest.raises(ValifyUnreachable, match=r"Nothing listens at 127\.0\.0\.1:9: is"):
        send_otp(NUMBER)
