"""Say on each page of the app that a block stops all sending."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import pgettext

from django_valify_otp.audit.bidi import isolated
from django_valify_otp.models import SendBlock
from django_valify_otp.moments import local
from django_valify_otp.phone_numbers import mask_numbers


def warn_if_stopped(request: HttpRequest, response: HttpResponse) -> None:
    """Show a message on the page, if there is one, while a block stops all sending.

    It is one of Django's messages, as those have a place on the pages of every theme.
    """
    if not isinstance(response, TemplateResponse):
        return
    blocks = SendBlock.objects.in_force(timezone.now()).filter(scope=SendBlock.Scope.EVERYTHING)
    block = blocks.select_related("created_by").order_by("pk").first()
    if block:
        messages.error(request, _warning(block), extra_tags="valify-stopped", fail_silently=True)


def _warning(block: SendBlock) -> SafeString:
    """Return the warning, with a link to the block."""
    since = isolated(f"{local(block.created_at):%Y-%m-%d %H:%M:%S}")
    parts = [pgettext("OTP", "All sending is stopped since %(since)s.") % {"since": since}]
    if block.created_by:
        name = mask_numbers(str(block.created_by))
        parts.append(pgettext("OTP", "Stopped by %(name)s.") % {"name": name})
    if block.reason:
        reason = mask_numbers(block.reason)
        parts.append(pgettext("OTP", "Reason: %(reason)s") % {"reason": reason})
    url = reverse("admin:django_valify_otp_sendblock_change", args=[block.pk])
    link = pgettext("OTP", "See the block")
    return format_html('<span>{}</span> <a href="{}">{}</a>', " ".join(parts), url, link)
