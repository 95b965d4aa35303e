from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from example.views import index, sign_up, signed_up, swagger_ui

urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("sign-up/", sign_up, name="sign_up"),
    path("signed-up/", signed_up, name="signed_up"),
    path("otp/", include("django_valify_otp.urls")),
    path("openapi/", SpectacularAPIView.as_view(), name="schema"),
    path("swagger/", swagger_ui, name="swagger_ui"),
]
