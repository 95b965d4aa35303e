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
    """The page on which a person confirms a phone number."""
    sandbox = sandbox_origin()
    inbox = sandbox and f"{sandbox}/inbox/"
    response = render(request, "example/index.html", {"inbox": inbox})
    frames = sandbox and f"; frame-src {sandbox}"
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY + frames
    return response


def sandbox_origin() -> str:
    """Where the sandbox answers; empty where Valify itself is called."""
    uses_sandbox = settings.DEBUG and settings.VALIFY_OTP["BUNDLE_KEY"] == "sandbox"
    return str(settings.VALIFY_OTP["BASE_URL"]).rstrip("/") if uses_sandbox else ""
