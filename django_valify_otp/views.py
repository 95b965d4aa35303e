"""The endpoints of the REST API."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import connections, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import pgettext_lazy
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings

from django_valify_otp import access, arguments, exceptions, ip_addresses, services
from django_valify_otp.audit import looks
from django_valify_otp.callers import User
from django_valify_otp.conf import get_settings
from django_valify_otp.models import OtpSend
from django_valify_otp.moments import parse_moment
from django_valify_otp.outcomes import describe_error, own_row
from django_valify_otp.serializers import (
    OtpSendSerializer,
    SendFilterSerializer,
    SendRequestSerializer,
    VerifyRequestSerializer,
    represent,
    validate,
)

CURSOR = "cursor"


class Unsuccessful(APIException):
    """A ``ValifyOtpError`` as an exception of DRF's, for the site's exception handler."""

    def __init__(self, error: exceptions.ValifyOtpError) -> None:
        super().__init__(detail=describe_error(error), code=error.code)
        self.status_code = error.http_status
        self.error = error

    def headers(self) -> dict[str, str]:
        """Return when to try again, and whether this is the answer to an earlier request."""
        headers = replay_headers(self.error.otp_send) if own_row(self.error) else {}
        if self.error.retry_after is not None:
            headers["Retry-After"] = str(self.error.retry_after)
        return headers

    def more(self) -> dict[str, str | int | None]:
        """Return what the body has beside ``detail``."""
        otp_send, row = self.error.otp_send, own_row(self.error)
        found: dict[str, str | int | None] = {
            "code": self.error.code,
            "id": str(otp_send.uuid) if otp_send else None,
            "error_code": (row.error_code or None) if row else None,
        }
        if isinstance(self.error, exceptions.CodeRejected):
            found["tries_left"] = self.error.tries_left
        return found


class BoundedJSONParser(JSONParser):
    """JSON, with a 400 also for what is nested too deeply to be read."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body. Raises ``ParseError``."""
        try:
            return super().parse(*args, **kwargs)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None


class SendPagination(CursorPagination):
    """Fifty attempts a page, newest first."""

    cursor_query_param = CURSOR
    page_size = 50
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Any:
        """Return the cursor. Raises ``NotFound`` for one that nobody was given."""
        cursor: Any = super().decode_cursor(request)
        position = cursor and cursor.position
        if position is not None and str(parse_moment(position)) != position:
            raise NotFound(self.invalid_cursor_message)
        return cursor


