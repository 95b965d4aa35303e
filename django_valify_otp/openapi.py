"""Describe the endpoints to drf-spectacular, on sites that have it."""

import re
from collections.abc import Sequence
from copy import copy
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    Direction,
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.views import APIView

from django_valify_otp import exceptions
from django_valify_otp.exceptions import ValifyOtpError
from django_valify_otp.models import OtpSend
from django_valify_otp.outcomes import TEXTS
from django_valify_otp.phone_numbers import LONGEST_SPELLING, SHORTEST_SPELLING
from django_valify_otp.serializers import (
    OtpSendSerializer,
    SendFilterSerializer,
    SendRequestSerializer,
    VerifyRequestSerializer,
)

Schema = dict[str, Any]
Errors = Sequence[type[ValifyOtpError]]
Answers = dict[int, OpenApiResponse]
Parameters = Sequence[OpenApiParameter | type[serializers.Serializer[Any]]]

ID = "0b0e7a50-5b0f-4c5e-9c3c-6f4c7f4f7f6d"
PROOF = "eyJ1dWlkIjoiMGIwZTdhNTAifQ:1u2B3c:Zm9yLWV4YW1wbGU"

SENT = {
    "id": ID,
    "status": "sent",
    "code": None,
    "detail": None,
    # Digits that YAML, in each of its versions, keeps as a text.
    "phone_number": "01001234567",
    "lang": "ar",
    "purpose": "signup",
    "transaction_id": "6d1f5c0e",
    "trials_remaining": 2,
    "error_code": None,
    "created_at": "2026-01-02T10:00:00.000000Z",
    "settled_at": "2026-01-02T10:00:00.350000Z",
    "verified_at": None,
    "resend_at": "2026-01-02T10:01:00.000000Z",
}
QUEUED = {
    **SENT,
    "status": "queued",
    "transaction_id": None,
    "trials_remaining": None,
    "settled_at": None,
}

MEANINGS: dict[type[ValifyOtpError], str] = {
    exceptions.SendForbidden: "Staff blocked this number, IP address or user.",
    exceptions.IdempotencyConflict: (
        "The key belongs to another request, or its first attempt is still running."
    ),
    exceptions.NotVerifiable: "The attempt was not sent, or it was verified before.",
    exceptions.OtpRejected: "Valify refused to send; its reason is in `detail`.",
    exceptions.CodeRejected: "Valify says that the OTP is wrong.",
    exceptions.CodeExpired: "The attempt is too old.",
    exceptions.SendLimitReached: "A send limit is reached.",
    exceptions.TooManyTries: "The attempt has had all its tries; there is no `Retry-After`.",
    exceptions.ValifyMisconfigured: "Valify refused the site's settings or credentials.",
    exceptions.SendingPaused: "Staff stopped all sending.",
    exceptions.ValifyBusy: "Valify received too many requests.",
    exceptions.ValifyUnreachable: "Valify could not be reached; it has seen nothing.",
    exceptions.QueueExpired: (
        "No worker took the first request with this key in time; nothing was sent."
    ),
    exceptions.SiteBusy: "The site's own database is locked or down; Valify was not called.",
    exceptions.OutcomeUnknown: "Valify was called, and no usable answer came back.",
}
CALL_ERRORS = (
    exceptions.ValifyMisconfigured,
    exceptions.ValifyBusy,
    exceptions.ValifyUnreachable,
    exceptions.OutcomeUnknown,
    exceptions.SiteBusy,
)
SEND_ERRORS = (
    exceptions.SendForbidden,
    exceptions.IdempotencyConflict,
    exceptions.OtpRejected,
    exceptions.SendLimitReached,
    exceptions.SendingPaused,
    exceptions.QueueExpired,
    *CALL_ERRORS,
)
VERIFY_ERRORS = (
    exceptions.NotVerifiable,
    exceptions.CodeRejected,
    exceptions.CodeExpired,
    exceptions.TooManyTries,
    *CALL_ERRORS,
)


