"""Made-up requests to the endpoints and the admin: whatever they hold, none is answered by a 500.

``FUZZ_REQUESTS`` and ``FUZZ_SEED`` make the run longer or another one; the seed ``fresh`` is a new
one in each run.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_valify_otp.models import OtpSend, OtpVerification, SendBlock
from tests.factories import NUMBER, PERMISSIONS, make_person, make_send, make_try
from tests.pages import SENDS
from tests.scripted_server import ScriptedServer
from tests.seeds import seed_of

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "500"))
SEED = int(seed_of("FUZZ_SEED", otherwise="9"))

UUID = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
TEXTS = (
    *("", " ", "x", "T1", "T1\0", "\0", "'", '"', "\\", "%", "_", "😀", "\u202e=1", "=1+1", "<b>"),
    *(
        "sent",
        "failed",
        "rejected",
        "number",
        "user",
        "everything",
        "more",
        "none",
        "90d",
        "signup",
        "prefix",
        "ip_address",
        "lift_selected",
        "mona@example.com",
        "user:1",
        "SendBlock 1",
    ),
    *("0", "1", "-1", "2.5", "٣", "²", "1e400", "NaN", "null", "True", "[]", "{}", "0x10", "1,2"),
    *("9" * 18, "9" * 19, "9" * 30, "9" * 5000, "x" * 300, "\u0301" * 300, "0." * 40, "-0.-1.1"),
    *(NUMBER, "+20 10 1234 5678", "010-6750-23299", "٠١٠١٢٣٤٥٦٧٨", "0101", "482913", "٤٨٢ ٩١٣"),
    *(UUID, UUID.replace("-", ""), "41.32.10.7", "2001:db8::1", "::ffff:1.2.3.4", "10.0.0.0/8"),
    *("number:1", "caller:2", "token:3", "number:", ":1", "number:٣", f"token:{'9' * 30}"),
    *("2026-01-01", "2026-01-01 00:00:00", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31 23:59:59-23:59", "9999-12-31T23:59:59Z", "2026-02-30", "2026-04-24 00:30:00"),
)
# As they stand in an address: half of an escape, no UTF-8, an encoded surrogate.
RAW_VALUES = ("%", "%zz", "%ff%fe", "%ed%a0%80", "%00", "a;b", "=", "%u0041", "\\ud800", "+A-", "")
NAMES = (
    *("status", "code", "phone_number", "transaction_id", "purpose", "created_after"),
    *("created_before", "cursor", "format", "page", "ordering", "search", "limit", "version"),
    *("q", "o", "p", "e", "all", "_popup", "_to_field", "_facets", "_changelist_filters"),
    *("status__exact", "code__exact", "created_at__gte", "created_at__lt", "created_at__year"),
    *("trials", "sibling", "scope__exact", "period", "user", "user__id__exact", "id__in", "pk"),
    *("phone_number__startswith", "otp_send", "status__exact__x", "caller", "", "\0", "é", "[]"),
    *("from", "to", "prefix", "purpose", "verified", "blocked_by", "state", "attempt", "scope"),
)
CHARSETS = (
    *("utf-8", "UTF-8", "latin-1", "utf-16", "utf-32", "utf-7", "cp1256", "cp864", "nonsense", ""),
    *("unicode_escape", "raw_unicode_escape", "ascii", '"', "utf-8; x"),
)
JSON_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2.5, 10**400, float("nan"), float("inf"), [], {}, [[]], {"x": 1}),
    *("\ud800", ["\0"], {"\ud800": "\0"}, 1012345678, [NUMBER], {"phone_number": NUMBER}),
)
JSON_NAMES = ("phone_number", "lang", "purpose", "otp", "user", "", "\ud800", "\0", "__proto__")
RAW_BODIES = (b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 50_000, b"{}{}", b"\0")
FORM_NAMES = (
    *("scope", "value", "user", "reason", "ends_at_0", "ends_at_1", "action", "select_across"),
    *("_selected_action", "post", "_save", "_continue", "_addanother", "index", "_popup"),
    *("number", "first_digits", "ip_address", "confirm"),
)
HEADERS = ("Idempotency-Key", "X-Forwarded-For", "Accept", "Accept-Language", "Authorization")
METHODS = ("GET",) * 6 + ("POST",) * 4 + ("HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")


@dataclass
class Made:
    """A request, as it is told where it fails."""

    who: str
    method: str
    path: str
    query: str = ""
    content_type: str = ""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Maker:
    """Makes requests up, the same ones from the same seed."""

    def __init__(self, seed: int, people: list[str], paths: list[str]) -> None:
        self.random = Random(seed)
        self.people = people
        self.paths = paths

    def request(self) -> Made:
        random = self.random
        made = Made(
            who=random.choice(self.people),
            method=random.choice(METHODS),
            path=random.choice(self.paths),
            query=self.query(),
            headers={name: self.header() for name in HEADERS if random.random() < 0.2},
        )
        kind = random.choice(["json", "json", "form", "raw"])
        made.content_type, made.body = getattr(self, kind)()
        if random.random() < 0.3:
            made.content_type += f"; charset={random.choice(CHARSETS)}"
        return made

    def text(self) -> str:
        return self.random.choice(TEXTS)

    def query(self) -> str:
        count = self.random.choice([0, 1, 1, 1, 2, 3])
        return "&".join(f"{quote_plus(name)}={self.value(name)}" for name in self.names(count))

    def names(self, count: int) -> list[str]:
        return self.random.choices(NAMES, k=count)

    def value(self, name: str) -> str:
        if name == "cursor" and self.random.random() < 0.8:
            return quote(self.cursor())
        if self.random.random() < 0.2:
            return self.random.choice(RAW_VALUES)
        return quote_plus(self.text())

    def cursor(self) -> str:
        """A cursor with some of its parts, as DRF encodes them."""
        parts = {name: self.text() for name in "por" if self.random.random() < 0.6}
        return b64encode(urlencode(parts).encode()).decode()

    def header(self) -> str:
        """As a server hands the bytes of a header over."""
        return self.text()[:500].encode().decode("latin-1")

    def json(self) -> tuple[str, bytes]:
        names = self.random.choices(JSON_NAMES, k=self.random.choice([1, 1, 2, 3]))
        body = {name: self.random.choice((*TEXTS, *JSON_VALUES)) for name in names}
        if self.random.random() < 0.5:
            body |= self.random.choice([{"phone_number": NUMBER}, {"otp": "482913"}])
        return "application/json", json.dumps(body).encode()

    def form(self) -> tuple[str, bytes]:
        names = self.random.sample(FORM_NAMES, k=6)
        fields = {name: self.text() for name in names}
        return "application/x-www-form-urlencoded", urlencode(fields).encode()

    def raw(self) -> tuple[str, bytes]:
        content_type = self.random.choice(
            [
                "application/json",
                "text/plain",
                "multipart/form-data",
                "multipart/form-data; boundary=x",
            ]
        )
        return content_type, self.random.choice(RAW_BODIES)


def make_rows(owner: User) -> list[OtpSend]:
    """An attempt of each kind; one's user is gone."""
    now = timezone.now()
    return [
        make_send(user=owner, caller=f"user:{owner.pk}", token_fingerprint="abc"),
        make_send(user_id=10**6, caller=f"user:{10**6}", trials_remaining=0, purpose="signup"),
        make_send(caller="anonymous", verified_at=now, valify_message="a;=1"),
        make_send(phone_number="", caller="erased"),
        make_send(status="pending", settled_at=None, transaction_id=""),
        make_send(status="failed", code="valify_unreachable", transaction_id="", called_at=None),
        *(make_send() for _ in range(50)),
    ]


