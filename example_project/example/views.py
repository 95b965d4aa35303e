from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from drf_spectacular.views import SpectacularSwaggerSplitView

from django_valify_otp.exceptions import InvalidVerificationToken
from django_valify_otp.services import redeem_verification_token

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
# Swagger UI writes styles into its page, and has pictures in its own.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@ensure_csrf_cookie
def index(request: HttpRequest) -> HttpResponse:
    """Show the page on which a visitor verifies a phone number."""
    sandbox = sandbox_origin()
    inbox = sandbox and f"{sandbox}/inbox/?{urlencode({'lang': get_language()})}"
    response = render(request, "example/index.html", {"inbox": inbox})
    # The page also asks the sandbox whether it is there.
    frames = sandbox and f" {sandbox}; frame-src {sandbox}"
    response["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'{frames}"
    return response


@require_POST
def sign_up(request: HttpRequest) -> HttpResponse:
    """Redeem a verification token. A real site creates the account in the same transaction."""
    token = request.POST.get("verification_token", "")
    try:
        request.session["phone_number"] = redeem_verification_token(token, purpose="signup")
    except InvalidVerificationToken:
        return show_end(request, phone_number="", status=HTTPStatus.BAD_REQUEST)
    return redirect("signed_up")


def signed_up(request: HttpRequest) -> HttpResponse:
    """Show whose number the site has confirmed in this session."""
    phone_number = request.session.get("phone_number")
    if phone_number is None:
        return redirect("index")
    return show_end(request, phone_number=phone_number)


def show_end(
    request: HttpRequest, *, phone_number: str, status: int = HTTPStatus.OK
) -> HttpResponse:
    """Return the last page: that the number is confirmed, or why it is not."""
    context = {"phone_number": phone_number}
    response = render(request, "example/signed_up.html", context, status=status)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def swagger_ui(request: HttpRequest) -> HttpResponse:
    """Show the REST API in Swagger UI, whose files are this site's own."""
    response = SpectacularSwaggerSplitView.as_view(url_name="schema")(request)
    response["Content-Security-Policy"] = SWAGGER_POLICY
    return response


def sandbox_origin() -> str:
    """Return the address of the sandbox, or ``""`` if the site calls Valify itself."""
    uses_sandbox = settings.DEBUG and settings.VALIFY_OTP["BUNDLE_KEY"] == "sandbox"
    return str(settings.VALIFY_OTP["BASE_URL"]).rstrip("/") if uses_sandbox else ""
