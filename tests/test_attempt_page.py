"""The page of one attempt, and that of one try: what support reads on the phone."""

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from pytest_django import Settings

from django_valify_otp import database_clock
from django_valify_otp.audit import attempt_page, meaning, timeline
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from django_valify_otp.outcomes import EXPLANATIONS
from tests.clock import NOW, Clock
from tests.configuration import Configure
from tests.factories import MASKED, NUMBER, client_of, make_send, make_try, staff
from tests.pages import page_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

BLOCKED: dict[str, Any] = {
    "status": "blocked",
    "transaction_id": "",
    "called_at": None,
    "settled_at": NOW,
    "created_at": NOW,
}
LIMITED: dict[str, Any] = {**BLOCKED, "code": "send_limit_reached"}
NEXT = "The next one can be sent at"
AUDITOR = ("view_otpsend", "view_otpverification")


@pytest.fixture
def auditor() -> Client:
    return client_of(staff(*AUDITOR))


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def content_of(client: Client, row: OtpSend, language: str = "en") -> str:
    response = client.get(page_of(row), headers={"Accept-Language": language})
    assert response.status_code == 200
    return html.unescape(response.content.decode())


def meaning_of(client: Client, row: OtpSend) -> list[str]:
    """The title and the sentences on top of the page."""
    with translation.override("en"):
        found = client.get(page_of(row)).context["meaning"]
    return [found.mark, found.title, *found.sentences]


def steps_of(client: Client, row: OtpSend) -> list[tuple[str, str, str, dict[str, str]]]:
    """The steps of the timeline: time, time since the step before, name, facts."""
    with translation.override("en"):
        return [
            (
                step.time,
                step.since,
                str(step.name),
                {fact.label: re.sub("<[^>]*>", "", str(fact.value)) for fact in step.facts},
            )
            for step in client.get(page_of(row)).context["steps"]
        ]


def sent(**fields: Any) -> OtpSend:
    """An attempt that Valify answered 0.423 seconds after its call."""
    times = {"created_at": NOW, "called_at": NOW, "settled_at": NOW + seconds(0.423)}
    return make_send(**{**times, **fields})


def test_a_code_that_can_be_typed(desk: Client) -> None:
    assert meaning_of(desk, sent()) == [
        "open",
        "Sent: the person can type the code",
        "Valify says that it has sent the SMS. If none arrives, the person may ask for another.",
        "The code is good until 14:40:00.",
        "5 tries are left.",
    ]


def test_from_when_another_code_can_be_sent(desk: Client, clock: Clock) -> None:
    row = sent(resend_at=NOW + seconds(60))
    assert meaning_of(desk, row)[-1] == "Another code can be sent from 14:31:00 on."
    clock.pass_seconds(60)
    assert meaning_of(desk, row)[-1] == "5 tries are left."


def test_tries_that_reached_nobody_are_not_spent(desk: Client) -> None:
    row = sent()
    make_try(row, status="failed", code="valify_unreachable", calls=0)
    make_try(row, calls=1)
    assert meaning_of(desk, row)[-1] == "4 tries are left."


def test_all_tries_used_up(desk: Client, configure: Configure) -> None:
    configure(VERIFY_TRIES=1)
    row = sent()
    make_try(row)
    assert meaning_of(desk, row) == [
        "bad",
        "Not verified: all tries are used up",
        "1 code was typed.",
        "None of them was right.",
        "The person has to ask for another code.",
    ]


def test_a_code_that_expired(desk: Client, clock: Clock) -> None:
    row = sent()
    clock.pass_seconds(601)
    assert meaning_of(desk, row) == [
        "bad",
        "Not verified: the code expired at 14:40:00",
        "0 codes were typed.",
        "The person has to ask for another code.",
    ]
    assert steps_of(desk, row)[-1] == ("14:40:00.423", "10 min 0 s", "The code expired", {})


def test_a_code_that_expired_on_another_day(desk: Client, clock: Clock) -> None:
    row = sent()
    clock.pass_seconds(86_400)
    assert "the code expired at Nov. 23, 2026, 14:40:00" in meaning_of(desk, row)[1]


def test_a_verified_number(desk: Client) -> None:
    row = sent(verified_at=NOW + seconds(40))
    assert meaning_of(desk, row) == [
        "good",
        "Verified at 14:30:40",
        "The person typed the right code.",
    ]
    make_try(row, status="verified", code="", redeemed_at=NOW + seconds(41))
    assert meaning_of(desk, row)[-1] == "The site made use of it at 14:30:41."


