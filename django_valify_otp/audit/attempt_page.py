"""What the page of one attempt shows beside its fields."""

from datetime import datetime
from typing import Any

from django.db import router

from django_valify_otp import database_clock
from django_valify_otp.audit import looks
from django_valify_otp.audit.block_links import block_links, refusing_block_url
from django_valify_otp.audit.filters import sibling_links
from django_valify_otp.audit.meaning import read_meaning
from django_valify_otp.audit.timeline import tell
from django_valify_otp.conf import get_settings
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock

# Tries that reached nobody do not count, so that there can be any number of them.
TRIES_SHOWN = 100


def read_attempt(otp_send: OtpSend, *, user: Any) -> dict[str, Any]:
    """Return what an attempt means now, how it came about, and what this person can do."""
    now, settings = database_clock.now(router.db_for_read(OtpSend)), get_settings()
    tries = _last_tries(otp_send)
    may_view_tries = user.has_perm("django_valify_otp.view_otpverification")
    return {
        "meaning": read_meaning(
            otp_send,
            tries,
            now=now,
            settings=settings,
            is_blocked=_is_blocked(otp_send, now),
        ),
        "steps": tell(
            otp_send,
            tries if may_view_tries else [],
            now=now,
            settings=settings,
            whole_numbers=looks.may_look(user),
        ),
        "is_cut_short": may_view_tries and len(tries) == TRIES_SHOWN,
        "siblings": sibling_links(otp_send),
        "refusing_block": _refusing_block(otp_send, user),
        "block_links": _block_links(otp_send, user),
    }


def _is_blocked(otp_send: OtpSend, now: datetime) -> bool:
    """Tell whether a block would refuse the same attempt now."""
    return SendBlock.objects.applying_to(
        now,
        phone_number=otp_send.phone_number,
        ip_address=otp_send.ip_address,
        user_pk=otp_send.user_id,
    ).exists()


def _last_tries(otp_send: OtpSend) -> list[OtpVerification]:
    tries = OtpVerification.objects.filter(otp_send=otp_send).select_related("user")
    return [*tries.order_by("-created_at", "-id")[:TRIES_SHOWN]][::-1]


def _refusing_block(otp_send: OtpSend, user: Any) -> str:
    may_view = user.has_perm("django_valify_otp.view_sendblock")
    return refusing_block_url(otp_send) if may_view else ""


def _block_links(otp_send: OtpSend, user: Any) -> list[tuple[str, str]]:
    may_add = user.has_perm("django_valify_otp.add_sendblock")
    return block_links(otp_send) if may_add else []
