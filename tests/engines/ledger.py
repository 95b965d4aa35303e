"""What the rows say, beside what the vendor did."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OPEN = ("queued", "pending")
# These admit that an SMS may have left.
ADMITTING = ("pending", "sent", "unknown")


@dataclass(frozen=True)
class Entry:
    """What matters of a row."""

    phone_number: str
    status: str
    code: str = ""
    is_handed_over_again: bool = False


@dataclass(frozen=True)
class Findings:
    """What came of the attempts: how many rows and SMS, and how many that should not be."""

    rows: int
    sent: int
    unknown: int
    expired: int
    other: int
    open: int
    again: int
    sms: int
    without_row: int
    twice: int
    unsent: int

    def as_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)


def compare(entries: Sequence[Entry], sms: Counter[str]) -> Findings:
    """Compare the rows, each of a number of its own, with the SMS that each number got.

    ``without_row`` are SMS that no row admits, ``twice`` numbers with more than one SMS,
    ``unsent`` rows that say ``sent`` though none left; ``again`` rows that the sweep handed over.
    """
    statuses = Counter(entry.status for entry in entries)
    admitted = {entry.phone_number for entry in entries if entry.status in ADMITTING}
    expired = sum(entry.code == "queue_expired" for entry in entries)
    known = statuses["sent"] + statuses["unknown"] + expired
    still_open = sum(statuses[status] for status in OPEN)
    return Findings(
        rows=len(entries),
        sent=statuses["sent"],
        unknown=statuses["unknown"],
        expired=expired,
        other=len(entries) - known - still_open,
        open=still_open,
        again=sum(entry.is_handed_over_again for entry in entries),
        sms=sms.total(),
        without_row=sum(count for number, count in sms.items() if number not in admitted),
        twice=sum(count > 1 for count in sms.values()),
        unsent=sum(entry.status == "sent" and not sms[entry.phone_number] for entry in entries),
    )
