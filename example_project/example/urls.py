from django.contrib import admin
from django.urls import include, path

from example.views import index

urlpatterns = [
    path("", index, name="index"),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("otp/", include("django_valify_otp.urls")),
]
