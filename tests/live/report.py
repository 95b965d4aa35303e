"""The report of the live check: what only Valify can answer."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from django_valify_otp.valify.redaction import redact, redact_any_otp
from tests.live.account import LiveAccount


@dataclass
class Report:
    """Answers by question, without numbers, OTPs and secrets."""

    account: LiveAccount
    tokens: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def note(self, question: str, answer: object) -> None:
        """Keep an answer."""
        secrets = [*self.account.credentials.values(), *self.tokens]
        text = redact(str(answer), secrets=secrets, phone_number=self.account.phone_number)
        self.answers[question] = redact_any_otp(text)

    def write(self, path: Path) -> None:
        """Write the answers, so that two reports can be compared."""
        text = json.dumps(self.answers, indent=2, sort_keys=True, ensure_ascii=False)
        path.write_text(f"{text}\n", "utf-8")
