from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@ensure_csrf_cookie
def index(request: HttpRequest) -> HttpResponse:
    """The page on which a person asks for a code."""
    inbox = f"{settings.VALIFY_OTP['BASE_URL']}/inbox/" if settings.DEBUG else ""
    response = render(request, "example/index.html", {"inbox": inbox})
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response
