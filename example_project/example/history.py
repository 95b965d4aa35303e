"""Make up thirty days of attempts and tries: a campaign, an attack, an outage, and quiet days.

A fixed seed makes the same history each time. No number, address or person is a real one: numbers
have 555 or 444 in the middle, and addresses are those that documentation may use.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cache
from random import Random
from uuid import UUID

from django.contrib.auth.models import User
from django.utils import timezone

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock

SEED = 20260101
DAYS = 30
# So that the last hours are not without anybody, even at night.
RECENT_VISITS = 25
# Days ago.
CAMPAIGN = (13, 12, 11)
TOKEN_USES = 3
TOKEN_LIFETIME = timedelta(minutes=10)
# How much of a day's visits each hour has, from midnight.
RHYTHM = (5, 3, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 12, 11, 11, 12, 13, 14, 15, 16, 14, 11, 8)
CAMPAIGN_RHYTHM = (0,) * 10 + (8, 10, 12, 12, 10, 9, 9, 10, 12, 14, 12, 6, 0, 0)
# How many of a hundred visitors have such a number.
PREFIXES = {
    "0100": 18,
    "0106": 14,
    "0109": 8,
    "0111": 15,
    "0114": 12,
    "0120": 9,
    "0122": 14,
    "0155": 10,
}
PURPOSES = {"signup": 55, "login": 35, "payment": 10}
PUMPED_PREFIX = "0128"
LIMIT = "NUMBER_SEND_LIMITS 1/60s"
RESEND_AFTER = timedelta(seconds=60)
NUMBER_TAKEN = "This number cannot receive an OTP."
WRONG_CODE = {"en": "The code is wrong.", "ar": "الرمز غير صحيح."}
# User name, given name and family name of those who log in.
PEOPLE = (
    ("mona", "Mona", "Adel"),
    ("karim", "Karim", "Nabil"),
    ("salma", "Salma", "Fouad"),
    ("hana", "Hana", "Samir"),
    ("omar", "Omar", "Tarek"),
    ("youssef", "Youssef", "Magdy"),
)


@cache
def midnight(now: datetime, days: int) -> datetime:
    """Return when the day so many days ago began in the site's time zone."""
    date = timezone.localtime(now).date() - timedelta(days=days)
    # In UTC no hour is skipped or comes twice.
    return timezone.make_aware(datetime.combine(date, time.min)).astimezone(UTC)


@dataclass(frozen=True)
class Incident:
    """Something that lasted from one time of a day to another."""

    days_ago: int
    first: timedelta
    last: timedelta

    def start(self, now: datetime) -> datetime:
        """Return when it began."""
        return midnight(now, self.days_ago) + self.first

    def end(self, now: datetime) -> datetime:
        """Return when it was over."""
        return midnight(now, self.days_ago) + self.last


MISCONFIGURATION = Incident(24, timedelta(hours=9), timedelta(hours=10, minutes=30))
# First Valify gets slow, then it is down, and at last staff stop all sending until it is back.
SLOWDOWN = Incident(17, timedelta(hours=17, minutes=10), timedelta(hours=18))
OUTAGE = Incident(17, timedelta(hours=18), timedelta(hours=20, minutes=30))
PAUSE = Incident(17, timedelta(hours=20), timedelta(hours=20, minutes=30))
# The block of the prefix ends two days later.
ATTACK = Incident(5, timedelta(hours=2, minutes=10), timedelta(hours=4))


@dataclass(frozen=True)
class Visitor:
    """Who asks for a code."""

    phone_number: str
    ip_address: str
    purpose: str = "signup"
    lang: str = "ar"
    user: User | None = None

    @property
    def caller(self) -> str:
        """Return whose the attempt is, as rows keep it."""
        return f"user:{self.user.pk}" if self.user else "anonymous"


@dataclass(frozen=True)
class Ending:
    """How a call ended: what a row keeps of it, and about how many seconds it took."""

    status: str = "sent"
    code: str = ""
    reason: str = ""
    http_status: int | None = 200
    error_code: str = ""
    message: str = ""
    calls: int = 1
    seconds: float = 0.6
    has_token: bool = True


SENT = Ending()
SLOW = Ending(seconds=6)
REFUSED = Ending("rejected", "rejected", "", 422, "1000", NUMBER_TAKEN)
BUSY = Ending("rejected", "valify_busy", "HTTP 429", 429, seconds=0.2)
BAD_GATEWAY = Ending("unknown", "outcome_unknown", "HTTP 502", 502, seconds=9)
TIMED_OUT = Ending("unknown", "outcome_unknown", "TimeoutError", None, seconds=20)
UNREACHABLE = Ending(
    "failed", "valify_unreachable", "ConnectionRefusedError", None, calls=0, seconds=0.03
)
WRONG_PASSWORD = Ending(
    status="failed",
    code="valify_misconfigured",
    reason="token call: HTTP 400",
    http_status=None,
    message="invalid_grant",
    calls=0,
    seconds=0.3,
    has_token=False,
)


