"""The admin's pages of blocks: make one, explain it, lift it, and see what it refused."""

from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import DateTimeField, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext, pgettext_lazy

from django_valify_otp import access, database_clock
from django_valify_otp.audit import looks
from django_valify_otp.audit.base_admin import MaskingAdmin
from django_valify_otp.audit.bidi import left_to_right
from django_valify_otp.audit.block_form import (
    FIELDS,
    AddBlockForm,
    ChangeBlockForm,
    EndWidget,
    MaskedUserWidget,
    UserField,
    filled_in,
)
from django_valify_otp.audit.columns import EMPTY, badge, cut, moment
from django_valify_otp.audit.filters import BlockedByFilter, InForceFilter, find_attempt
from django_valify_otp.audit.masking import masked_numbers, user_name
from django_valify_otp.audit.search import search_blocks
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.phone_numbers import mask_numbers

COUNTED_REFUSALS = 1000


class SendBlockAdmin(MaskingAdmin):
    """The pages of blocks. A block is lifted, not deleted: the attempts it refused name it."""

    actions = ("lift_selected",)
    formfield_overrides: ClassVar = {DateTimeField: {"widget": EndWidget}}
    list_display = (
        "target",
        "state",
        "masked_reason",
        "created",
        "masked_creator",
        "ends",
        "refusals",
    )
    list_filter = (InForceFilter, "scope")
    list_per_page = 25
    list_select_related: ClassVar[tuple[str, ...]] = ("user", "created_by")
    lookups = ("scope__exact", InForceFilter.parameter_name)
    ordering = ("-pk",)
    raw_id_fields = ("user",)
    search_fields = ("value",)
    show_facets = ShowFacets.NEVER
    search_help_text = pgettext_lazy(
        "OTP",
        "A whole phone number, the first digits of one, an IP address or network, a user (name,"
        " e-mail address or ID), or a word of the reason.",
    )
    sortable_by = ("ends",)

    class Media:
        css: ClassVar = {"all": ["django_valify_otp/desk.css"]}
        js = ("django_valify_otp/block_form.js",)

    def has_delete_permission(self, *_args: Any) -> bool:
        """Return ``False``: the attempts that a block refused go on naming it."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's own addresses, and the one that lifts a block."""
        lift = self.admin_site.admin_view(self.lift_view)
        name = "django_valify_otp_sendblock_lift"
        return [path("<path:object_id>/lift/", lift, name=name), *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SendBlock], search_term: str
    ) -> tuple[QuerySet[SendBlock], bool]:
        """Return the blocks of this number, address or user, or with this word in the reason."""
        return search_blocks(queryset, search_term.strip(), searcher=request.user), False

    def get_form(
        self,
        request: HttpRequest,
        obj: SendBlock | None = None,
        change: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the form of a new block, or of one that is there."""
        form: Any = ChangeBlockForm if obj else AddBlockForm
        kwargs["form"] = form
        form = super().get_form(request, obj, change, **kwargs)
        form.person, form.attempt = request.user, _attempt(request)
        return form

    def get_fields(self, request: HttpRequest, obj: SendBlock | None = None) -> Any:
        """Return the fields: what is blocked is chosen once."""
        if obj is None:
            return ["scope", *FIELDS.values(), "confirm", "reason", "ends_at"]
        may_change = self.has_change_permission(request, obj)
        stops = may_change and obj.scope == SendBlock.Scope.EVERYTHING
        return [
            "state",
            "scope",
            *self._target_fields(request, obj),
            "reason",
            "ends_at",
            *(["confirm"] if stops else []),
            "created",
            "masked_creator",
            "refusals",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: SendBlock | None = None) -> list[str]:
        """Return all fields of a block that is there, but those of its form."""
        if obj is None:
            return []
        editable = {"reason", "ends_at", "confirm"}
        return [name for name in self.get_fields(request, obj) if name not in editable]

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Return a field that takes what support is told about a user."""
        kwargs["form_class"] = UserField
        kwargs["widget"] = MaskedUserWidget(db_field.remote_field, self.admin_site)
        field: Any = super().formfield_for_foreignkey(db_field, request, **kwargs)
        field.help_text = pgettext("OTP", "The user's ID, user name or e-mail address.")
        return field

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the form is filled in with: of the address, only the attempt it names."""
        attempt = _attempt(request)
        if attempt is None:
            return {}
        may_look = looks.may_look(request.user)
        fields = filled_in(attempt, request.GET.get("scope", ""), may_look=may_look)
        masked = _masked_on_form(fields, attempt)
        if may_look and masked:
            looks.log_look(request.user, attempt, masked)
        return fields

    def save_model(self, request: HttpRequest, obj: SendBlock, form: Any, change: Any) -> None:
        """Save the block, with whoever made it."""
        if not change:
            user: Any = request.user
            obj.created_by = user
        super().save_model(request, obj, form, change)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the block, with a button that lifts it."""
        block = context["original"]
        if block and self.has_change_permission(request, block) and _is_in_force(block):
            name = "admin:django_valify_otp_sendblock_lift"
            context["lift_url"] = reverse(name, args=[block.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    def lift_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lift one block, by POST."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        block = self.get_object(request, unquote(object_id))
        if not self.has_change_permission(request, block):
            raise PermissionDenied
        if block is None:
            return HttpResponseRedirect(reverse("admin:django_valify_otp_sendblock_changelist"))
        self._lift(request, [block])
        page = reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])
        return HttpResponseRedirect(page)

    @admin.action(
        description=pgettext_lazy("OTP", "Lift the selected send blocks"), permissions=["change"]
    )
    def lift_selected(self, request: HttpRequest, queryset: QuerySet[SendBlock]) -> None:
        """Lift the blocks that were chosen in the list."""
        self._lift(request, [*queryset])

    def _lift(self, request: HttpRequest, blocks: list[SendBlock]) -> None:
        """End the blocks that are in force now, with an entry for each in the admin's log."""
        using = router.db_for_write(SendBlock)
        now, count = database_clock.now(using), 0
        for block in blocks:
            if SendBlock.objects.using(using).filter(pk=block.pk).lift(now):
                self.log_change(request, block, pgettext("OTP", "Lifted."))
                count += 1
        text = pgettext("OTP", "Blocks lifted: %(count)d.")
        messages.success(request, text % {"count": count})

    def _target_fields(self, request: HttpRequest, block: SendBlock) -> list[str]:
        """Return the field of the value, masked for those who may not see it whole."""
        is_hidden = masked_numbers(block) and not looks.may_look(request.user)
        match block.scope:
            case SendBlock.Scope.EVERYTHING:
                return []
            case SendBlock.Scope.USER:
                return ["masked_user" if is_hidden else "user"]
        return ["masked_value" if is_hidden else "value"]

    @admin.display(description=pgettext_lazy("OTP", "what is blocked"))
    def target(self, block: SendBlock) -> SafeString:
        """Return the scope in words, with its value or user."""
        value = block.masked_value or mask_numbers(user_name(block))
        return format_html("{} {}", block.get_scope_display(), left_to_right(value))

    @admin.display(description=pgettext_lazy("OTP", "state"))
    def state(self, block: SendBlock) -> SafeString:
        """Return whether the block holds."""
        if _is_in_force(block):
            return badge("in-force", pgettext("OTP", "in force"))
        return badge("ended", pgettext("OTP", "ended"))

    @admin.display(description=pgettext_lazy("OTP", "reason"))
    def masked_reason(self, block: SendBlock) -> SafeString | str:
        """Return the reason, with the numbers in it masked."""
        return cut(mask_numbers(block.reason))

    @admin.display(description=pgettext_lazy("OTP", "created at"))
    def created(self, block: SendBlock) -> SafeString | str:
        """Return when it was made."""
        return moment(block.created_at)

    @admin.display(description=pgettext_lazy("OTP", "created by"))
    def masked_creator(self, block: SendBlock) -> str:
        """Return who made it, masked if their name is a number."""
        return mask_numbers(str(block.created_by or EMPTY))

    @admin.display(description=pgettext_lazy("OTP", "ends at"), ordering="ends_at")
    def ends(self, block: SendBlock) -> SafeString | str:
        """Return when it ends or has ended."""
        return moment(block.ends_at)

    @admin.display(description=pgettext_lazy("OTP", "refused attempts"))
    def refusals(self, block: SendBlock) -> SafeString:
        """Return how many attempts it refused, counted up to a thousand, linked to their list."""
        count = block.refused()[:COUNTED_REFUSALS].count()
        text = pgettext("OTP", "1,000 or more") if count == COUNTED_REFUSALS else str(count)
        url = reverse("admin:django_valify_otp_otpsend_changelist")
        query = urlencode({BlockedByFilter.parameter_name: block.name})
        return format_html('<a href="{}?{}">{}</a>', url, query, text)

    @admin.display(description=pgettext_lazy("OTP", "value"))
    def masked_value(self, block: SendBlock) -> str:
        """Return the value, masked if it is most of a number."""
        return block.masked_value


def _is_in_force(block: SendBlock) -> bool:
    return block.is_in_force(timezone.now())


def _attempt(request: HttpRequest) -> OtpSend | None:
    """Return the attempt that the address names, to those who may see it."""
    if not access.may_view_all(request.user):
        return None
    return find_attempt(request.GET.get("attempt", ""))


def _masked_on_form(fields: dict[str, Any], attempt: OtpSend) -> str:
    """Return the number that the form shows whole, masked; ``""`` if there is none."""
    if "number" in fields or "first_digits" in fields:
        return attempt.masked_phone_number
    key = fields.get("user", "")
    masked = mask_numbers(key)
    return masked if masked != key else ""
