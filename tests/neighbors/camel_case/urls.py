from django.urls import include, path
from djangorestframework_camel_case.parser import CamelCaseJSONParser
from djangorestframework_camel_case.render import CamelCaseJSONRenderer
from rest_framework.routers import SimpleRouter

from django_valify_otp.views import OtpSendViewSet


class CamelCaseViewSet(OtpSendViewSet):
    """The endpoints as the rest of the site has its own."""

    parser_classes = (CamelCaseJSONParser,)
    renderer_classes = (CamelCaseJSONRenderer,)


router = SimpleRouter()
router.register("codes", CamelCaseViewSet, basename="code")

urlpatterns = [path("otp/", include("django_valify_otp.urls")), path("", include(router.urls))]