class AttemptSerializer(serializers.Serializer[Any]):
    """One attempt to send an OTP. What is absent is null."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=OtpSend.Status.choices)
    code = serializers.ChoiceField(
        choices=OtpSend.Code.choices, allow_null=True, help_text="Why it was not sent."
    )
    detail = serializers.CharField(allow_null=True, help_text="The same, for people.")
    phone_number = serializers.CharField(
        allow_null=True, help_text="`01xxxxxxxxx`, or masked: `010*****678`."
    )
    lang = serializers.CharField(allow_null=True, help_text="Of the SMS: `en` or `ar`.")
    purpose = serializers.CharField(allow_null=True)
    transaction_id = serializers.CharField(allow_null=True, help_text="Valify's.")
    trials_remaining = serializers.IntegerField(
        allow_null=True, help_text="Calls that the access token of this call can still serve."
    )
    error_code = serializers.CharField(allow_null=True, help_text="Valify's.")
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    verified_at = serializers.DateTimeField(allow_null=True)
    resend_at = serializers.DateTimeField(
        allow_null=True, help_text="When the caller may ask for the next OTP to this number."
    )


@extend_schema_serializer(component_name="OtpVerified")
class VerifiedSerializer(serializers.Serializer[Any]):
    """The number is verified."""

    verified = serializers.BooleanField()
    verification_token = serializers.CharField(help_text="Proves it to the site, once.")


@extend_schema_serializer(component_name="OtpDetail")
class DetailSerializer(serializers.Serializer[Any]):
    """A refusal by the site itself."""

    detail = serializers.CharField(help_text="For people, in their language.")


@extend_schema_serializer(component_name="OtpError")
class ErrorSerializer(DetailSerializer):
    """Why an OTP was not sent or not verified."""

    code = serializers.CharField(help_text="For programs.")
    id = serializers.UUIDField(allow_null=True, help_text="The attempt's.")
    error_code = serializers.CharField(allow_null=True, help_text="Valify's.")
    tries_left = serializers.IntegerField(
        required=False, min_value=0, help_text="With `code_rejected` only."
    )


@extend_schema_serializer(component_name="OtpRefusal")
class RefusalSerializer(DetailSerializer):
    """The same; a permission or a throttle of the site's own gives `detail` alone."""

    code = serializers.CharField(required=False, help_text="For programs.")
    id = serializers.UUIDField(required=False, allow_null=True, help_text="The attempt's.")
    error_code = serializers.CharField(required=False, allow_null=True, help_text="Valify's.")


class OperationSchema(AutoSchema):
    """What ``extend_schema`` cannot say of an operation: links, and the codes of an answer."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        """Return the operation as OpenAPI has it, ``None`` if the site leaves it out."""
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        for status, response in operation["responses"].items():
            if int(status) >= HTTPStatus.BAD_REQUEST:
                limit_codes(response)
            elif int(status) > HTTPStatus.OK:
                response["links"] = self.links()
        return operation

    def links(self) -> Schema:
        """Return how to go on with an attempt, under the arguments of the same path."""
        variables = re.findall(r"{(\w+)}", self.path)
        parameters = {name: f"$request.path.{name}" for name in variables}
        parameters["id"] = "$response.body#/id"
        operations = {"retrieve": self.beside("GET", ""), "verify": self.beside("POST", "verify/")}
        return {
            name: {"operationId": schema.get_operation_id(), "parameters": parameters}
            for name, schema in operations.items()
        }

    def beside(self, method: str, rest: str) -> "OperationSchema":
        """Return the schema of an operation on one attempt, to ask it for its name."""
        schema = copy(self)
        schema.method, schema.path = method, f"{self.path}{{id}}/{rest}"
        return schema


def limit_codes(response: Schema) -> None:
    """Say that the codes in the examples of an answer are all that it can have."""
    for media in response["content"].values():
        values = [example["value"] for example in media.get("examples", {}).values()]
        codes = [value["code"] for value in values if "code" in value]
        if codes:
            properties = {"properties": {"code": {"enum": codes}}}
            media["schema"] = {"allOf": [media["schema"], properties]}


def described(
    summary: str,
    description: str,
    *,
    answers: Answers,
    errors: Errors = (),
    request: type[serializers.Serializer[Any]] | None = None,
    parameters: Parameters = (),
) -> Any:
    """Return the decorator that describes a method of the view set."""
    of_errors: Answers = {
        error.http_status: error_response(error.http_status, errors) for error in errors
    }
    return extend_schema(
        summary=summary,
        description=description,
        tags=["otp"],
        parameters=[*parameters, RETRY_AFTER],
        request=request,
        responses=dict(sorted((SITE_ANSWERS | of_errors | answers).items())),
    )


def error_response(status: HTTPStatus, errors: Errors) -> OpenApiResponse:
    """Return the answer with this status, for those of the errors that have it."""
    found = [error for error in errors if error.http_status == status]
    meanings = [f"* `{error.code}`: {MEANINGS[error]}" for error in found]
    examples = [OpenApiExample(error.code, value=example_of(error)) for error in found]
    of_site = SITE_ANSWERS.get(status)
    if of_site:
        meanings.append(f"* no `code`: {of_site.description}")
        examples += of_site.examples
    return OpenApiResponse(
        RefusalSerializer if of_site else ErrorSerializer,
        description="\n".join(meanings),
        examples=examples,
    )


def example_of(error: type[ValifyOtpError]) -> Schema:
    """Return a body of this error."""
    body = {
        "detail": TEXTS[error.code].send,
        "code": error.code,
        "id": None if error is exceptions.SiteBusy else ID,
        "error_code": None,
    }
    return {**body, "tries_left": 4} if error is exceptions.CodeRejected else body


def site_answer(description: str, detail: str) -> OpenApiResponse:
    """Return an answer that is DRF's own."""
    example = OpenApiExample("detail", value={"detail": detail})
    return OpenApiResponse(DetailSerializer, description=description, examples=[example])


