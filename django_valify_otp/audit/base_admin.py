"""What the app's pages in the admin have in common: they mask numbers, and log who sees them."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import pgettext_lazy

from django_valify_otp.audit import looks
from django_valify_otp.audit.banner import warn_if_stopped
from django_valify_otp.audit.changelist import BoundedPaginator, SafeChangeList, read_as_utf8
from django_valify_otp.audit.columns import EMPTY, badge, cut, moment
from django_valify_otp.audit.facts import columns_with_values, read_facts
from django_valify_otp.audit.filters import LOOKUPS
from django_valify_otp.audit.masking import AuditedRow, fields_to_show, masked_numbers, user_name
from django_valify_otp.audit.wording import name_caller
from django_valify_otp.models import CallRecord
from django_valify_otp.phone_numbers import mask_numbers


class MaskingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Pages that mask phone numbers, and by which none can be guessed."""

    list_select_related: ClassVar[tuple[str, ...]] = ("user",)
    lookups: ClassVar[tuple[str, ...]] = ()

    # Django 5.2 looks for the name of each parameter.
    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:  # noqa: ARG002
        """Allow the filters, and nothing else."""
        return lookup in self.lookups

    def get_changelist(self, *_args: Any, **_kwargs: Any) -> type[ChangeList]:
        """Return the class of the list."""
        return SafeChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Show the list, with a warning while all sending is stopped."""
        response = super().changelist_view(request, extra_context)
        warn_if_stopped(request, response)
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        """Show one row, or the form of a new one, with the same warning."""
        response = super().changeform_view(request, object_id, form_url, extra_context)
        warn_if_stopped(request, response)
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Show what the admin's log has of a row, with the same warning."""
        response = super().history_view(request, object_id, extra_context)
        warn_if_stopped(request, response)
        return response

    def get_preserved_filters(self, request: HttpRequest) -> str:
        """Return the filters of the list: the first thing that a page reads of its address."""
        read_as_utf8(request)
        return super().get_preserved_filters(request)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Show one row, and log it if a whole number is on its page."""
        numbers = masked_numbers(obj) if obj else []
        if numbers and looks.may_look(request.user):
            looks.log_look(request.user, obj, *numbers)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """Return the row; Django takes an empty ``_to_field`` for the name of a field."""
        return super().get_object(request, object_id, from_field or None)

    def to_field_allowed(self, _request: HttpRequest, to_field: str) -> bool:
        """Allow the key alone: nothing refers to another field, and Django trips over relations."""
        return to_field == self.opts.pk.name

    @admin.display(description=pgettext_lazy("OTP", "user"))
    def masked_user(self, row: AuditedRow) -> str:
        """Return the user's name, masked if it is a phone number."""
        return mask_numbers(user_name(row)) or self.get_empty_value_display()


class ReadOnly:
    """Pages on which nothing is added, changed or deleted: they are the record."""

    def has_add_permission(self, *_args: Any) -> bool:
        """Return ``False``: only attempts and tries add rows."""
        return False

    def has_change_permission(self, *_args: Any) -> bool:
        """Return ``False``."""
        return False

    def has_delete_permission(self, *_args: Any) -> bool:
        """Return ``False``."""
        return False


class RecordAdmin(ReadOnly, MaskingAdmin):
    """Pages about the rows that attempts and tries have written."""

    list_per_page = 50
    lookups = LOOKUPS
    ordering = ("-created_at", "-id")
    paginator = BoundedPaginator
    show_facets = ShowFacets.NEVER
    show_full_result_count = False
    sortable_by = ("when",)

    class Media:
        css: ClassVar = {"all": ["django_valify_otp/desk.css"]}

    change_form_template = "admin/django_valify_otp/record.html"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that have a value, with whole numbers for those who may see them."""
        may_look = looks.may_look(request.user)
        fieldsets = []
        for name, options in super().get_fieldsets(request, obj):
            columns = [*map(str, options["fields"])]
            filled = columns_with_values(columns, obj) if obj else columns
            fields = fields_to_show(filled, obj, may_look=may_look)
            fieldsets.append((name, {**options, "fields": fields}))
        return fieldsets

    @admin.display(description=pgettext_lazy("OTP", "when"), ordering="created_at")
    def when(self, row: CallRecord) -> SafeString | str:
        """Return when it was asked for, to the second."""
        return moment(row.created_at)

    @admin.display(description=pgettext_lazy("OTP", "status"))
    def status_badge(self, row: Any) -> SafeString:
        """Return the status, with a symbol."""
        return badge(row.status, row.get_status_display())

    @admin.display(description=pgettext_lazy("OTP", "why"))
    def why(self, row: Any) -> str:
        """Return the code in words."""
        return row.get_code_display() or EMPTY

    @admin.display(description=pgettext_lazy("OTP", "seconds"))
    def seconds(self, row: CallRecord) -> str:
        """Return how long the call took."""
        duration = row.duration
        return EMPTY if duration is None else f"{duration.total_seconds():.3f}"

    @admin.display(description=pgettext_lazy("OTP", "user"))
    def short_user(self, row: AuditedRow) -> SafeString | str:
        """Return the user's name, masked if it is a phone number, and cut if it is long."""
        return cut(mask_numbers(user_name(row)))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show one row: what there is to know of it, and below it what is for developers."""
        known, technical = context["adminform"]
        context |= {"facts": [*read_facts(known)], "technical": [*read_facts(technical)]}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=pgettext_lazy("OTP", "duration (seconds)"))
    def duration_in_seconds(self, row: CallRecord) -> str:
        """Return the seconds from the call to its record."""
        duration = row.duration
        if duration is None:
            return self.get_empty_value_display()
        return f"{duration.total_seconds():.3f}"

    @admin.display(description=pgettext_lazy("OTP", "caller"))
    def masked_caller(self, row: CallRecord) -> str:
        """Return who wanted the call, masked if that is a phone number."""
        return name_caller(row.caller)

    @admin.display(description=pgettext_lazy("OTP", "caller"))
    def whole_caller(self, row: CallRecord) -> str:
        """Return who wanted the call."""
        return name_caller(row.caller, whole_numbers=True)
