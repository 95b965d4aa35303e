"""The endpoints: DRF to services and back."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, ParseError
from rest_framework.pagination import CursorPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from django_valify_otp import exceptions, ip_addresses, services
from django_valify_otp.conf import get_settings
from django_valify_otp.models import OtpSend
from django_valify_otp.serializers import (
    DETAILS,
    OtpSendSerializer,
    SendFilterSerializer,
    SendRequestSerializer,
    StrictSerializer,
    VerifyRequestSerializer,
    detail_of,
)

HTTP_STATUSES = {
    exceptions.SendLimitReached.code: status.HTTP_429_TOO_MANY_REQUESTS,
    exceptions.SendForbidden.code: status.HTTP_403_FORBIDDEN,
    exceptions.SendingPaused.code: status.HTTP_503_SERVICE_UNAVAILABLE,
    exceptions.IdempotencyConflict.code: status.HTTP_409_CONFLICT,
    exceptions.OtpRejected.code: status.HTTP_422_UNPROCESSABLE_ENTITY,
    exceptions.ValifyMisconfigured.code: status.HTTP_502_BAD_GATEWAY,
    exceptions.ValifyBusy.code: status.HTTP_503_SERVICE_UNAVAILABLE,
    exceptions.ValifyUnreachable.code: status.HTTP_503_SERVICE_UNAVAILABLE,
    exceptions.OutcomeUnknown.code: status.HTTP_504_GATEWAY_TIMEOUT,
    exceptions.CodeRejected.code: status.HTTP_422_UNPROCESSABLE_ENTITY,
    exceptions.CodeExpired.code: status.HTTP_422_UNPROCESSABLE_ENTITY,
    exceptions.TooManyTries.code: status.HTTP_429_TOO_MANY_REQUESTS,
    exceptions.NotVerifiable.code: status.HTTP_409_CONFLICT,
}


class BoundedJSONParser(JSONParser):
    """JSON, with a 400 also for what is nested too deeply to be read."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """The body. Raises ``ParseError``."""
        try:
            return super().parse(*args, **kwargs)
        except RecursionError:
            raise ParseError("JSON parse error - nested too deeply") from None


class SendPagination(CursorPagination):
    """Fifty attempts a page, newest first."""

    page_size = 50
    ordering = ("-created_at", "-id")

    def paginate_queryset(
        self, queryset: Any, request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        """One page. Raises ``NotFound`` for a cursor that nobody was given."""
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValidationError, ValueError, OverflowError):
            raise NotFound(self.invalid_cursor_message) from None


class OtpSendViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[OtpSend]
):
    """Send an OTP and verify it; list and retrieve attempts.

    Exempt from ``ATOMIC_REQUESTS``: a rollback would take back the record of an SMS.
    """

    filter_backends = ()
    lookup_field = "uuid"
    lookup_url_kwarg = "id"
    pagination_class = SendPagination
    parser_classes = (BoundedJSONParser,)
    renderer_classes = (JSONRenderer,)
    serializer_class = OtpSendSerializer

    @classmethod
    def as_view(cls, *args: Any, **kwargs: Any) -> Any:
        """The view, outside of every database's ``ATOMIC_REQUESTS``."""
        view = super().as_view(*args, **kwargs)
        for alias in connections:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view

    def handle_exception(self, exc: Exception) -> Response:
        """DRF's answer, without its rollback: there is no request's transaction to undo."""
        blocks = [c for c in connections.all(initialized_only=True) if c.in_atomic_block]
        before = [(connection, connection.get_rollback()) for connection in blocks]
        try:
            return super().handle_exception(exc)
        finally:
            for connection, needs_rollback in before:
                connection.set_rollback(needs_rollback)

    def get_permissions(self) -> list[BasePermission]:
        """``VALIFY_OTP["PERMISSION_CLASSES"]``, read anew for each request."""
        return [import_string(path)() for path in get_settings().permission_classes]

    def get_queryset(self) -> QuerySet[OtpSend]:
        """The attempts that the caller may see, or verify."""
        if self.action == "verify":
            return services.verifiable_sends(user_of(self.request))
        if self.action == "retrieve":
            return services.retrievable_sends(user_of(self.request))
        filters = SendFilterSerializer(data=self.request.query_params.dict())
        filters.is_valid(raise_exception=True)
        return services.list_sends(user_of(self.request)).filter(**filters.validated_data)

    def get_serializer_context(self) -> dict[str, Any]:
        """DRF's context, and who is looking."""
        return {**super().get_serializer_context(), "user": user_of(self.request)}

    def create(self, request: Request) -> Response:
        """Send an OTP: 201 and the row, or why it was not sent."""
        try:
            otp_send = services.send_otp(
                **validated_body(SendRequestSerializer, request),
                user=user_of(request),
                ip_address=client_address(request),
                idempotency_key=idempotency_key(request),
            )
        except exceptions.ValifyOtpError as error:
            return self.error_response(error)
        return Response(
            self.get_serializer(otp_send).data,
            status=status.HTTP_201_CREATED,
            headers=replay_headers(otp_send),
        )

    @action(detail=True, methods=["post"])
    def verify(self, request: Request, **_kwargs: Any) -> Response:
        """Try the OTP that somebody typed: 200 and a token, or why it did not verify the send."""
        otp_send = self.get_object()
        try:
            verification = services.verify_otp(
                otp_send,
                **validated_body(VerifyRequestSerializer, request),
                user=user_of(request),
                ip_address=client_address(request),
            )
        except exceptions.ValifyOtpError as error:
            return self.error_response(error)
        return Response({"verified": True, "verification_token": verification.token})

    def get_object(self) -> OtpSend:
        """One attempt, settled if its call must be over."""
        otp_send = super().get_object()
        services.settle_if_overdue(otp_send)
        return otp_send

    def error_response(self, error: exceptions.ValifyOtpError) -> Response:
        """Why the attempt was not sent, or not verified."""
        otp_send: Any = error.otp_send
        row = error.verification or otp_send
        # Without a row of its own, the request was refused on account of an earlier one.
        has_row = row.code == error.code
        body = {
            "detail": detail_of(row) if has_row else DETAILS[error.code],
            "code": error.code,
            "id": str(otp_send.uuid),
            "error_code": (row.error_code or None) if has_row else None,
        }
        headers = replay_headers(otp_send) if has_row else {}
        if error.retry_after is not None:
            headers["Retry-After"] = str(error.retry_after)
        return Response(body, status=HTTP_STATUSES[error.code], headers=headers)


