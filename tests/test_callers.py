"""Whose an attempt is: the site's user, a principal of another model, the user of a token."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test.utils import isolate_apps
from django.utils.functional import SimpleLazyObject
from rest_framework_simplejwt.models import TokenUser
from rest_framework_simplejwt.tokens import AccessToken

from django_valify_otp.callers import Caller, identify
from django_valify_otp.exceptions import SendForbidden, SendLimitReached
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from django_valify_otp.services import send_otp, verify_otp
from tests.configuration import Configure
from tests.factories import client_of, make_send
from tests.scripted_server import ScriptedServer

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"
OTHER = "01112345678"


def principal(pk: int) -> Any:
    """Somebody of another model, as a custom authentication returns them."""
    group = Group.objects.create(pk=pk, name=f"group {pk}")
    group.is_authenticated = True  # type: ignore[attr-defined]
    return group


def user_of_token(pk: object) -> Any:
    token = AccessToken()
    token["user_id"] = pk
    return TokenUser(token)


def test_who_is_who() -> None:
    mona = User.objects.create_user("mona")
    assert identify(None) == Caller("system")
    assert identify(AnonymousUser()) == Caller("anonymous")
    assert identify(mona) == Caller(f"user:{mona.pk}", mona.pk)
    assert identify(SimpleLazyObject(lambda: mona)) == identify(mona)  # type: ignore[arg-type]
    assert identify(user_of_token(str(mona.pk))) == identify(mona)
    assert identify(principal(mona.pk)) == Caller(f"auth.group:{mona.pk}")


@isolate_apps("django.contrib.auth")
def test_a_proxy_of_the_user_model_has_the_same_users(user: User) -> None:
    class Superuser(User):
        class Meta:
            proxy = True
            app_label = "auth"

    assert identify(Superuser.objects.get()) == identify(user)


def test_a_principal_without_the_attribute_is_logged_in() -> None:
    group: Any = Group.objects.create(name="a device")
    assert identify(group) == Caller(f"auth.group:{group.pk}")


def test_a_token_may_name_no_key_of_ours() -> None:
    stranger = str(uuid.uuid4())
    assert identify(user_of_token(stranger)) == Caller(f"user:{stranger}")


def test_a_token_may_name_a_key_that_no_database_holds(valify: ScriptedServer) -> None:
    huge = "9" * 23
    assert identify(user_of_token(huge)) == Caller(f"user:{huge}")
    assert send_otp(NUMBER, user=user_of_token(huge)).user_id is None


def test_who_has_no_key_is_nobody_in_particular() -> None:
    with pytest.raises(ValueError, match="primary key"):
        identify(User(username="not saved"))


def test_the_same_key_in_another_model_is_somebody_else(valify: ScriptedServer, user: User) -> None:
    mine = send_otp(NUMBER, user=user)
    theirs = client_of(principal(user.pk))
    assert theirs.get("/otp/sends/").json()["results"] == []
    assert theirs.get(f"/otp/sends/{mine.uuid}/").status_code == 404
    url = f"/otp/sends/{mine.uuid}/verify/"
    assert theirs.post(url, {"otp": "482913"}, format="json").status_code == 404
    assert theirs.post("/otp/sends/", {"phone_number": OTHER}, format="json").status_code == 201
    [row] = theirs.get("/otp/sends/").json()["results"]
    assert row["phone_number"] == OTHER
    kept = OtpSend.objects.get(phone_number=OTHER)
    assert (kept.caller, kept.user_id) == (f"auth.group:{user.pk}", None)
    assert theirs.post(f"/otp/sends/{kept.uuid}/verify/", {"otp": "482913"}).status_code == 415
    answer = theirs.post(f"/otp/sends/{kept.uuid}/verify/", {"otp": "482913"}, format="json")
    assert answer.status_code == 200
    tried = OtpVerification.objects.get()
    assert (tried.caller, tried.user_id) == (f"auth.group:{user.pk}", None)


def test_a_key_belongs_to_the_principal(valify: ScriptedServer, user: User) -> None:
    group = principal(user.pk)
    rows = {
        send_otp(NUMBER, user=who, idempotency_key="c0ffee").pk for who in (user, group, user, None)
    }
    assert len(rows) == 3


def test_limits_per_user_hold_for_any_who_is_logged_in(
    valify: ScriptedServer, configure: Configure, user: User
) -> None:
    configure(USER_SEND_LIMITS=["1/1h"])
    group = principal(user.pk)
    for who in (user, group):
        send_otp(NUMBER, user=who)
        with pytest.raises(SendLimitReached):
            send_otp(NUMBER, user=who)
    send_otp(NUMBER, user=AnonymousUser())
    send_otp(NUMBER, user=AnonymousUser())


def test_a_block_of_a_user_is_of_that_user(valify: ScriptedServer, user: User) -> None:
    SendBlock.objects.create(scope="user", user=user)
    assert send_otp(NUMBER, user=principal(user.pk)).status == "sent"
    with pytest.raises(SendForbidden):
        send_otp(NUMBER, user=user_of_token(user.pk))


def test_a_stateless_token(valify: ScriptedServer, user: User) -> None:
    client = client_of(user_of_token(str(user.pk)))
    sent = client.post("/otp/sends/", {"phone_number": NUMBER}, format="json")
    assert (sent.status_code, sent.json()["phone_number"]) == (201, NUMBER)
    row = OtpSend.objects.get()
    assert (row.caller, row.user) == (f"user:{user.pk}", user)
    assert client.get("/otp/sends/").json()["results"][0]["id"] == str(row.uuid)
    url = f"/otp/sends/{row.uuid}/verify/"
    assert client.post(url, {"otp": "482913"}, format="json").status_code == 200
    assert client_of(user).get(f"/otp/sends/{row.uuid}/").json()["phone_number"] == NUMBER


def test_a_login_whose_user_is_gone(valify: ScriptedServer, user: User) -> None:
    gone = User.objects.create_user("gone")
    client = client_of(gone)
    User.objects.filter(pk=gone.pk).delete()
    assert client.post("/otp/sends/", {"phone_number": NUMBER}, format="json").status_code == 201
    row = OtpSend.objects.get()
    answer = client.post(f"/otp/sends/{row.uuid}/verify/", {"otp": "482913"}, format="json")
    assert answer.status_code == 200
    assert OtpSend.objects.select_related("user").get().user is None


def test_the_rows_of_a_deleted_user_stay(valify: ScriptedServer, user: User) -> None:
    verify_otp(make_send(user=user, caller=f"user:{user.pk}"), "482913", user=user)
    caller = f"user:{user.pk}"
    user.delete()
    for row in (OtpSend.objects.get(), OtpVerification.objects.get()):
        assert (row.user_id, row.caller) == (None, caller)
