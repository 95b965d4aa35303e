from django.urls import include, path

urlpatterns = [path("otp/", include("django_valify_otp.urls"))]
