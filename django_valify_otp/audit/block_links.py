"""Links from an attempt to the form that blocks more like it, and to the block that refused it."""

import re

from django.core.exceptions import ObjectDoesNotExist
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import pgettext

from django_valify_otp.models import OtpSend

# As admission writes it in ``blocked_by``.
BLOCK = re.compile(r"SendBlock ([0-9]{1,18})")


def block_links(otp_send: OtpSend) -> list[tuple[str, str]]:
    """Return the label and the URL of each form that is filled in from this attempt.

    A URL names the attempt, never its number, so that no number is in a log of requests.
    """
    labels = {}
    if otp_send.phone_number:
        labels["number"] = pgettext("OTP", "Block this number")
        labels["prefix"] = pgettext("OTP", "Block its range of numbers")
    if otp_send.ip_address:
        labels["ip_address"] = pgettext("OTP", "Block this IP address")
        labels["network"] = pgettext("OTP", "Block its network")
    if _has_user(otp_send):
        labels["user"] = pgettext("OTP", "Block this user")
    add = reverse("admin:django_valify_otp_sendblock_add")
    return [
        (label, f"{add}?{urlencode({'attempt': str(otp_send.pk), 'scope': scope})}")
        for scope, label in labels.items()
    ]


def refusing_block_url(otp_send: OtpSend) -> str:
    """Return the URL of the block that refused this attempt, ``""`` if none did."""
    block = BLOCK.fullmatch(otp_send.blocked_by)
    return reverse("admin:django_valify_otp_sendblock_change", args=[block[1]]) if block else ""


def _has_user(otp_send: OtpSend) -> bool:
    """Tell whether the attempt is a user's who is still there."""
    try:
        return otp_send.user is not None
    except ObjectDoesNotExist:
        return False
