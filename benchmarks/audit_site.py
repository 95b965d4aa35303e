"""Serve the audit pages, and Django's and DRF's defaults for the same table."""

from django.contrib import admin
from django.urls import include, path
from rest_framework import filters, generics, pagination, serializers

from django_valify_otp.admin import OtpSendAdmin
from django_valify_otp.models import OtpSend

SEARCHED = ("phone_number", "transaction_id")


class DefaultAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin as in a tutorial."""

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
    """DRF's pages, with as many rows as the app's own."""

    page_size = 50


class DefaultSerializer(serializers.ModelSerializer[OtpSend]):
    """The rows as in a tutorial."""

    class Meta:
        model = OtpSend
        fields = "__all__"


class DefaultList(generics.ListAPIView[OtpSend]):
    """The list as in a tutorial."""

    filter_backends = (filters.SearchFilter,)
    pagination_class = DefaultPagination
    queryset = OtpSend.objects.order_by("-created_at")
    search_fields = SEARCHED
    serializer_class = DefaultSerializer


default_site = admin.AdminSite(name="default")
default_site.register(OtpSend, DefaultAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("default/", default_site.urls),
    path("otp/", include("django_valify_otp.urls")),
    path("default-api/", DefaultList.as_view()),
]
