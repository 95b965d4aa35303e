"""Mask the phone numbers on a row's page, also those that are a user's name or key."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ObjectDoesNotExist

from django_valify_otp.models import CallRecord, OtpSend, SendBlock
from django_valify_otp.phone_numbers import mask_numbers

AuditedRow = CallRecord | SendBlock

# The columns that mask phone numbers, and the fields that show them whole.
WHOLE_FIELDS = {"number": "phone_number", "masked_user": "user", "masked_caller": "whole_caller"}


def user_name(row: AuditedRow) -> str:
    """Return the name of the row's user: empty if there is none, or if the user was deleted."""
    try:
        return str(row.user or "")
    except ObjectDoesNotExist:
        return ""


def masked_numbers(row: AuditedRow) -> list[str]:
    """Return every phone number that the row's own page shows, masked."""
    names = _masked_texts(user_name(row), str(row.user_id), getattr(row, "caller", ""))
    match row:
        case OtpSend(masked_phone_number=str(masked)) if masked:
            return [masked, *names]
        case SendBlock(masked_value=str(masked)) if masked != row.value:
            return [masked, *names]
    return names


def fields_to_show(columns: Iterable[str], row: Any, *, may_look: bool) -> list[str]:
    """Return the columns of a page, each as its whole field where nothing has to be masked."""
    return [
        WHOLE_FIELDS.get(column, column) if may_look or _masks_nothing(column, row) else column
        for column in columns
    ]


def _masks_nothing(column: str, row: Any) -> bool:
    """Tell whether the text that a column masks has no phone number in it."""
    if row is None:
        return False
    match column:
        case "masked_user":
            return not _masked_texts(user_name(row), str(row.user_id))
        case "masked_caller":
            return not _masked_texts(row.caller)
    return False


def _masked_texts(*texts: str) -> list[str]:
    """Mask the texts that have a phone number in them, and leave out the others."""
    return [masked for text in texts if (masked := mask_numbers(text)) != text]
