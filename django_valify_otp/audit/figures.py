"""What is counted about the attempts of some time; figures can be added up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from django_valify_otp.audit.durations import percentile_seconds
from django_valify_otp.models import OtpSend

# What Valify calls its errors is for Valify to say: a day's total must stay small all the same.
ERROR_CODES_KEPT = 50


@dataclass(kw_only=True)
class Figures:
    """What became of the attempts of some time.

    ``trials`` counts the uses left on the access token after each code that was sent; ``sent`` and
    ``verified`` are by the first digits of the numbers, ``duration_bins`` by how long calls took.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    error_codes: Counter[str] = field(default_factory=Counter)
    blocked_by: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    verified: Counter[str] = field(default_factory=Counter)
    duration_bins: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_json(cls, counts: Mapping[str, Any]) -> Self:
        """Return the figures that a daily total has kept.

        Counts with another name are left out: a newer version has kept them.
        """
        known = [column.name for column in fields(cls)]
        return cls(**{name: Counter(counts[name]) for name in known if name in counts})

    @classmethod
    def sum(cls, parts: Iterable["Figures"]) -> Self:
        """Return the figures of all the attempts together."""
        total = cls()
        for part in parts:
            total.include(part)
        return total

    @property
    def verified_share(self) -> float | None:
        """Return the part of the codes sent that was verified, from 0 to 1."""
        return share(self.verified.total(), self.sent.total())

    @property
    def median_seconds(self) -> float | None:
        """Return about the time that half of the calls did not exceed."""
        return percentile_seconds(self.duration_bins, 50)

    @property
    def p95_seconds(self) -> float | None:
        """Return about the time that 95 of 100 calls did not exceed."""
        return percentile_seconds(self.duration_bins, 95)

    def count(self, group: Mapping[str, Any]) -> None:
        """Count a group of attempts with the same outcome."""
        attempts = group["attempts"]
        self.statuses[group["status"]] += attempts
        for counter, name in (
            (self.codes, group["code"]),
            (self.error_codes, group["error_code"]),
            (self.blocked_by, group["blocked_by"]),
        ):
            if name:
                counter[name] += attempts
        if group["status"] == OtpSend.Status.SENT:
            self._count_sent(group)

    def count_durations(self, group: Mapping[str, Any]) -> None:
        """Count a group of attempts whose calls took about as long."""
        self.duration_bins[str(int(group["bin"]))] += group["attempts"]

    def _count_sent(self, group: Mapping[str, Any]) -> None:
        attempts, prefix = group["attempts"], group["prefix"]
        self.trials[_trials(group["trials"])] += attempts
        self.sent[prefix] += attempts
        self.verified[prefix] += group["verified"]

    def fold_error_codes(self) -> None:
        """Count the rarest of many error codes as one, without a name."""
        kept = Counter(dict(self.error_codes.most_common(ERROR_CODES_KEPT)))
        others = self.error_codes.total() - kept.total()
        self.error_codes = kept + Counter({"": others})

    def include(self, other: "Figures") -> None:
        """Add the figures of other attempts."""
        for name, counts in vars(other).items():
            getattr(self, name).update(counts)


def share(part: int, whole: int) -> float | None:
    """Return the part, from 0 to 1; ``None`` of nothing."""
    return part / whole if whole else None


def _trials(trials: int | None) -> str:
    if trials is None:
        return "none"
    return "more" if trials >= 3 else str(trials)
