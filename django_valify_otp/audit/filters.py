"""The filters of the lists, none of which can tell masked digits apart."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import pgettext_lazy

from django_valify_otp import access
from django_valify_otp.audit.looks import OPEN_PREFIX, permit_search
from django_valify_otp.audit.wording import name_refusal
from django_valify_otp.callers import ERASED
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.moments import local, parse_day, parse_moment, start_of

SIBLINGS = {
    "number": pgettext_lazy("OTP", "same number"),
    "caller": pgettext_lazy("OTP", "same caller"),
    "token": pgettext_lazy("OTP", "same access token"),
}
FROM, TO = "from", "to"
MOMENTS = ("created_at__gte", "created_at__lt")
# More are no use as a list of links.
LISTED_PURPOSES = 12
LISTED_BLOCKS = 8


class InputFilter(admin.ListFilter):
    """A filter with a form of its own, which keeps the rest of the address."""

    parameters: ClassVar[tuple[str, ...]]
    # Themes of the admin look for it, as most of Django's filters have one.
    parameter_name: ClassVar[str]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.person: Any = request.user
        for name in self.parameters:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]

    def expected_parameters(self) -> list[str | None]:
        """Return the parameters of the address that this filter reads."""
        return [*self.parameters]

    def has_output(self) -> bool:
        """Return ``True``: there is always something to type."""
        return True

    def value_of(self, name: str) -> str:
        """Return what the address has, without spaces around it."""
        return str(self.used_parameters.get(name, "")).strip()

    def kept(self, changelist: Any) -> list[tuple[str, str]]:
        """Return the parameters of the other filters and of the search."""
        return [
            (name, value)
            for name, value in changelist.params.items()
            if name not in self.parameters
        ]


class PeriodFilter(InputFilter):
    """Filter by time: from one day to another, both included, or by exact moments in a link."""

    parameters = (FROM, TO, *MOMENTS)
    parameter_name = FROM
    template = "admin/django_valify_otp/period_filter.html"
    title = pgettext_lazy("OTP", "period")

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the period."""
        first, last = self._day(FROM), self._day(TO)
        if first:
            queryset = queryset.filter(created_at__gte=start_of(first))
        if last:
            queryset = queryset.filter(created_at__lt=start_of(last + timedelta(days=1)))
        for name in MOMENTS:
            if name in self.used_parameters:
                queryset = queryset.filter(**{name: self._moment(name)})
        return queryset

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Return what the form is filled in with, then the shortcuts."""
        yield {
            "kept": self.kept(changelist),
            "from": self.value_of(FROM) or self._day_of(MOMENTS[0]),
            "to": self.value_of(TO) or self._day_of(MOMENTS[1]),
        }
        today = local(timezone.now()).date()
        shortcuts = {
            pgettext_lazy("OTP", "Any time"): (None, None),
            pgettext_lazy("OTP", "Today"): (today, today),
            pgettext_lazy("OTP", "Yesterday"): (today - timedelta(1), today - timedelta(1)),
            pgettext_lazy("OTP", "Past 7 days"): (today - timedelta(6), today),
            pgettext_lazy("OTP", "Past 30 days"): (today - timedelta(29), today),
        }
        for label, (first, last) in shortcuts.items():
            chosen = {FROM: first and first.isoformat(), TO: last and last.isoformat()}
            yield {
                "selected": self.used_parameters == {k: v for k, v in chosen.items() if v},
                "query_string": changelist.get_query_string(chosen, remove=[*MOMENTS]),
                "display": label,
            }

    def _day(self, name: str) -> date | None:
        """Return the day; an empty field is none."""
        text = self.value_of(name)
        day = parse_day(text)
        if text and not day:
            raise IncorrectLookupParameters
        return day

    def _moment(self, name: str) -> Any:
        moment = parse_moment(self.value_of(name))
        if moment is None:
            raise IncorrectLookupParameters
        return moment

    def _day_of(self, name: str) -> str:
        """Return the day of an exact moment."""
        moment = parse_moment(self.value_of(name))
        return local(moment).date().isoformat() if moment else ""


class PrefixFilter(InputFilter):
    """Filter by the first digits of the number; by four at most for those who see it masked."""

    parameters = ("prefix",)
    parameter_name = "prefix"
    template = "admin/django_valify_otp/prefix_filter.html"
    title = pgettext_lazy("OTP", "first digits of the number")

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """Return the rows whose number is in the range, by the index of numbers."""
        prefix = self.value_of("prefix")
        if not prefix:
            return queryset
        if not re.fullmatch(f"[0-9]{{1,{self._longest()}}}", prefix):
            raise IncorrectLookupParameters
        # Not LIKE, for which PostgreSQL would need another index. ":" comes after the digits.
        return queryset.filter(phone_number__gte=prefix, phone_number__lt=f"{prefix}:")

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """Return what the form is filled in with."""
        yield {
            "kept": self.kept(changelist),
            "value": self.value_of("prefix"),
            "longest": self._longest(),
            "clear": changelist.get_query_string(remove=["prefix"]),
        }

    def _longest(self) -> int:
        return 11 if access.may_view_phone_numbers(self.person) else OPEN_PREFIX


class PurposeFilter(admin.SimpleListFilter):
    """Filter by purpose."""

    title = pgettext_lazy("OTP", "purpose")
    parameter_name = "purpose"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """Return the first purposes there are, and the chosen one.

        Each is the one after the last in the index: ``DISTINCT`` would read the whole table.
        """
        purposes: list[str] = []
        while len(purposes) < LISTED_PURPOSES:
            later = OtpSend.objects.filter(purpose__gt=purposes[-1] if purposes else "")
            found = later.order_by("purpose").values_list("purpose", flat=True).first()
            if found is None:
                break
            purposes.append(found)
        chosen = self.value()
        if chosen and chosen not in purposes:
            purposes.append(chosen)
        return [(purpose, purpose) for purpose in purposes]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """Return the rows of the choice."""
        chosen = self.value()
        return queryset.filter(purpose=chosen) if chosen else queryset


class VerifiedFilter(admin.SimpleListFilter):
    """Filter by whether the OTP came back."""

    title = pgettext_lazy("OTP", "verification")
    parameter_name = "verified"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """Return the choices."""
        return [
            ("yes", pgettext_lazy("OTP", "verified")),
            ("no", pgettext_lazy("OTP", "sent, but not verified")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """Return the rows of the choice."""
        match self.value():
            case "yes":
                return queryset.filter(verified_at__isnull=False)
            case "no":
                return queryset.filter(status=OtpSend.Status.SENT, verified_at=None)
        return queryset


class BlockedByFilter(admin.SimpleListFilter):
    """Filter by the block or limit that refused: ``SendBlock 7``, ``NUMBER_SEND_LIMITS 5/1h``."""

    title = pgettext_lazy("OTP", "refused by")
    parameter_name = "blocked_by"

    def lookups(self, request: HttpRequest, *_args: Any) -> list[tuple[str, Any]]:
        """Return the newest blocks in force, to those who may see them, and the choice made."""
        blocks: QuerySet[SendBlock] = SendBlock.objects.none()
        if request.user.has_perm("django_valify_otp.view_sendblock"):
            blocks = SendBlock.objects.in_force(timezone.now()).order_by("-pk")
        choices = {block.name: str(block) for block in blocks[:LISTED_BLOCKS]}
        chosen = self.value()
        if chosen:
            choices.setdefault(chosen, name_refusal(chosen))
        return [*choices.items()]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """Return the attempts that it refused."""
        chosen = self.value()
        return queryset.filter(blocked_by=chosen) if chosen else queryset


class InForceFilter(admin.SimpleListFilter):
    """Filter blocks by whether they hold."""

    title = pgettext_lazy("OTP", "state")
    parameter_name = "state"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """Return the choices."""
        return [
            ("in-force", pgettext_lazy("OTP", "in force")),
            ("ended", pgettext_lazy("OTP", "ended")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[SendBlock]:
        """Return the blocks of the choice."""
        now = timezone.now()
        match self.value():
            case "in-force":
                found: QuerySet[SendBlock] = queryset.in_force(now)  # type: ignore[attr-defined]
                return found
            case "ended":
                return queryset.filter(ends_at__lte=now)
        return queryset


class TrialsRemainingFilter(admin.SimpleListFilter):
    """Filter by the uses left on the token; to look for the choices would read the whole table."""

    title = pgettext_lazy("OTP", "trials remaining")
    parameter_name = "trials"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """Return the choices."""
        return [
            ("0", "0"),
            ("1", "1"),
            ("2", "2"),
            ("more", pgettext_lazy("OTP", "3 or more")),
            ("none", pgettext_lazy("OTP", "none")),
        ]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """Return the rows of the choice."""
        match self.value():
            case "0" | "1" | "2" as trials:
                return queryset.filter(trials_remaining=int(trials))
            case "more":
                return queryset.filter(trials_remaining__gte=3)
            case "none":
                return queryset.filter(trials_remaining=None)
        return queryset


class SiblingFilter(admin.SimpleListFilter):
    """Filter by what attempts have in common with one; chosen on the page of that one.

    The address holds that one's id, not its number: whoever follows the link may see it masked.
    """

    title = pgettext_lazy("OTP", "in common")
    parameter_name = "sibling"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """Return the choice that was made."""
        common, pk = self._chosen()
        return [(f"{common}:{pk}", SIBLINGS[common])] if common in SIBLINGS else []

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet[OtpSend]:
        """Return the siblings of the chosen attempt, itself included; none if it is gone.

        Who sends to a number that they guess, and finds their attempt among the siblings, has
        searched for that number.
        """
        common, pk = self._chosen()
        sibling = find_attempt(pk)
        if sibling is None:
            return OtpSend.objects.none()
        if common == "number":
            user: Any = request.user
            permit_search(user, sibling.phone_number)
        siblings: QuerySet[OtpSend] = queryset.having_in_common(common, sibling)
        return siblings

    def _chosen(self) -> tuple[str, str]:
        common, _colon, pk = (self.value() or "").partition(":")
        return common, pk


def sibling_links(otp_send: OtpSend) -> SafeString:
    """Return links to the attempts that have something in common with this one."""
    url = reverse("admin:django_valify_otp_otpsend_changelist")
    known = {
        "number": otp_send.phone_number,
        "caller": otp_send.caller != ERASED,
        "token": otp_send.token_fingerprint,
    }
    links = [
        (f"{url}?{urlencode({SiblingFilter.parameter_name: f'{common}:{otp_send.pk}'})}", label)
        for common, label in SIBLINGS.items()
        if known[common]
    ]
    return format_html_join(" · ", '<a href="{}">{}</a>', links)


def find_attempt(pk: str) -> OtpSend | None:
    """Return the attempt with this key, if the text is one that a database can look for."""
    if not re.fullmatch("[0-9]{1,18}", pk):
        return None
    found: OtpSend | None = OtpSend.objects.filter(pk=pk).first()
    return found


# With any other lookup, somebody could guess a masked number digit by digit.
LOOKUPS = (
    "status__exact",
    "code__exact",
    *PeriodFilter.parameters,
    *PrefixFilter.parameters,
    PurposeFilter.parameter_name,
    VerifiedFilter.parameter_name,
    BlockedByFilter.parameter_name,
    TrialsRemainingFilter.parameter_name,
    SiblingFilter.parameter_name,
)
