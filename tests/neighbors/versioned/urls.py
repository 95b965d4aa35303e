from django.urls import include, path

urlpatterns = [path("api/<str:version>/otp/", include("django_valify_otp.urls"))]
