"""One key, one SMS."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import timezone
from pytest_django import Settings
from rest_framework.test import APIClient

from django_valify_otp.exceptions import IdempotencyConflict, OutcomeUnknown
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.services import send_otp, sweep
from tests.configuration import Configure
from tests.scripted_server import SEND_PATH, Answer, ScriptedServer, answer, hang_up, sent, token

pytestmark = pytest.mark.django_db

NUMBER = "01012345678"
OTHER = "01112345678"
KEY = "c0ffee"


def post(api: APIClient, key: str | None = KEY, *, reader: str = "en", **body: Any) -> Any:
    headers = {"Accept-Language": reader} | ({} if key is None else {"Idempotency-Key": key})
    data = {"phone_number": NUMBER, **body}
    return api.post("/otp/sends/", data, format="json", headers=headers)


def test_the_same_request_gets_the_same_answer(valify: ScriptedServer, api: APIClient) -> None:
    first, second = post(api), post(api, phone_number="+20 10 1234 5678")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(valify.at(SEND_PATH)) == OtpSend.objects.count() == 1


def test_no_key_is_no_promise(valify: ScriptedServer, api: APIClient) -> None:
    assert post(api, None).json()["id"] != post(api, None).json()["id"]


def test_another_key_is_another_request(valify: ScriptedServer, api: APIClient) -> None:
    assert post(api, "one").json()["id"] != post(api, "One").json()["id"]


@pytest.mark.parametrize("change", [{"phone_number": OTHER}, {"lang": "ar"}, {"purpose": "login"}])
def test_another_request_under_the_same_key(
    valify: ScriptedServer, api: APIClient, change: dict[str, str]
) -> None:
    first = post(api)
    response = post(api, **change)
    assert response.status_code == 409
    assert response.json() == {
        "detail": "This Idempotency-Key was used for another request,"
        " or its first request is still in progress.",
        "code": "idempotency_conflict",
        "id": first.json()["id"],
        "error_code": None,
    }
    assert "Idempotency-Replayed" not in response.headers
    assert OtpSend.objects.count() == 1


def test_a_repeated_request_may_come_in_another_language(
    valify: ScriptedServer, api: APIClient
) -> None:
    first = post(api, reader="ar")
    again, conflict = post(api), post(api, lang="en")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.json()["lang"] == "ar"
    assert conflict.status_code == 409
    assert post(api, lang="ar").json()["id"] == first.json()["id"]


def test_an_unknown_outcome_holds_the_key(valify: ScriptedServer, api: APIClient) -> None:
    valify.answer_send(hang_up, sent())
    first, second = post(api), post(api)
    assert (first.status_code, second.status_code) == (504, 504)
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(valify.at(SEND_PATH)) == 1


@pytest.mark.parametrize(
    ("first_answer", "status"),
    [
        (answer(422, {"message": "no"}), 422),
        (answer(400), 502),
        (answer(429, b"", {"Retry-After": "1"}), 503),
        (answer(200, {"result": {"success": False}}), 422),
    ],
)
def test_what_was_not_sent_frees_the_key(
    valify: ScriptedServer, api: APIClient, first_answer: Answer, status: int
) -> None:
    valify.answer_send(first_answer, sent())
    first, second, third = post(api), post(api), post(api)
    assert [r.status_code for r in (first, second, third)] == [status, 201, 201]
    assert first.json()["id"] != second.json()["id"] == third.json()["id"]
    assert third.headers["Idempotency-Replayed"] == "true"


def test_an_unreachable_valify_frees_the_key(valify: ScriptedServer, api: APIClient) -> None:
    valify.answer_token(hang_up, hang_up, token())
    first, second = post(api), post(api)
    assert (first.status_code, second.status_code) == (503, 201)
    assert first.json()["code"] == "valify_unreachable"


def test_a_refusal_here_does_not_take_the_key(
    valify: ScriptedServer, api: APIClient, settings: Settings
) -> None:
    block = SendBlock.objects.create(scope="everything")
    assert post(api).status_code == 503
    block.delete()
    assert post(api).status_code == 201


def test_a_replay_comes_before_limits_and_blocks(
    valify: ScriptedServer, api: APIClient, configure: Configure
) -> None:
    configure(NUMBER_SEND_LIMITS=["1/1h"])
    first = post(api)
    assert post(api).json() == first.json()
    SendBlock.objects.create(scope="everything")
    assert post(api).json() == first.json()
    assert OtpSend.objects.count() == 1


def test_keys_belong_to_their_owner(valify: ScriptedServer, user: User) -> None:
    other = User.objects.create_user("other")
    callers: list[Any] = [user, other, None, AnonymousUser()]
    rows = [send_otp(NUMBER, user=caller, idempotency_key=KEY) for caller in callers]
    rows += [send_otp(OTHER, user=caller, idempotency_key=KEY) for caller in (None,)]
    assert len({row.pk for row in rows}) == 5
    again = [send_otp(NUMBER, user=caller, idempotency_key=KEY) for caller in callers]
    assert [row.pk for row in again] == [row.pk for row in rows[:4]]
    with pytest.raises(IdempotencyConflict) as caught:
        send_otp(OTHER, user=user, idempotency_key=KEY)
    assert caught.value.otp_send == rows[0]


def test_the_key_is_not_kept(valify: ScriptedServer) -> None:
    row = send_otp(NUMBER, idempotency_key="a-secret-key")
    row.refresh_from_db()
    assert "a-secret-key" not in str(vars(row))


def test_python_gets_the_row_again(valify: ScriptedServer) -> None:
    first = send_otp(NUMBER, idempotency_key=KEY)
    second = send_otp(NUMBER, idempotency_key=KEY)
    assert (first.pk, first.replayed) == (second.pk, False)
    assert second.replayed


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 129, "ключ", "tab\t", "nul\x00"])
def test_bad_keys(valify: ScriptedServer, api: APIClient, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key"):
        send_otp(NUMBER, idempotency_key=key)
    response = post(api, key)
    assert response.status_code == 400
    assert list(response.json()) == ["Idempotency-Key"]
    assert not OtpSend.objects.exists()


@pytest.mark.parametrize("key", ["x", "x" * 128, "!~", "a-b_c.d/e+f=="])
def test_good_keys(valify: ScriptedServer, api: APIClient, key: str) -> None:
    assert post(api, key).status_code == 201


def pending(seconds: float) -> OtpSend:
    """A row whose call began so many seconds ago, and which holds the key."""
    row = send_otp(NUMBER, idempotency_key=KEY)
    began = timezone.now() - timedelta(seconds=seconds)
    OtpSend.objects.update(
        status="pending", settled_at=None, transaction_id="", called_at=began, created_at=began
    )
    return row


@pytest.mark.usefixtures("clock")
def test_the_first_attempt_is_still_under_way(valify: ScriptedServer) -> None:
    row = pending(34)
    with pytest.raises(IdempotencyConflict) as caught:
        send_otp(NUMBER, idempotency_key=KEY)
    assert caught.value.otp_send == row
    row.refresh_from_db()
    assert row.status == "pending"


def test_whoever_meets_a_dead_attempt_settles_it(valify: ScriptedServer) -> None:
    row = pending(36)
    with pytest.raises(OutcomeUnknown) as caught:
        send_otp(NUMBER, idempotency_key=KEY)
    assert caught.value.otp_send == row
    row.refresh_from_db()
    assert (row.status, row.code) == ("unknown", "outcome_unknown")
    assert len(valify.at(SEND_PATH)) == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(("seconds", "status"), [(34, "pending"), (36, "unknown")])
def test_whoever_looks_at_a_dead_attempt_settles_it(
    valify: ScriptedServer, user: User, api: APIClient, seconds: float, status: str
) -> None:
    row = pending(seconds)
    OtpSend.objects.update(caller=f"user:{user.pk}")
    assert api.get(f"/otp/sends/{row.uuid}/").json()["status"] == status
    row.refresh_from_db()
    assert row.status == status
    assert sweep() == 0