def bad_request(name: str, message: str) -> OpenApiResponse:
    """Return the answer to what is not valid, with one field as its example."""
    return OpenApiResponse(
        FIELD_ERRORS,
        description="What is not valid, under its name; `detail` for what is no JSON.",
        examples=[OpenApiExample("invalid", value={name: [message]})],
    )


# Each value is a list of texts, or the one text of DRF's ``detail``.
FIELD_ERRORS: Schema = {"type": "object", "additionalProperties": {}}
SITE_ANSWERS: Answers = {
    401: site_answer(
        "The caller is not logged in, on sites whose authentication uses a header.",
        "Authentication credentials were not provided.",
    ),
    403: site_answer(
        "The site's permissions forbid it, or its CSRF check.",
        "You do not have permission to perform this action.",
    ),
    406: site_answer("The answer would be JSON.", "Could not satisfy the request Accept header."),
    429: site_answer(
        "A throttle of the site's own.", "Request was throttled. Expected available in 60 seconds."
    ),
}
NOT_FOUND = {404: site_answer("There is no such attempt for this caller.", "Not found.")}
BODY_ANSWERS = {
    415: site_answer("The body is not JSON.", 'Unsupported media type "text/plain" in request.')
}
ATTEMPT_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]{1,128}$"},
    OpenApiParameter.HEADER,
    description="The same request with the same key gets the same attempt, and sends nothing.",
    examples=[OpenApiExample("key", value="c0ffee", parameter_only=("Idempotency-Key", "header"))],
)
RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    {"type": "integer", "minimum": 0},
    OpenApiParameter.HEADER,
    description="Seconds to wait, where they are known.",
    response=[429, 503],
)
IDEMPOTENCY_REPLAYED = OpenApiParameter(
    "Idempotency-Replayed",
    {"type": "string", "enum": ["true"]},
    OpenApiParameter.HEADER,
    description="There if this is the answer to an earlier request with the same key.",
    response=[201, 202, 503, 504],
)
LOCATION = OpenApiParameter(
    "Location",
    OpenApiTypes.URI_REF,
    OpenApiParameter.HEADER,
    description="Where the attempt is.",
    required=True,
    response=[202],
)