@pytest.mark.parametrize(
    ("blocked_by", "rule", "wait"),
    [
        (
            "NUMBER_SEND_LIMITS 1/60s",
            "One number gets at most 1 code in a minute.",
            f"{NEXT} 14:31:00 at the latest, if none is sent in the meantime.",
        ),
        (
            "USER_SEND_LIMITS 20/1d",
            "One user gets at most 20 codes in a day.",
            f"{NEXT} Nov. 24, 2026, 14:30:00 at the latest, if none is sent in the meantime.",
        ),
    ],
)
def test_which_limit_refused_and_until_when(
    desk: Client, blocked_by: str, rule: str, wait: str
) -> None:
    row = make_send(**LIMITED, blocked_by=blocked_by)
    assert meaning_of(desk, row) == [
        "bad",
        "Not sent: refused by a limit",
        "A limit of this site refused it, so no SMS was sent. The person can try again later.",
        rule,
        wait,
    ]
    content = content_of(desk, row)
    assert blocked_by not in content


def test_a_wait_that_is_over(desk: Client, clock: Clock) -> None:
    row = make_send(**LIMITED, blocked_by="NUMBER_SEND_LIMITS 5/1h")
    clock.pass_seconds(3600)
    assert meaning_of(desk, row)[-1] == "That wait was over at 15:30:00 at the latest."


def test_a_limit_in_arabic(desk: Client) -> None:
    row = make_send(**LIMITED, blocked_by="NUMBER_SEND_LIMITS 5/1h")
    content = content_of(desk, row, "ar")
    assert "أقصى ما يُرسل إلى رقم واحد: 5 رموز خلال ساعة." in content
    assert "حد الرقم الواحد: 5 رموز خلال ساعة" in content


@pytest.mark.parametrize("code", OtpSend.Code.values)
def test_every_reason_has_a_title_and_a_step(desk: Client, code: str) -> None:
    row = sent(status="rejected", code=code, transaction_id="")
    if code in {"send_limit_reached", "send_forbidden", "sending_paused"}:
        row = make_send(**{**BLOCKED, "code": code})
    mark, title, explanation = meaning_of(desk, row)[:3]
    assert mark == "bad"
    assert title.startswith(("Not sent", "Perhaps sent"))
    assert explanation == str(EXPLANATIONS[code])
    assert len(steps_of(desk, row)) in {2, 4}


NOW_BLOCKED = "A send block refuses the next code, until somebody lifts it."
NOT_ANY_MORE = "No block applies any more: the person can ask for a code again."


def test_a_block_that_was_made_since(desk: Client) -> None:
    row = sent()
    assert NOW_BLOCKED not in meaning_of(desk, row)
    block = SendBlock.objects.create(scope="prefix", value=NUMBER[:7])
    assert meaning_of(desk, row)[-1] == NOW_BLOCKED
    block.delete()
    SendBlock.objects.create(scope="number", value="01112345678")
    assert NOW_BLOCKED not in meaning_of(desk, row)


def test_a_block_that_was_lifted_since(desk: Client) -> None:
    block = SendBlock.objects.create(scope="number", value=NUMBER)
    row = make_send(**{**BLOCKED, "code": "send_forbidden"})
    assert NOT_ANY_MORE not in meaning_of(desk, row)
    block.delete()
    assert meaning_of(desk, row)[-1] == NOT_ANY_MORE


def test_an_attempt_that_waited_in_the_queue(desk: Client) -> None:
    waited = {"handed_over_at": NOW + seconds(10), "called_at": NOW + seconds(11)}
    row = sent(**waited, settled_at=NOW + seconds(12))
    names = [name for _time, _since, name, _facts in steps_of(desk, row)]
    assert names[1:4] == ["Admitted", "Handed to the queue (last time)", "Valify was called"]


def test_every_way_to_end_is_named() -> None:
    assert {*meaning.TITLES} == {*EXPLANATIONS}
    ways = {*OtpSend.Code.values, "queued", "pending", "sent"}
    refusals = {"send_limit_reached", "send_forbidden", "sending_paused"}
    assert {*timeline.ANSWERS} == ways - refusals - {"queued", "pending"}
    assert {*timeline.TRIES} == {*OtpVerification.Code.values, "pending", "verified"}


