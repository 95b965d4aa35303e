"""The fields of a row's page: those that have a value, each with what it is."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django_valify_otp.audit.bidi import left_to_right, own_direction
from django_valify_otp.audit.masking import user_name
from django_valify_otp.models import CallRecord

LEFT_TO_RIGHT = {
    "error_code",
    "http_status",
    "ip_address",
    "limited_network",
    "phone_number",
    "purpose",
    "reason",
    "token_fingerprint",
    "transaction_id",
    "uuid",
}


class Fact(NamedTuple):
    """Something to know about a step or a row; ``help`` says what it is."""

    label: Any
    value: Any
    help: Any = ""


def columns_with_values(columns: Iterable[str], row: CallRecord) -> list[str]:
    """Return the columns in which there is something to read."""
    return [column for column in columns if _has_value(column, row)]


def read_facts(fieldset: Iterable[Any]) -> Iterator[Fact]:
    """Return the fields of one of the admin's fieldsets."""
    for line in fieldset:
        for shown in line:
            name, value = shown.field["name"], shown.contents()
            if name in LEFT_TO_RIGHT:
                value = left_to_right(value)
            if name == "valify_message":
                value = own_direction(value)
            yield Fact(shown.field["label"], value, shown.field["help_text"])


def _has_value(column: str, row: CallRecord) -> bool:
    match column:
        case "masked_user":
            return bool(user_name(row))
        case "duration_in_seconds":
            return row.duration is not None
        case "refused_by":
            return bool(getattr(row, "blocked_by", ""))
    # What is none of the row's columns is a method of the page.
    return getattr(row, column, True) not in {None, ""}