class OtpSendViewSet(viewsets.GenericViewSet[OtpSend]):
    """Send an OTP and verify it; list and retrieve attempts."""

    filter_backends = ()
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    # A router would have Django's page answer what has a dot in it.
    lookup_value_regex = "[^/]+"
    pagination_class = SendPagination
    parser_classes = (BoundedJSONParser,)
    renderer_classes = (JSONRenderer,)

    @classmethod
    def as_view(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the view, outside of every database's ``ATOMIC_REQUESTS``.

        A rollback would take back the record of an SMS.
        """
        view = super().as_view(*args, **kwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def handle_exception(self, exc: Exception) -> Response:
        """Return DRF's answer, without its rollback: no transaction of the request is open."""
        if isinstance(exc, exceptions.ValifyOtpError):
            exc = Unsuccessful(exc)
        blocks = [c for c in connections.all(initialized_only=True) if c.in_atomic_block]
        before = [(connection, connection.get_rollback()) for connection in blocks]
        try:
            response = super().handle_exception(exc)
        finally:
            for connection, needs_rollback in before:
                connection.set_rollback(needs_rollback)
        if isinstance(exc, Unsuccessful):
            # A format of the site's own is left as it is.
            if isinstance(response.data, dict) and set(response.data) == {"detail"}:
                response.data |= exc.more()
            for name, value in exc.headers().items():
                response[name] = value
        return response

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Return DRF's request, read as UTF-8, whatever charset it claims."""
        # Django parses the query anew wherever this is set.
        if (request.encoding or settings.DEFAULT_CHARSET) != "utf-8":
            request.encoding = "utf-8"
        return super().initialize_request(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        """Return ``VALIFY_OTP["PERMISSION_CLASSES"]``, as they are now."""
        return [import_string(path)() for path in get_settings().permission_classes]

    def get_queryset(self) -> QuerySet[OtpSend]:
        """Return the attempts that the caller may list, filtered."""
        # What DRF itself reads of a query.
        beside = {api_settings.URL_FORMAT_OVERRIDE, api_settings.VERSION_PARAM, CURSOR}
        query = self.request.query_params.dict()
        filters = validate(
            SendFilterSerializer,
            {name: value for name, value in query.items() if name not in beside},
        )
        return listed_sends(user_of(self.request), filters)

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        """Return what describes an answer; ``OPTIONS`` describe the body of a request."""
        if self.action != "metadata":
            return OtpSendSerializer
        return VerifyRequestSerializer if self.detail else SendRequestSerializer

    def list(self, request: Request, **_kwargs: Any) -> Response:
        """Return a page of the attempts that the caller may list."""
        user = user_of(request)
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(
            [represent(row, whole_number=access.is_own(user, row)) for row in page or ()]
        )

    def retrieve(self, request: Request, **_kwargs: Any) -> Response:
        """Return one attempt, with its whole number for its owner, and for staff in the log."""
        otp_send, user = self.get_object(), user_of(request)
        whole_number = access.is_own(user, otp_send) or looks.permit_look(user, otp_send)
        return Response(represent(otp_send, whole_number=whole_number))

    def create(self, request: Request, **_kwargs: Any) -> Response:
        """Send an OTP: 201 (202 in the background) and the row, or why it was not sent."""
        user = user_of(request)
        in_background = get_settings().send_in_background
        send = services.enqueue_otp if in_background else services.send_otp
        otp_send = send(
            **validate(SendRequestSerializer, request.data),
            user=user,
            ip_address=client_address(request),
            idempotency_key=idempotency_key(request),
        )
        response = Response(
            represent(otp_send, whole_number=access.is_own(user, otp_send)),
            status=status.HTTP_201_CREATED,
            headers=replay_headers(otp_send),
        )
        if otp_send.handed_over_at:
            response.status_code = status.HTTP_202_ACCEPTED
            kwargs = {**self.kwargs, self.lookup_url_kwarg: otp_send.uuid}
            response["Location"] = self.reverse_action("detail", kwargs=kwargs)
        return response

    @action(detail=True, methods=["post"])
    def verify(self, request: Request, **_kwargs: Any) -> Response:
        """Try the OTP that somebody typed: 200 and a token, or why it did not verify the send."""
        verification = services.verify_otp(
            self.get_object(),
            **validate(VerifyRequestSerializer, request.data),
            user=user_of(request),
            ip_address=client_address(request),
        )
        return Response({"verified": True, "verification_token": verification.token})

    def get_object(self) -> OtpSend:
        """Return one attempt that the caller may look at, or verify. Raises ``Http404``."""
        find = services.get_send if self.action == "verify" else services.retrieve_send
        try:
            otp_send = find(self.kwargs[self.lookup_url_kwarg], user=user_of(self.request))
        except OtpSend.DoesNotExist:
            raise Http404 from None
        self.check_object_permissions(self.request, otp_send)
        return otp_send


def listed_sends(user: User, filters: dict[str, Any]) -> QuerySet[OtpSend]:
    """Return the attempts that this user may list; by number only if that can be logged."""
    found = access.list_sends(user)
    number = filters.get("phone_number")
    if number and access.may_view_all(user) and not looks.permit_search(user, number):
        found = OtpSend.objects.of(user)
    return found.filter(**filters)


def user_of(request: Request) -> User:
    """Return the caller, an ``AnonymousUser`` also where the site has DRF say ``None``."""
    return request.user or AnonymousUser()


def client_address(request: Request) -> str | None:
    """Return the socket's address, or what ``NUM_PROXIES`` makes of ``X-Forwarded-For``.

    A header with fewer entries than there are proxies did not come through them.
    """
    header = request.headers.get("X-Forwarded-For")
    forwarded = header.split(",") if header else []
    proxies = api_settings.NUM_PROXIES
    if proxies and len(forwarded) >= proxies:
        return ip_addresses.parse(forwarded[-proxies])
    return ip_addresses.parse(request.META.get("REMOTE_ADDR"))


def idempotency_key(request: Request) -> str | None:
    """Return the header, ``None`` without one. Raises DRF's ``ValidationError``."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not arguments.IDEMPOTENCY_KEY.match(key):
        message = pgettext_lazy("OTP", "Give 1 to 128 visible ASCII characters.")
        raise serializers.ValidationError({"Idempotency-Key": [message]})
    return key


def replay_headers(otp_send: OtpSend | None) -> dict[str, str]:
    """Return the header that tells that this is the answer to an earlier request."""
    return {"Idempotency-Replayed": "true"} if otp_send and otp_send.replayed else {}
