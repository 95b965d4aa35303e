"""Kill the primary under load and promote the standby, again and again, and compare the records.

Two private PostgreSQL servers take turns. Django knows both, and takes the one that can be written
to. In each round, 8 threads send and 4 workers empty a queue. Meanwhile one server becomes the
standby of the other, then the primary is killed with SIGKILL, and the standby promoted. The load
goes on for a while, and a sweep settles what is open. The table compares the rows with the messages
that the sandbox has sent.

Each client repeats a request with its idempotency key until it has an answer. First the standby is
synchronous, then asynchronous. The way to it takes some milliseconds, and what is on its way when
the primary dies is lost.

    python -m benchmarks.failover [--rounds 20] [--seconds 2] [--milliseconds 20]
"""

import argparse
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import django
from django.core.management import call_command

from benchmarks.cluster import Server, servers, until
from benchmarks.link import Link, running_link
from django_valify_otp.sandbox.process import ValifySandbox, running_sandbox

MODES = {"synchronous": True, "asynchronous": False}
CREDENTIALS = ("BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET")
# Until somebody can send again.
PATIENCE_SECONDS = 60
COLUMNS = {
    "seconds": "seconds without service",
    "requests": "requests",
    "sms": "SMS",
    "busy": "answers site_busy",
    "failed": "answers 500",
    "early": "answers 500 although nothing was sent",
    "unknown": "attempts whose outcome nobody knows",
    "lost": "SMS without a row",
    "twice": "requests with two SMS",
    "crossed": "rows with the answer of another attempt",
    "open": "rows open after the sweep",
}


class Pair:
    """A primary and its standby, which take turns."""

    def __init__(self, primary: Server, standby: Server, link: Link) -> None:
        self.primary, self.standby, self._link = primary, standby, link
        primary.make()
        primary.start()

    def follow(self, *, synchronous: bool) -> None:
        """Have the standby copy the primary and follow it."""
        self._link.target = self.primary.port
        self.standby.copy(self.primary, via=self._link.port)
        self.standby.start()
        self.primary.wait_for_standby(synchronous=synchronous)

    def fail_over(self) -> None:
        """Cut the primary off and kill it, and promote the standby."""
        self._link.cut()
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary


def measure_round(
    number: int, pair: Pair, sandbox: ValifySandbox, *, synchronous: bool, seconds: float
) -> Counter[str]:
    """Fail over once under load, and return the figures."""
    from benchmarks.failover_load import Load

    sandbox.clear_inbox()
    load = Load(number)
    try:
        pair.follow(synchronous=synchronous)
        time.sleep(seconds)
        killed_at = time.monotonic()
        pair.fail_over()
        until(lambda: load.has_sent_since(killed_at), PATIENCE_SECONDS)
        time.sleep(seconds)
        told = load.stop()
    finally:
        load.kill()
    back_at = min(t.ended_at for t in told if t.answers[-1] == "sent" and t.began_at > killed_at)
    return compare(told, sandbox) + Counter({"seconds": back_at - killed_at})


def compare(told: Sequence[Any], sandbox: ValifySandbox) -> Counter[str]:
    """Sweep, and compare the rows of a round with what was told and what was sent."""
    from benchmarks.failover_load import FAILURE
    from django_valify_otp.exceptions import SiteBusy
    from django_valify_otp.models import OtpSend

    sweep_all()
    messages = sandbox.inbox()
    sms = Counter(message.phone_number for message in messages)
    numbers_by_id = {message.transaction_id: message.phone_number for message in messages}
    rows = [*OtpSend.objects.filter(phone_number__in=[t.phone_number for t in told])]
    admitted = Counter(row.phone_number for row in rows if row.status in OtpSend.MAY_HAVE_SENT)
    sent = [row for row in rows if row.status == OtpSend.Status.SENT]
    answers = [(t.phone_number, answer) for t in told for answer in t.answers]
    failures = [(number, answer) for number, answer in answers if answer.startswith(FAILURE)]
    return Counter(
        requests=len(told),
        sms=sms.total(),
        busy=sum(answer == SiteBusy.code for _, answer in answers),
        failed=len(failures),
        early=sum(not sms[number] for number, _ in failures),
        unknown=sum(row.status == OtpSend.Status.UNKNOWN for row in rows),
        lost=(sms - admitted).total(),
        twice=sum(count > 1 for count in sms.values()),
        crossed=sum(numbers_by_id[row.transaction_id] != row.phone_number for row in sent),
        open=sum(row.status in OtpSend.OPEN for row in rows),
    )


def sweep_all() -> None:
    """Sweep as if every call that is open had begun long ago."""
    from django_valify_otp import database_clock
    from django_valify_otp.models import OtpSend
    from django_valify_otp.services import sweep

    long_ago = database_clock.now("default") - timedelta(hours=1)
    OtpSend.objects.filter(status=OtpSend.Status.PENDING).update(called_at=long_ago)
    sweep()


def measure(
    pair: Pair, sandbox: ValifySandbox, *, modes: Sequence[str], rounds: int, seconds: float
) -> None:
    """Print a line for each round, and the sums of each mode; of the seconds, the mean."""
    for place, name in enumerate(modes):
        print(f"\n{name} standby\n{'round':>6}" + "".join(f"{column:>9}" for column in COLUMNS))
        figures = []
        for number in range(rounds):
            found = measure_round(
                place * rounds + number,
                pair,
                sandbox,
                synchronous=MODES[name],
                seconds=seconds,
            )
            print(line(str(number + 1), found), flush=True)
            figures.append(found)
        total = sum(figures, Counter())
        mean = Counter({"seconds": total["seconds"] / rounds})
        print(line("all", Counter({**total, **mean})), flush=True)


def line(title: str, figures: Counter[str]) -> str:
    """Return a line of the table."""
    cells = [figures[column] for column in COLUMNS]
    return f"{title:>6}" + "".join(
        f"{cell:9.1f}" if isinstance(cell, float) else f"{cell:9}" for cell in cells
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="of each mode")
    parser.add_argument("--seconds", type=float, default=2, help="of load before and after")
    parser.add_argument("--milliseconds", type=float, default=20, help="of the way to the standby")
    parser.add_argument("--modes", nargs="+", default=[*MODES], choices=[*MODES])
    arguments = parser.parse_args()
    with (
        running_sandbox() as sandbox,
        running_link(arguments.milliseconds) as link,
        servers(2) as (primary, standby),
    ):
        os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.failover_settings"
        os.environ["FAILOVER_PORTS"] = f"{primary.port},{standby.port}"
        credentials = dict.fromkeys(CREDENTIALS, "sandbox")
        limits = {"GLOBAL_SEND_LIMITS": ["1000000/1d"]}
        os.environ["BENCHMARK_VALIFY_OTP"] = json.dumps(
            {"BASE_URL": sandbox.base_url, **credentials, **limits}
        )
        django.setup()
        logging.getLogger("django_valify_otp").addHandler(logging.NullHandler())
        pair = Pair(primary, standby, link)
        call_command("migrate", run_syncdb=True, verbosity=0)
        for name, meaning in COLUMNS.items():
            print(f"{name:>9}  {meaning}")
        measure(
            pair,
            sandbox,
            modes=arguments.modes,
            rounds=arguments.rounds,
            seconds=arguments.seconds,
        )


if __name__ == "__main__":
    main()
