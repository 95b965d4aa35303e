"""The audit desk, beside what Django's and DRF's defaults make of the same table."""

from typing import Any

from django.contrib import admin
from django.urls import include, path
from rest_framework import filters, generics, pagination

from django_valify_otp.admin import OtpSendAdmin
from django_valify_otp.models import OtpSend
from django_valify_otp.serializers import OtpSendSerializer

SEARCHED = ("phone_number", "transaction_id")


class DefaultAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """As a tutorial would have it."""

    change_list_template = "admin/change_list.html"
    list_display = (
        "created_at",
        "phone_number",
        "status",
        "code",
        "transaction_id",
        "trials_remaining",
        "verified_at",
        "user",
        "purpose",
    )
    list_filter = ("status", "code", "created_at", "trials_remaining")
    list_per_page = OtpSendAdmin.list_per_page
    ordering = ("-created_at",)
    search_fields = SEARCHED


class DefaultPagination(pagination.PageNumberPagination):
    """With as many rows as the app's own pages."""

    page_size = 50


class DefaultList(generics.ListAPIView[OtpSend]):
    """As a tutorial would have it."""

    filter_backends = (filters.SearchFilter,)
    pagination_class = DefaultPagination
    queryset = OtpSend.objects.order_by("-created_at")
    search_fields = SEARCHED
    serializer_class = OtpSendSerializer

    def get_serializer_context(self) -> dict[str, Any]:
        """What the serializer wants to know."""
        return {**super().get_serializer_context(), "user": self.request.user}


default_site = admin.AdminSite(name="default")
default_site.register(OtpSend, DefaultAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("default/", default_site.urls),
    path("otp/", include("django_valify_otp.urls")),
    path("default-api/", DefaultList.as_view()),
]
