"""The audit desk: find and read attempts, and forbid sends. Nothing here spends money."""

import re
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.contrib.admin.views.main import ERROR_FLAG, SEARCH_VAR
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_valify_otp.advice import advice_on
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.export import csv_chunks, from_thread
from django_valify_otp.models import ERASED, CallRecord, OtpSend, OtpVerification, SendBlock
from django_valify_otp.phone_numbers import mask, normalise
from django_valify_otp.services import VIEW_PHONE_NUMBERS
from django_valify_otp.summary import sections
from django_valify_otp.totals import DEFAULT_PERIOD, PERIODS, summarise

COUNTED_ROWS = 10_000


SIBLINGS = {
    "number": _("same number"),
    "caller": _("same caller"),
    "token": _("same access token"),
}


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the newest rows: a ``COUNT(*)`` over all of them would read the whole table."""

    @cached_property
    def count(self) -> int:
        """The number of rows, at most ``COUNTED_ROWS``."""
        rows: QuerySet[Model] = self.object_list  # type: ignore[assignment]
        return rows.order_by()[:COUNTED_ROWS].count()

    def page(self, number: Any) -> Any:
        """One page: an index finds its keys, so that what is skipped is neither read nor joined."""
        page = super().page(number)
        found: Any = page.object_list
        rows: Any = self.object_list
        page.object_list = rows.filter(pk__in=[*found.values_list("pk", flat=True)])
        return page


class TrialsRemainingFilter(admin.SimpleListFilter):
    """Uses left on the token; not built from the table, which would be read whole for it."""

    title = _("trials remaining")
    parameter_name = "trials"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """The choices."""
        return [("0", "0"), ("1", "1"), ("2", "2"), ("more", _("3 or more")), ("none", _("none"))]

    def queryset(self, _request: HttpRequest, queryset: QuerySet[OtpSend]) -> QuerySet[OtpSend]:
        """The rows of the choice."""
        match self.value():
            case "0" | "1" | "2" as trials:
                return queryset.filter(trials_remaining=int(trials))
            case "more":
                return queryset.filter(trials_remaining__gte=3)
            case "none":
                return queryset.filter(trials_remaining=None)
        return queryset


class SiblingFilter(admin.SimpleListFilter):
    """The attempts that have something in common with one; chosen on that one's page.

    The address holds the other's id, not the number: who follows it may see that masked.
    """

    title = _("in common")
    parameter_name = "sibling"

    def lookups(self, *_args: Any) -> list[tuple[str, Any]]:
        """The choice that was made."""
        common, _colon, pk = (self.value() or "").partition(":")
        return [(f"{common}:{pk}", SIBLINGS[common])] if common in SIBLINGS else []

    def queryset(self, _request: HttpRequest, queryset: Any) -> QuerySet[OtpSend]:
        """The siblings, itself included."""
        common, _colon, pk = (self.value() or "").partition(":")
        sibling = OtpSend.objects.filter(pk=pk).first() if pk.isdecimal() else None
        siblings: QuerySet[OtpSend] = queryset.none()
        if sibling:
            siblings = queryset.having_in_common(common, sibling)
        return siblings


LOOKUPS = {
    "status__exact",
    "code__exact",
    "created_at__gte",
    "created_at__lt",
    TrialsRemainingFilter.parameter_name,
    SiblingFilter.parameter_name,
}


class ReadOnly:
    """What happened is neither edited nor thinned out by hand."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Never: rows are written by attempts and tries."""
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        """Never."""
        return False


class RecordAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that attempts and tries have written."""

    list_per_page = 50
    ordering = ("-created_at", "-id")
    paginator = BoundedPaginator
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ("created_at",)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:  # noqa: ARG002
        """Only the filters: by others a masked number could be guessed digit by digit."""
        return lookup in LOOKUPS

    @admin.display(description=_("duration (seconds)"))
    def duration_in_seconds(self, row: CallRecord) -> str | None:
        """Seconds from the call to its record."""
        duration = row.duration
        return None if duration is None else f"{duration.total_seconds():.3f}"


class OtpVerificationInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The tries under their send."""

    model = OtpVerification
    extra = 0
    fields = ("created_at", "status", "code", "error_code", "valify_message", "user", "ip_address")
    ordering = ("created_at", "id")
    readonly_fields = fields
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[OtpVerification]:
        """The tries, with who made them."""
        return super().get_queryset(request).select_related("user")


def _filters_of(request: HttpRequest) -> str:
    """What a list was filtered and searched by, fit for the log."""
    filters = request.GET.dict()
    if SEARCH_VAR in filters:
        term = filters[SEARCH_VAR]
        with suppress(InvalidPhoneNumber):
            term = normalise(term)
        # Also of what is nearly a number.
        filters[SEARCH_VAR] = re.sub(r"\d{7,}", lambda digits: mask(digits[0]), term)
    return " ".join(f"{name}={value}" for name, value in filters.items())


