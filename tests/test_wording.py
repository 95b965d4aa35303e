"""What support reads in place of the names that rows keep."""

from datetime import timedelta

import pytest
from django.utils import translation

from django_valify_otp.audit.bidi import END, START
from django_valify_otp.audit.wording import limit_of, name_caller, name_duration, name_refusal
from tests.factories import MASKED, NUMBER


@pytest.mark.parametrize(
    ("caller", "english", "arabic"),
    [
        ("user:7", "user 7", f"المستخدم {START}7{END}"),
        (f"user:{NUMBER}", f"user {MASKED}", f"المستخدم {START}{MASKED}{END}"),
        ("anonymous", "somebody without a login", "شخص لم يسجّل الدخول"),
        ("system", "the site itself", "الموقع نفسه"),
        ("erased", "anonymised", "أُخفيت الهوية"),
        (
            "django_valify_otp.sendblock:3",
            "send block 3",
            f"حظر إرسال {START}3{END}",
        ),
        ("gone.device:3", "gone.device 3", f"gone.device {START}3{END}"),
        ("odd", "odd", "odd"),
    ],
)
def test_callers_have_names(caller: str, english: str, arabic: str) -> None:
    assert name_caller(caller) == english
    with translation.override("ar"):
        assert name_caller(caller) == arabic


@pytest.mark.parametrize(
    ("blocked_by", "english", "arabic"),
    [
        (
            "NUMBER_SEND_LIMITS 1/60s",
            "limit per number: 1 code in a minute",
            "حد الرقم الواحد: رمز واحد خلال دقيقة",
        ),
        (
            "NUMBER_SEND_LIMITS 5/1h",
            "limit per number: 5 codes in an hour",
            "حد الرقم الواحد: 5 رموز خلال ساعة",
        ),
        (
            "USER_SEND_LIMITS 20/d",
            "limit per user: 20 codes in a day",
            "حد المستخدم الواحد: 20 رمزًا خلال يوم",
        ),
        (
            "IP_SEND_LIMITS 300/2h",
            "limit per IP address: 300 codes in 2 hours",
            "حد عنوان IP الواحد: 300 رمز خلال ساعتين",
        ),
        (
            "GLOBAL_SEND_LIMITS 2/90s",
            "limit of the whole site: 2 codes in 90 seconds",
            "حد الموقع كله: رمزان خلال 90 ثانية",
        ),
        ("SendBlock 3", "send block 3", "حظر الإرسال رقم 3"),
        ("NUMBER_SEND_LIMITS often", "NUMBER_SEND_LIMITS often", "NUMBER_SEND_LIMITS often"),
        ("OLD_LIMITS 1/60s", "OLD_LIMITS 1/60s", "OLD_LIMITS 1/60s"),
    ],
)
def test_limits_and_blocks_have_names(blocked_by: str, english: str, arabic: str) -> None:
    assert name_refusal(blocked_by) == english
    with translation.override("ar"):
        assert name_refusal(blocked_by) == arabic


def test_the_limit_that_refused() -> None:
    limit = limit_of("NUMBER_SEND_LIMITS 5/1h")
    assert limit
    assert (limit.count, limit.seconds) == (5, 3600)
    assert limit_of("SendBlock 3") is None


@pytest.mark.parametrize(
    ("seconds", "english", "arabic"),
    [
        (-0.5, "0.000 s", "0.000 ث"),
        (0.4234, "0.423 s", "0.423 ث"),
        (75, "1 min 15 s", "1 د 15 ث"),
        (3720, "1 h 2 min", "1 س 2 د"),
        (90_000, "1 d 1 h", "1 يوم 1 س"),
    ],
)
def test_durations_have_names(seconds: float, english: str, arabic: str) -> None:
    assert name_duration(timedelta(seconds=seconds)) == english
    with translation.override("ar"):
        assert name_duration(timedelta(seconds=seconds)) == arabic