@dataclass
class History:
    """The attempts and tries of the days before ``now``; none is saved yet."""

    now: datetime
    people: Sequence[User]
    pumping: SendBlock
    pause: SendBlock
    sends: list[OtpSend] = field(default_factory=list)
    tries: list[OtpVerification] = field(default_factory=list)
    calls: list[OtpSend | OtpVerification] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(SEED))

    def write(self) -> None:
        """Make up everything."""
        strangers = self._strangers()
        for days in reversed(range(DAYS)):
            is_friday = timezone.localtime(midnight(self.now, days)).weekday() == 4
            count = self.random.randint(150, 180) - (50 if is_friday else 0)
            for at in self._moments(days, count, RHYTHM):
                self._visit(at, next(strangers))
        for days in range(2, DAYS):
            for number in self.random.sample(range(len(self.people)), 2):
                for at in self._moments(days, 1, RHYTHM):
                    self._visit(at, self._person(number))
        for days in CAMPAIGN:
            for at in self._moments(days, 280, CAMPAIGN_RHYTHM):
                self._visit(at, next(strangers))
        for _ in range(RECENT_VISITS):
            self._visit(self._ago(self.random.uniform(20, 180)), next(strangers))
        self._pump()
        self._tell_of_people()
        self._hand_out_tokens()

    def _moments(self, days: int, count: int, rhythm: Sequence[int]) -> Iterator[datetime]:
        """Return so many moments of a day, by its rhythm, those to come left out."""
        hours = self.random.choices(range(24), rhythm, k=count)
        for hour in sorted(hours):
            at = self._later(midnight(self.now, days) + timedelta(hours=hour), 0, 3600)
            # Long enough ago that everything that follows from it is over.
            if at < self.now - timedelta(minutes=15):
                yield at

    def _strangers(self) -> Iterator[Visitor]:
        """Return visitors of whom none comes twice."""
        return iter([self._stranger(n) for n in self.random.sample(range(100, 10_000), 9_000)])

    def _stranger(self, number: int) -> Visitor:
        return Visitor(
            phone_number=f"{self._choose(PREFIXES)}555{number:04}",
            ip_address=self._ip_address(),
            purpose=self._choose(PURPOSES),
            lang=self._choose({"ar": 7, "en": 3}),
        )

    def _ip_address(self) -> str:
        if self.random.random() < 0.15:
            return f"2001:db8:{self.random.randrange(1, 0xFFFF):x}::1"
        network = self.random.choice(["192.0.2", "198.51.100"])
        return f"{network}.{self.random.randrange(1, 255)}"

    def _person(self, number: int) -> Visitor:
        user = self.people[number]
        return Visitor(f"0100555000{number}", f"198.51.100.{10 + number}", "login", "en", user)

    def _choose(self, shares: dict[str, int]) -> str:
        return self.random.choices([*shares], [*shares.values()])[0]

    def _visit(self, at: datetime, visitor: Visitor) -> None:
        """Ask for a code, and again if none came, as people do."""
        for _ in range(3):
            otp_send = self._ask(at, visitor)
            chance = self.random.random()
            if otp_send.status == OtpSend.Status.SENT:
                if chance < 0.80:
                    self._verify(otp_send, wrong=self.random.choices([0, 1, 2], [88, 10, 2])[0])
                elif chance < 0.84:
                    self._block(self._later(at, 8, 50), visitor, "send_limit_reached", LIMIT)
                if chance < 0.90:
                    return
            elif chance < 0.4:
                return
            at = self._later(at, 65, 170)

    def _ask(self, at: datetime, visitor: Visitor) -> OtpSend:
        if self._is_on(at, PAUSE):
            return self._block(at, visitor, "sending_paused", self.pause.name)
        if self._is_on(at, SLOWDOWN):
            ending = self.random.choice([SLOW, TIMED_OUT, BAD_GATEWAY])
        elif self._is_on(at, OUTAGE):
            ending = UNREACHABLE
        elif self._is_on(at, MISCONFIGURATION):
            ending = WRONG_PASSWORD
        else:
            rare = [SENT, REFUSED, SLOW, BUSY, TIMED_OUT]
            ending = self.random.choices(rare, [960, 25, 8, 4, 3])[0]
        return self._call(at, visitor, ending)

    def _is_on(self, at: datetime, incident: Incident) -> bool:
        return incident.start(self.now) < at < incident.end(self.now)

    def _later(self, at: datetime, least: float, most: float) -> datetime:
        return at + timedelta(seconds=self.random.uniform(least, most))

    def _call(self, at: datetime, visitor: Visitor, ending: Ending) -> OtpSend:
        is_sent = ending.status == OtpSend.Status.SENT
        otp_send = OtpSend(
            uuid=self._uuid(),
            status=ending.status,
            code=ending.code,
            reason=ending.reason,
            http_status=ending.http_status,
            error_code=ending.error_code,
            valify_message=ending.message,
            calls=ending.calls,
            transaction_id=str(self._uuid()) if is_sent else "",
            called_at=at,
            settled_at=at + self._seconds(ending.seconds),
            resend_at=at + RESEND_AFTER if ending.status in OtpSend.MAY_HAVE_SENT else None,
            **self._request(at, visitor),
        )
        self.sends.append(otp_send)
        if ending.has_token:
            self.calls.append(otp_send)
        return otp_send

    def _block(self, at: datetime, visitor: Visitor, code: str, blocked_by: str) -> OtpSend:
        otp_send = OtpSend(
            uuid=self._uuid(),
            status=OtpSend.Status.BLOCKED,
            code=code,
            blocked_by=blocked_by,
            settled_at=at,
            **self._request(at, visitor),
        )
        self.sends.append(otp_send)
        return otp_send

    def _request(self, at: datetime, visitor: Visitor) -> dict[str, object]:
        return {
            "phone_number": visitor.phone_number,
            "lang": visitor.lang,
            "purpose": visitor.purpose,
            "user": visitor.user,
            "caller": visitor.caller,
            "ip_address": visitor.ip_address,
            "created_at": at,
        }

    def _seconds(self, about: float) -> timedelta:
        """Return about so many seconds; a few calls take much longer than most."""
        return timedelta(seconds=about * min(self.random.lognormvariate(0, 0.35), 1.2 + 2 / about))

    def _verify(self, otp_send: OtpSend, *, wrong: int, right: bool = True) -> None:
        """Try so many wrong OTPs, and then the right one."""
        at = self._later(otp_send.settled_at or otp_send.created_at, 7, 45)
        for _ in range(wrong):
            self._try(otp_send, at, "rejected")
            at = self._later(at, 6, 25)
        if right:
            verification = self._try(otp_send, at, "verified")
            otp_send.verified_at = verification.settled_at
            verification.redeemed_at = self._later(at, 1, 3)

    def _try(self, otp_send: OtpSend, at: datetime, status: str) -> OtpVerification:
        is_wrong = status == OtpVerification.Status.REJECTED
        verification = OtpVerification(
            uuid=self._uuid(),
            otp_send=otp_send,
            status=status,
            code="code_rejected" if is_wrong else "",
            http_status=422 if is_wrong else 200,
            error_code="1004" if is_wrong else "",
            valify_message=WRONG_CODE[otp_send.lang] if is_wrong else "",
            user=otp_send.user,
            caller=otp_send.caller,
            ip_address=otp_send.ip_address,
            calls=1,
            created_at=at,
            called_at=at,
            settled_at=at + self._seconds(0.3),
        )
        self.tries.append(verification)
        self.calls.append(verification)
        return verification

    def _pump(self) -> None:
        """Have codes sent to one range of numbers that nobody reads, until staff block it."""
        at = ATTACK.start(self.now)
        for number in range(1_000):
            at = self._later(at, 6, 18)
            address = f"203.0.113.{self.random.randrange(16, 64)}"
            visitor = Visitor(f"{PUMPED_PREFIX}444{number:04}", address, lang="en")
            if at > ATTACK.end(self.now):
                self._block(at, visitor, "send_forbidden", self.pumping.name)
                continue
            otp_send = self._call(at, visitor, SENT)
            if self.random.random() < 0.01:
                self._verify(otp_send, wrong=0)

    def _tell_of_people(self) -> None:
        """Give each of those who will call support something to call about."""
        mona, karim, salma, hana, omar, youssef = (
            self._person(number) for number in range(len(self.people))
        )
        self._call(self._ago(12), mona, TIMED_OUT)
        self._block(self._ago(11.5), mona, "send_limit_reached", LIMIT)
        for minutes in (34, 31):
            self._call(self._ago(minutes), karim, REFUSED)
        for minutes in (55, 52, 47):
            self._call(self._ago(minutes), salma, SENT)
        self._verify(self._call(self._ago(75), hana, SENT), wrong=5, right=False)
        self._verify(self._call(self._ago(90), omar, SENT), wrong=1)
        for minutes in (22, 24, 27):
            self._call(OUTAGE.start(self.now) + timedelta(minutes=minutes), youssef, UNREACHABLE)

    def _ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def _hand_out_tokens(self) -> None:
        """Let each access token serve three calls, as Valify does."""
        fingerprint, uses, since = "", 0, midnight(self.now, DAYS)
        for row in sorted(self.calls, key=lambda row: row.created_at):
            if not uses or row.created_at > since + TOKEN_LIFETIME:
                fingerprint, uses, since = self._uuid().hex[:16], TOKEN_USES, row.created_at
            uses -= 1
            row.token_fingerprint = fingerprint
            if isinstance(row, OtpSend) and row.status == OtpSend.Status.SENT:
                row.trials_remaining = uses

    def _uuid(self) -> UUID:
        return UUID(int=self.random.getrandbits(128), version=4)