@pytest.mark.parametrize(("status", "called"), [("queued", False), ("pending", True)])
def test_an_attempt_that_is_under_way(desk: Client, status: str, called: bool) -> None:
    times: dict[str, Any] = {"called_at": NOW if called else None, "settled_at": None}
    row = sent(status=status, transaction_id="", **times)
    assert meaning_of(desk, row)[0] == "open"
    names = [name for _, _, name, _ in steps_of(desk, row)]
    assert names == ["A code was asked for", "Admitted", "Valify was called"][: 2 + called]


def test_the_whole_story(auditor: Client, user: User) -> None:
    row = sent(
        user=user,
        caller=f"user:{user.pk}",
        ip_address="41.32.10.7",
        purpose="signup",
        lang="ar",
        http_status=200,
        verified_at=NOW + seconds(61),
    )
    times = {"created_at": NOW + seconds(40), "called_at": NOW + seconds(40)}
    wrong = {"http_status": 422, "error_code": "31", "valify_message": "Wrong code"}
    make_try(row, **times, settled_at=NOW + seconds(40.31), ip_address="41.32.10.8", **wrong)
    right = {"status": "verified", "code": "", "redeemed_at": NOW + seconds(62.5)}
    times = {"created_at": NOW + seconds(60), "called_at": NOW + seconds(60)}
    make_try(row, **times, settled_at=NOW + seconds(61), **right)
    asked = {"by": "mona", "from": "41.32.10.7", "purpose": "signup", "language": "Arabic"}
    told = {"HTTP status": "422", "Valify's error code": "31", "Valify's message": "Wrong code"}
    wrongly = {"by": "the site itself", "from": "41.32.10.8", "took": "0.310 s", **told}
    assert steps_of(auditor, row) == [
        ("14:30:00.000", "", "A code was asked for", asked),
        ("14:30:00.000", "", "Admitted", {}),
        ("14:30:00.000", "", "Valify was called", {}),
        (
            "14:30:00.423",
            "0.423 s",
            "Valify says that it sent the SMS",
            {"took": "0.423 s", "HTTP status": "200"},
        ),
        ("14:30:40.000", "39.577 s", "A wrong code was typed", wrongly),
        (
            "14:31:00.000",
            "20.000 s",
            "The right code was typed",
            {"by": "the site itself", "took": "1.000 s"},
        ),
        ("14:31:01.000", "1.000 s", "Verified", {}),
        ("14:31:02.500", "1.500 s", "The site made use of the verification", {}),
    ]


def test_a_story_over_several_days_names_each(auditor: Client) -> None:
    row = sent()
    make_try(row, created_at=NOW + timedelta(days=1))
    content = content_of(auditor, row)
    days = re.findall(r'<span class="valify-day">([^<]*)<', content)
    assert days == ["Nov. 23, 2026", "Nov. 24, 2026"]
    assert '<time datetime="2026-11-23T12:30:00.423+00:00" dir="ltr">14:30:00.423</time>' in content


def test_a_refusal_in_the_story(desk: Client) -> None:
    row = make_send(**LIMITED, blocked_by="IP_SEND_LIMITS 300/1h")
    assert steps_of(desk, row)[1:] == [
        (
            "14:30:00.000",
            "",
            "Refused",
            {"because of": "limit per IP address: 300 codes in an hour"},
        )
    ]


def test_tries_are_for_those_who_may_view_them(desk: Client, auditor: Client) -> None:
    row = sent()
    make_try(row)
    assert "A wrong code was typed" in content_of(auditor, row)
    content = content_of(desk, row)
    assert "A wrong code was typed" not in content
    assert "4 tries are left." in content


def test_a_try_leads_to_its_page(auditor: Client) -> None:
    row = sent()
    tried = make_try(row)
    url = reverse("admin:django_valify_otp_otpverification_change", args=[tried.pk])
    assert f'<a href="{url}">A wrong code was typed</a>' in content_of(auditor, row)


def test_only_the_last_of_many_tries_are_shown(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_page, "TRIES_SHOWN", 2)
    row = sent()
    make_try(row, created_at=NOW, error_code="first")
    assert "There were many tries" not in content_of(auditor, row)
    for n in (1, 2):
        make_try(row, created_at=NOW + seconds(n))
    content = content_of(auditor, row)
    assert "There were many tries: only the last ones are shown." in content
    assert content.count("A wrong code was typed") == 2
    assert ">first<" not in content