@admin.register(OtpSend)
class OtpSendAdmin(RecordAdmin):
    """Attempts, for reading."""

    list_display = (
        "created_at",
        "number",
        "status",
        "code",
        "transaction_id",
        "trials",
        "duration_in_seconds",
        "verified_at",
        "user",
        "purpose",
    )
    list_filter = ("status", "code", "created_at", TrialsRemainingFilter, SiblingFilter)
    list_select_related = ("user",)
    inlines = (OtpVerificationInline,)
    # Without lookups of its own the admin shows no search box; get_search_results() does the work.
    search_fields = ("phone_number__exact", "transaction_id__exact")
    search_help_text = _("A whole phone number in any spelling, a whole transaction ID, or an ID.")
    readonly_fields = ("advice", "siblings")
    # In the order in which it happened.
    fieldsets = (
        (None, {"fields": ("uuid", "status", "advice", "siblings")}),
        (
            _("Asked for"),
            {
                "fields": (
                    "created_at",
                    "number",
                    "lang",
                    "purpose",
                    "user",
                    "caller",
                    "ip_address",
                    "limited_network",
                    "blocked_by",
                )
            },
        ),
        (_("Called"), {"fields": ("called_at", "token_fingerprint", "calls")}),
        (
            _("Answered"),
            {
                "fields": (
                    "settled_at",
                    "duration_in_seconds",
                    "code",
                    "http_status",
                    "transaction_id",
                    "trials_remaining",
                    "error_code",
                    "valify_message",
                    "reason",
                )
            },
        ),
        (_("Verified"), {"fields": ("verified_at",)}),
    )

    def get_urls(self) -> list[URLPattern]:
        """The admin's own, the summary's and the export's."""
        summary = self.admin_site.admin_view(self.summary_view)
        export = self.admin_site.admin_view(self.export_view)
        return [
            path("summary/", summary, name="otp-send-summary"),
            path("export/", export, name="otp-send-export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """The filtered list as CSV, of any length; each is an entry in the admin's log."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            attempts = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            url = reverse("admin:django_valify_otp_otpsend_changelist")
            return HttpResponseRedirect(f"{url}?{ERROR_FLAG}=1")
        whole_numbers = request.user.has_perm(VIEW_PHONE_NUMBERS)
        self.log_export(request, whole_numbers=whole_numbers)
        chunks = csv_chunks(attempts, whole_numbers=whole_numbers)
        return StreamingHttpResponse(
            from_thread(chunks) if isinstance(request, ASGIRequest) else chunks,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="otp-sends-{timezone.now():%F}.csv"'
            },
        )

    def log_export(self, request: HttpRequest, *, whole_numbers: bool) -> None:
        """Keep who exported what, before they have any of it."""
        text = _("Exported as CSV with masked phone numbers: %(filters)s")
        if whole_numbers:
            text = _("Exported as CSV with whole phone numbers: %(filters)s")
        user: Any = request.user
        LogEntry.objects.create(
            user_id=user.pk,
            content_type=ContentType.objects.get_for_model(OtpSend),
            object_repr=str(self.opts.verbose_name_plural),
            action_flag=CHANGE,
            change_message=text % {"filters": _filters_of(request) or "*"},
        )

    def summary_view(self, request: HttpRequest) -> HttpResponse:
        """How sending went in a period."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("period")
        chosen = wanted if wanted in PERIODS else DEFAULT_PERIOD
        context = {
            **self.admin_site.each_context(request),
            "title": _("Summary"),
            "opts": self.opts,
            "periods": PERIODS,
            "chosen": chosen,
            "sections": sections(summarise(PERIODS[chosen])),
        }
        template = "admin/django_valify_otp/otpsend/summary.html"
        return TemplateResponse(request, template, context)

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[OtpSend],
        search_term: str,
    ) -> tuple[QuerySet[OtpSend], bool]:
        """The rows of exactly this number, transaction ID or ID, each by its index."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(transaction_id=term)
        with suppress(InvalidPhoneNumber):
            wanted |= Q(phone_number=normalise(term))
        with suppress(ValueError):
            wanted |= Q(uuid=UUID(term))
        return queryset.filter(wanted), False

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: OtpSend | None = None,
    ) -> HttpResponse:
        """One attempt; whoever sees its whole number leaves an entry in the admin's log."""
        if obj and obj.phone_number and request.user.has_perm(VIEW_PHONE_NUMBERS):
            text = gettext("Looked at the whole phone number %(masked)s.")
            self.log_change(request, obj, text % {"masked": obj.masked_phone_number})
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_fieldsets(self, request: HttpRequest, obj: OtpSend | None = None) -> Any:
        """The fields, with the whole number for those who may view it."""
        fieldsets = super().get_fieldsets(request, obj)
        if not request.user.has_perm(VIEW_PHONE_NUMBERS):
            return fieldsets
        return [
            (
                name,
                {
                    **options,
                    "fields": [
                        "phone_number" if field == "number" else field
                        for field in options["fields"]
                    ],
                },
            )
            for name, options in fieldsets
        ]

    @admin.display(description=_("phone number"))
    def number(self, otp_send: OtpSend) -> SafeString | str:
        """The masked number, left to right also in a right-to-left page."""
        if not otp_send.phone_number:
            return gettext("anonymised")
        return format_html('<span dir="ltr">{}</span>', otp_send.masked_phone_number)

    @admin.display(description=_("meaning"))
    def advice(self, otp_send: OtpSend) -> str:
        """What became of it, and what there is to do about it."""
        return advice_on(otp_send)

    @admin.display(description=_("attempts with the"))
    def siblings(self, otp_send: OtpSend) -> SafeString:
        """Links to what it has something in common with."""
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

    @admin.display(description=_("trials remaining (of the token)"))
    def trials(self, otp_send: OtpSend) -> int | None:
        """Uses left on the token that made the call."""
        return otp_send.trials_remaining


@admin.register(OtpVerification)
class OtpVerificationAdmin(RecordAdmin):
    """Tries, for reading."""

    list_display = ("created_at", "otp_send", "status", "code", "duration_in_seconds", "user")
    list_filter = ("status", "code", "created_at")
    list_select_related = ("otp_send", "user")
    fields = (
        "uuid",
        "otp_send",
        "status",
        "code",
        "reason",
        "user",
        "caller",
        "ip_address",
        "http_status",
        "error_code",
        "valify_message",
        "token_fingerprint",
        "calls",
        "created_at",
        "called_at",
        "settled_at",
        "duration_in_seconds",
        "redeemed_at",
    )


@admin.register(SendBlock)
class SendBlockAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What may not be sent. The admin's log keeps who made a block, changed it or lifted it."""

    list_display = ("__str__", "user", "reason", "ends_at")
    list_filter = ("scope",)
    list_select_related = ("user",)
    ordering = ("-pk",)
    raw_id_fields = ("user",)
