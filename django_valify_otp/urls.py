from django.urls import URLPattern
from rest_framework.routers import SimpleRouter

from django_valify_otp.views import OtpSendViewSet

app_name = "django_valify_otp"


def routes(*, trailing_slash: bool) -> list[URLPattern]:
    """Return the routes of the endpoints."""
    router = SimpleRouter(trailing_slash=trailing_slash)
    if not trailing_slash:
        leave_out_of_schemas(router)
    router.register("sends", OtpSendViewSet, basename="otp-send")
    return [route for route in router.urls if isinstance(route, URLPattern)]


def leave_out_of_schemas(router: SimpleRouter) -> None:
    """Keep the routes of the router out of OpenAPI: those with a slash are the same endpoints."""
    router.routes = [
        route._replace(initkwargs={**route.initkwargs, "schema": None}) for route in router.routes
    ]


# Without its slash, a POST would be redirected by Django and arrive as a GET. These have no name,
# so that the others are the ones that reverse() finds.
without_slash = [
    URLPattern(route.pattern, route.callback) for route in routes(trailing_slash=False)
]

urlpatterns = [*routes(trailing_slash=True), *without_slash]