OPERATIONS = {
    "list": described(
        "List attempts",
        "The caller's own attempts, newest first, 50 on a page. Staff with the permission"
        " `view_otpsend` get all; an anonymous caller gets none. Numbers of others are masked."
        " Any other parameter is a 400.",
        parameters=[SendFilterSerializer],
        answers={
            200: OpenApiResponse(
                OtpSendSerializer(many=True),
                description="A page of attempts.",
                examples=[OpenApiExample("sent", value=SENT)],
            ),
            400: bad_request("status", '"lost" is not a valid choice.'),
            404: site_answer("A cursor that nobody was given.", "Invalid cursor"),
        },
    ),
    "create": described(
        "Send an OTP",
        "Send an OTP to an Egyptian mobile number. The attempt is on record before Valify is"
        " called. Test `code` in programs, and show `detail` to people.",
        parameters=[IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, LOCATION],
        request=SendRequestSerializer,
        answers={
            **BODY_ANSWERS,
            201: OpenApiResponse(
                OtpSendSerializer,
                description="The OTP is sent.",
                examples=[OpenApiExample("sent", value=SENT)],
            ),
            202: OpenApiResponse(
                OtpSendSerializer,
                description="A worker will send the OTP, on sites that send in the background.",
                examples=[OpenApiExample("queued", value=QUEUED)],
            ),
            400: bad_request(
                "phone_number", "Enter an Egyptian mobile number: 11 digits that begin with 01."
            ),
        },
        errors=SEND_ERRORS,
    ),
    "retrieve": described(
        "Retrieve an attempt",
        "One of the caller's own attempts; staff with the permission `view_otpsend` may retrieve"
        " any. Whoever holds the ID of an anonymous attempt may, as long as its OTP is valid.",
        parameters=[ATTEMPT_ID],
        answers={
            **NOT_FOUND,
            200: OpenApiResponse(
                OtpSendSerializer,
                description="The attempt.",
                examples=[OpenApiExample("sent", value=SENT)],
            ),
        },
        errors=[exceptions.SiteBusy],
    ),
    "verify": described(
        "Verify an OTP",
        "Try the OTP that somebody typed, for an attempt that the same caller asked for.",
        parameters=[ATTEMPT_ID],
        request=VerifyRequestSerializer,
        answers={
            **NOT_FOUND,
            **BODY_ANSWERS,
            200: OpenApiResponse(
                VerifiedSerializer,
                description="The number is verified.",
                examples=[
                    OpenApiExample(
                        "verified", value={"verified": True, "verification_token": PROOF}
                    )
                ],
            ),
            400: bad_request("otp", "Enter the six digits of the code."),
        },
        errors=VERIFY_ERRORS,
    ),
}


class OtpSendViewSetExtension(OpenApiViewExtension):
    """The endpoints, and those of view sets that a site derives from them."""

    target_class = "django_valify_otp.views.OtpSendViewSet"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        """Return the view set with its methods described, but for those that the site describes."""
        view: type[APIView] = type(self.target.__name__, (self.target,), {})
        undescribed = [
            name
            for name in OPERATIONS
            if "schema" not in getattr(getattr(view, name), "kwargs", {})
        ]
        extend_schema_view(**{name: OPERATIONS[name] for name in undescribed})(view)
        for name in undescribed:
            kwargs = getattr(view, name).kwargs
            kwargs["schema"] = type("OtpSchema", (OperationSchema, kwargs["schema"]), {})
        return view


class OtpSendSerializerExtension(OpenApiSerializerExtension):
    """An attempt, whose fields say of themselves only what a row of the database needs."""

    target_class = "django_valify_otp.serializers.OtpSendSerializer"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        """Return the fields as ``represent()`` writes them."""
        schema: Schema = auto_schema._map_serializer(AttemptSerializer, direction)
        return schema


class StrictSerializerExtension(OpenApiSerializerExtension):
    """Bodies without fields that nobody knows."""

    target_class = "django_valify_otp.serializers.StrictSerializer"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Direction) -> str:
        """Return a name that other apps hardly use."""
        return f"Otp{type(self.target).__name__.removesuffix('Serializer')}"

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        """Return the fields, and no others."""
        schema: Schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class PhoneNumberFieldExtension(OpenApiSerializerFieldExtension):
    """A number in any spelling."""

    target_class = "django_valify_otp.serializers.PhoneNumberField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        """Return the usual spelling, and how long another one may be."""
        return any_spelling(
            usual="^01[0125][0-9]{8}$",
            shortest=SHORTEST_SPELLING,
            description="Another spelling: with +20, spaces or dashes, in digits of any script.",
        )


class OtpFieldExtension(OpenApiSerializerFieldExtension):
    """An OTP as people type it."""

    target_class = "django_valify_otp.serializers.OtpField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> Schema:
        """Return the six digits, and how long another spelling may be."""
        return any_spelling(
            usual="^[0-9]{6}$",
            shortest=6,
            description="Another spelling: with spaces or dashes, in digits of any script.",
        )


def any_spelling(*, usual: str, shortest: int, description: str) -> Schema:
    """Return a text that is usually spelled like this, and may be spelled otherwise."""
    other = {"minLength": shortest, "maxLength": LONGEST_SPELLING, "description": description}
    return {
        "type": "string",
        "anyOf": [{"type": "string", "pattern": usual}, {"type": "string", **other}],
    }
