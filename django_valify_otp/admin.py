"""Let staff find and read attempts, and forbid sends. Nothing here spends money."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
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
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext, pgettext_lazy

from django_valify_otp.audit import looks
from django_valify_otp.audit.attempt_page import read_attempt
from django_valify_otp.audit.banner import warn_if_stopped
from django_valify_otp.audit.base_admin import RecordAdmin
from django_valify_otp.audit.block_admin import SendBlockAdmin
from django_valify_otp.audit.changelist import read_as_utf8
from django_valify_otp.audit.columns import (
    EMPTY,
    cut,
    heading,
    identifier,
    masked_number,
    time_after,
)
from django_valify_otp.audit.export import csv_chunks, from_thread
from django_valify_otp.audit.filters import (
    BlockedByFilter,
    PeriodFilter,
    PrefixFilter,
    PurposeFilter,
    SiblingFilter,
    TrialsRemainingFilter,
    VerifiedFilter,
)
from django_valify_otp.audit.periods import DEFAULT_PERIOD, PERIODS
from django_valify_otp.audit.search import search_sends, search_tries
from django_valify_otp.audit.statistics import summarize
from django_valify_otp.audit.summary import headlines, sections
from django_valify_otp.audit.wording import name_lang, name_refusal
from django_valify_otp.models import OtpSend, OtpVerification, SendBlock


@admin.register(OtpSend)
class OtpSendAdmin(RecordAdmin):
    """The pages of attempts."""

    list_display = (
        "when",
        "number",
        "status_badge",
        "verified",
        "why",
        "trials",
        "seconds",
        "short_user",
        "short_purpose",
        "short_transaction_id",
    )
    list_filter = (
        PeriodFilter,
        "status",
        "code",
        VerifiedFilter,
        PrefixFilter,
        PurposeFilter,
        TrialsRemainingFilter,
        BlockedByFilter,
        SiblingFilter,
    )
    change_form_template = "admin/django_valify_otp/otpsend/change_form.html"
    # Without lookups of its own the admin shows no search box; get_search_results() does the work.
    search_fields = ("phone_number__exact", "transaction_id__exact")
    search_help_text = pgettext_lazy(
        "OTP",
        "A whole phone number in any spelling, a transaction ID, the ID of an attempt, an IP"
        " address, or a user (name, e-mail address or ID).",
    )
    fieldsets = (
        (None, {"fields": ("number", "masked_user", "purpose", "uuid", "transaction_id")}),
        (
            pgettext_lazy("OTP", "Technical details"),
            {
                "fields": (
                    "status",
                    "code",
                    "refused_by",
                    "reason",
                    "http_status",
                    "error_code",
                    "valify_message",
                    "sms_language",
                    "masked_caller",
                    "ip_address",
                    "limited_network",
                    "duration_in_seconds",
                    "trials_remaining",
                    "token_fingerprint",
                    "calls",
                )
            },
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's own addresses, the summary's and the export's."""
        summary = self.admin_site.admin_view(self.summary_view)
        export = self.admin_site.admin_view(self.export_view)
        return [
            path("summary/", summary, name="otp-send-summary"),
            path("export/", export, name="otp-send-export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Stream the filtered list as CSV, of any length, and log who exports it."""
        if not self.has_view_permission(request) or not looks.can_be_logged(request.user):
            raise PermissionDenied
        try:
            changelist = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            url = reverse("admin:django_valify_otp_otpsend_changelist")
            return HttpResponseRedirect(f"{url}?{ERROR_FLAG}=1")
        whole_numbers = looks.may_look(request.user)
        filters = changelist.masked_filters()  # type: ignore[attr-defined]
        looks.log_export(request.user, filters, whole_numbers=whole_numbers)
        chunks = csv_chunks(changelist.queryset, whole_numbers=whole_numbers)
        name = f"otp-sends-{timezone.now():%F}.csv"
        return StreamingHttpResponse(
            from_thread(chunks) if isinstance(request, ASGIRequest) else chunks,
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def summary_view(self, request: HttpRequest) -> HttpResponse:
        """Show how sending went in a period."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        read_as_utf8(request)
        wanted = request.GET.get("period")
        chosen = wanted if wanted in PERIODS else DEFAULT_PERIOD
        summary, title = summarize(PERIODS[chosen]), pgettext("OTP", "Summary")
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            # Where a page of one row has the row: the last of the breadcrumbs.
            "original": title,
            "has_view_permission": True,
            "periods": PERIODS,
            "chosen": chosen,
            "headlines": headlines(summary),
            "sections": sections(summary),
        }
        template = "admin/django_valify_otp/otpsend/summary.html"
        response = TemplateResponse(request, template, context)
        warn_if_stopped(request, response)
        return response

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Show one attempt: what it means now, how it came about, and what can be done."""
        context |= read_attempt(obj, user=request.user)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OtpSend], search_term: str
    ) -> tuple[QuerySet[OtpSend], bool]:
        """Return the attempts of this number, transaction, attempt, user or IP address."""
        return search_sends(queryset, search_term.strip(), searcher=request.user), False

    @admin.display(description=pgettext_lazy("OTP", "phone number"))
    def number(self, otp_send: OtpSend) -> SafeString | str:
        """Return the masked number, left to right also on a right-to-left page."""
        return masked_number(otp_send)

    @admin.display(description=pgettext_lazy("OTP", "blocked by"))
    def refused_by(self, otp_send: OtpSend) -> str:
        """Return the limit or block that refused it, in words."""
        return name_refusal(otp_send.blocked_by)

    @admin.display(description=pgettext_lazy("OTP", "language"))
    def sms_language(self, otp_send: OtpSend) -> str:
        """Return the language of the SMS."""
        return name_lang(otp_send.lang)

    @admin.display(description=pgettext_lazy("OTP", "verified"))
    def verified(self, otp_send: OtpSend) -> SafeString | str:
        """Return when the OTP came back."""
        return time_after(otp_send.verified_at, otp_send.created_at)

    @admin.display(
        description=heading(
            pgettext_lazy("OTP", "trials"), pgettext_lazy("OTP", "trials remaining (of the token)")
        )
    )
    def trials(self, otp_send: OtpSend) -> int | str:
        """Return the uses left on the token that made the call."""
        trials = otp_send.trials_remaining
        return EMPTY if trials is None else trials

    @admin.display(description=pgettext_lazy("OTP", "purpose"))
    def short_purpose(self, otp_send: OtpSend) -> SafeString | str:
        """Return the purpose, cut if it is long."""
        return cut(otp_send.purpose)

    @admin.display(description=pgettext_lazy("OTP", "transaction ID"))
    def short_transaction_id(self, otp_send: OtpSend) -> SafeString | str:
        """Return the transaction ID, cut if it is long."""
        return identifier(otp_send.transaction_id)


@admin.register(OtpVerification)
class OtpVerificationAdmin(RecordAdmin):
    """The pages of tries."""

    list_display = (
        "when",
        "number",
        "status_badge",
        "why",
        "seconds",
        "short_user",
        "short_address",
        "attempt",
    )
    list_filter = (PeriodFilter, "status", "code")
    list_select_related = ("otp_send", "user")
    search_fields = ("otp_send__phone_number__exact",)
    search_help_text = pgettext_lazy(
        "OTP",
        "A whole phone number in any spelling, the ID of an attempt or of a try, a transaction ID,"
        " an IP address, or a user (name, e-mail address or ID).",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "otp_send",
                    "status",
                    "code",
                    "created_at",
                    "masked_user",
                    "error_code",
                    "valify_message",
                    "redeemed_at",
                    "uuid",
                )
            },
        ),
        (
            pgettext_lazy("OTP", "Technical details"),
            {
                "fields": (
                    "reason",
                    "http_status",
                    "masked_caller",
                    "ip_address",
                    "called_at",
                    "settled_at",
                    "duration_in_seconds",
                    "token_fingerprint",
                    "calls",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OtpVerification], search_term: str
    ) -> tuple[QuerySet[OtpVerification], bool]:
        """Return the tries of this number, attempt, user or IP address."""
        return search_tries(queryset, search_term.strip(), searcher=request.user), False

    @admin.display(description=pgettext_lazy("OTP", "phone number"))
    def number(self, verification: OtpVerification) -> SafeString | str:
        """Return the masked number of the attempt."""
        return masked_number(verification.otp_send)

    @admin.display(description=pgettext_lazy("OTP", "IP address"))
    def short_address(self, verification: OtpVerification) -> SafeString | str:
        """Return where the OTP was typed."""
        return identifier(verification.ip_address or "")

    @admin.display(description=pgettext_lazy("OTP", "OTP send"))
    def attempt(self, verification: OtpVerification) -> SafeString:
        """Return a link to the attempt."""
        otp_send = verification.otp_send
        url = reverse("admin:django_valify_otp_otpsend_change", args=[otp_send.pk])
        return format_html('<a href="{}">{}</a>', url, identifier(str(otp_send.uuid)))


admin.site.register(SendBlock, SendBlockAdmin)
