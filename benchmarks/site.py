"""A site with the app's endpoints beside bare views that do the floor, for one known user."""

import json
from functools import lru_cache
from io import BytesIO
from typing import Any
from uuid import UUID

import requests
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.floor import Floor, send_as_sample
from benchmarks.models import FloorSend

IP_ADDRESS = "41.32.10.7"


class BareSend(APIView):
    """Send as the floor does."""

    def post(self, request: Request) -> Response:
        """Send an OTP."""
        body: Any = request.data
        transaction_id = shared_floor(base_url()).send(body["phone_number"])
        return Response({"status": "sent", "transaction_id": transaction_id}, status=201)


class SampleSend(APIView):
    """Send as the vendor's own sample does."""

    def post(self, request: Request) -> Response:
        """Send an OTP."""
        body: Any = request.data
        transaction_id = send_as_sample(base_url(), body["phone_number"])
        return Response({"status": "sent", "transaction_id": transaction_id}, status=201)


class BareVerify(APIView):
    """Verify as the floor does."""

    def post(self, request: Request, uuid: UUID) -> Response:
        """Verify a send."""
        body: Any = request.data
        sent = FloorSend.objects.get(uuid=uuid)
        shared_floor(base_url()).verify(sent, body["otp"])
        return Response({"verified": True})


def base_url() -> str:
    """Return where the vendor is."""
    options: Any = settings.VALIFY_OTP
    return str(options["BASE_URL"])


@lru_cache
def shared_floor(base_url: str) -> Floor:
    """Return the floor of this process, with its session and its tokens."""
    return Floor(base_url, requests.Session())


def post(handler: WSGIHandler, url: str, body: dict[str, Any]) -> None:
    """Have the site answer a request, as a server in this process would."""
    content = json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": url,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": IP_ADDRESS,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_ACCEPT": "application/json",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(content),
    }
    response = handler(environ, lambda *_: lambda _: None)
    answer = b"".join(response)
    response.close()
    assert response.status_code in {200, 201}, answer


urlpatterns = [
    path("bare/sends/", BareSend.as_view()),
    path("bare/sends/<uuid:uuid>/verify/", BareVerify.as_view()),
    path("sample/sends/", SampleSend.as_view()),
    path("otp/", include("django_valify_otp.urls")),
]