def validated_body(fields: type[StrictSerializer], request: Request) -> dict[str, Any]:
    """The body's fields. Raises DRF's ``ValidationError``."""
    serializer = fields(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def user_of(request: Request) -> services.User:
    """The caller, an ``AnonymousUser`` also where the site has DRF say ``None``."""
    return request.user or AnonymousUser()


def client_address(request: Request) -> str | None:
    """The socket's address, or what ``NUM_PROXIES`` makes of ``X-Forwarded-For``.

    A header with fewer entries than there are proxies did not come through them.
    """
    header = request.headers.get("X-Forwarded-For")
    forwarded = header.split(",") if header else []
    proxies = api_settings.NUM_PROXIES
    if proxies and len(forwarded) >= proxies:
        return ip_addresses.parse(forwarded[-proxies])
    return ip_addresses.parse(request.META.get("REMOTE_ADDR"))


def idempotency_key(request: Request) -> str | None:
    """The header, or ``None`` without one. Raises DRF's ``ValidationError`` for a bad one."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not services.IDEMPOTENCY_KEY.match(key):
        message = _("Give 1 to 128 visible ASCII characters.")
        raise serializers.ValidationError({"Idempotency-Key": [message]})
    return key


def replay_headers(otp_send: OtpSend | None) -> dict[str, str]:
    """What tells that the answer is that of an earlier request."""
    return {"Idempotency-Replayed": "true"} if otp_send and otp_send.replayed else {}