@pytest.mark.parametrize("language", ["en", "ar"])
def test_nothing_on_the_page_is_empty(auditor: Client, language: str) -> None:
    refused = make_send(**LIMITED, blocked_by="NUMBER_SEND_LIMITS 5/1h")
    for row in (refused, sent()):
        content = content_of(auditor, row, language)
        main = content[content.index('<div id="content-main"') : content.index("<footer")]
        assert "None" not in main
        assert not re.findall(r"<dd[^>]*>\s*-?\s*</dd>", main)
        assert "<form" not in main


def test_the_number_is_masked_unless_one_may_look(desk: Client, inspector: Client) -> None:
    row = sent(caller=f"user:{NUMBER}")
    content = content_of(desk, row)
    assert f'<bdi dir="ltr">{MASKED}</bdi>' in content
    assert f"user {MASKED}" in content
    assert NUMBER not in content
    assert f"user {NUMBER}" in content_of(inspector, row)


@pytest.mark.parametrize("language", ["en", "ar"])
def test_ids_and_addresses_read_left_to_right(desk: Client, language: str) -> None:
    row = sent(
        transaction_id="1f-2", ip_address="41.32.10.7", error_code="21", valify_message="خطأ"
    )
    content = content_of(desk, row, language)
    for text in (str(row.uuid), "1f-2", "41.32.10.7", "21"):
        assert f'<bdi dir="ltr">{text}</bdi>' in content
    assert '<bdi dir="auto">خطأ</bdi>' in content
    # Behind a Latin word, as a title cannot hold an element.
    assert f"sent {row.uuid}" in content


def test_who_may_add_blocks_is_a_click_away_from_one(desk: Client) -> None:
    row = sent(ip_address="41.32.10.7")
    assert "sendblock/add" not in content_of(desk, row)
    blocker = client_of(staff("view_otpsend", "add_sendblock"))
    links = re.findall(r'<a href="([^"]*sendblock/add/[^"]*)">([^<]*)<', content_of(blocker, row))
    assert [label for _, label in links] == [
        "Block this number",
        "Block its range of numbers",
        "Block this IP address",
        "Block its network",
    ]
    assert not [url for url, _ in links if NUMBER in url]


def test_the_block_that_refused_is_a_click_away(desk: Client) -> None:
    block = SendBlock.objects.create(scope="prefix", value="0101")
    row = make_send(**{**BLOCKED, "code": "send_forbidden"}, blocked_by=f"SendBlock {block.pk}")
    url = reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])
    assert url not in content_of(desk, row)
    blocker = client_of(staff("view_otpsend", "view_sendblock"))
    content = content_of(blocker, row)
    assert f'<a href="{url}">The block that refused it</a>' in content
    assert f"send block {block.pk}" in content


def test_ages_are_measured_by_the_database_s_clock(
    desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = sent()
    monkeypatch.setattr(database_clock, "now", lambda _using: NOW + seconds(601))
    assert "the code expired" in meaning_of(desk, row)[1]


def test_the_page_of_a_try_has_only_what_there_is(auditor: Client, user: User) -> None:
    row = make_try(sent(), error_code="31", valify_message="خطأ", user=user)
    url = reverse("admin:django_valify_otp_otpverification_change", args=[row.pk])
    response = auditor.get(url)
    labels = [str(fact.label) for fact in response.context["facts"]]
    assert labels == [
        "OTP send",
        "status",
        "code",
        "created at",
        "user",
        "Valify's error code",
        "Valify's message",
        "ID",
    ]
    technical = [str(fact.label) for fact in response.context["technical"]]
    assert technical == ["caller", "called at", "settled at", "duration (seconds)", "calls"]
    content = response.content.decode()
    assert page_of(row.otp_send) in content
    assert f'<bdi dir="ltr">{row.uuid}</bdi>' in content


def test_a_language_that_nobody_knows_keeps_its_code(desk: Client) -> None:
    assert steps_of(desk, sent(lang="xx"))[0][3]["language"] == "xx"


def test_a_site_with_naive_moments(
    auditor: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USE_TZ = False
    now = NOW.replace(tzinfo=None)
    monkeypatch.setattr(timezone, "now", lambda: now)
    monkeypatch.setattr(database_clock, "now", lambda _using: now)
    row = make_send(created_at=now, called_at=now, settled_at=now)
    assert meaning_of(auditor, row)[3] == "The code is good until 14:40:00."
    assert steps_of(auditor, row)[0][0] == "14:30:00.000"