def make_paths(rows: list[OtpSend], verification: OtpVerification, block: SendBlock) -> list[str]:
    """Every address of this app, with keys that are there and keys that are not."""
    paths = [SENDS] * 8 + [reverse("admin:otp-send-summary"), reverse("admin:otp-send-export")] * 4
    for key in (*(row.uuid for row in rows[:6]), UUID, "x", "9" * 40, "é", "%00", "%ff"):
        paths += [f"{SENDS}{key}/", f"{SENDS}{key}/verify/"]
    keys = ("9" * 19, "9" * 30, "9" * 5000, "-1", "x", "_5F", "_00", "%00", "٣")
    for name, pk in (
        ("otpsend", rows[0].pk),
        ("otpverification", verification.pk),
        ("sendblock", block.pk),
    ):
        base = f"/admin/django_valify_otp/{name}/"
        paths += [base] * 6 + [f"{base}add/"] * 2
        paths += [
            f"{base}{key}/{page}/"
            for key in (pk, *keys)
            for page in ("change", "history", "delete")
        ]
    paths += [f"/admin/django_valify_otp/otpsend/{row.pk}/change/" for row in rows[1:6]]
    blocks = "/admin/django_valify_otp/sendblock/"
    paths += [f"{blocks}{key}/lift/" for key in (block.pk, *keys)]
    scopes = ("number", "prefix", "ip_address", "network", "user")
    # It counts where a request has no query of its own.
    paths += [f"{blocks}add/?attempt={row.pk}&scope={scope}" for row in rows for scope in scopes][
        :9
    ]
    return paths


def status_of(client: Client, made: Made) -> int:
    """The answer's status, the whole of the answer being read."""
    headers = {
        "HTTP_" + name.upper().replace("-", "_"): value for name, value in made.headers.items()
    }
    response: Any = client.generic(
        made.method,
        made.path,
        made.body,
        content_type=made.content_type,
        QUERY_STRING=made.query,
        **headers,  # type: ignore[arg-type]
    )
    b"".join(response)
    return int(response.status_code)


@contextmanager
def named(request: str) -> Iterator[None]:
    """Tells which request an error comes from."""
    try:
        yield
    except Exception as error:
        error.add_note(request[:3000])
        raise


def test_a_fault_names_its_request() -> None:
    with pytest.raises(AssertionError) as caught, named("GET /"):
        raise AssertionError
    assert caught.value.__notes__ == ["GET /"]


@pytest.fixture
def clients(db: None) -> dict[str, Client]:
    found = {}
    for who in PERMISSIONS:
        found[who] = Client()
        if who != "anonymous":
            found[who].force_login(make_person(who))
    return found


@pytest.mark.timeout(max(120, REQUESTS // 5))
def test_no_request_is_answered_by_a_500(
    valify: ScriptedServer, clients: dict[str, Client]
) -> None:
    rows = make_rows(User.objects.get(username="owner"))
    verification = make_try(rows[0], user_id=10**6)
    block = SendBlock.objects.create(scope="number", value="01112345678")
    maker = Maker(SEED, [*clients], make_paths(rows, verification, block))
    statuses = set()
    for count in range(REQUESTS):
        made = maker.request()
        with named(f"request {count} of seed {SEED}: {made}"):
            status = status_of(clients[made.who], made)
            assert status != 500
        statuses.add(status)
    assert statuses >= {200, 302, 400, 403, 404, 405}
    assert not LogEntry.objects.filter(change_message__contains=NUMBER).exists()
    assert not LogEntry.objects.filter(object_repr__contains=NUMBER).exists()
