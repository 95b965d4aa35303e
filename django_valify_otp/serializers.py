"""DRF's requests to the services' arguments, and rows to JSON."""

from datetime import UTC
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_valify_otp import services
from django_valify_otp.conf import LANGS
from django_valify_otp.exceptions import (
    CodeExpired,
    IdempotencyConflict,
    InvalidPhoneNumber,
    TooManyTries,
)
from django_valify_otp.models import CallRecord, OtpSend, OtpVerification
from django_valify_otp.otps import read_otp
from django_valify_otp.phone_numbers import normalise

DETAILS: dict[str, Any] = {
    OtpSend.Code.SEND_LIMIT_REACHED: _("Too many codes were asked for. Try again later."),
    OtpSend.Code.SEND_FORBIDDEN: _("No codes are sent to this number or at your request."),
    OtpSend.Code.SENDING_PAUSED: _("No codes are sent at the moment. Try again later."),
    IdempotencyConflict.code: _(
        "This Idempotency-Key belongs to another request, or to one that is still under way."
    ),
    OtpSend.Code.REJECTED: _("The code could not be sent to this number."),
    OtpSend.Code.VALIFY_MISCONFIGURED: _(
        "Codes cannot be sent at the moment. This is a fault of this site."
    ),
    OtpSend.Code.VALIFY_BUSY: _("Too many codes are being sent. Try again in a while."),
    OtpSend.Code.VALIFY_UNREACHABLE: _(
        "The code could not be sent: the SMS service cannot be reached. Try again."
    ),
    OtpSend.Code.OUTCOME_UNKNOWN: _(
        "It is not known whether the code was sent. Wait for the message before you try again."
    ),
    OtpVerification.Code.CODE_REJECTED: _("This code is not right, or not any more."),
    CodeExpired.code: _("This code has expired. Ask for a new one."),
    TooManyTries.code: _("Too many codes were tried. Ask for a new one."),
    OtpVerification.Code.NOT_VERIFIABLE: _(
        "This number was confirmed already, or no code was sent to it."
    ),
}
# Where the same went wrong with a verification, people need other words.
VERIFICATION_DETAILS: dict[str, Any] = {
    **DETAILS,
    OtpVerification.Code.VALIFY_MISCONFIGURED: _(
        "Codes cannot be checked at the moment. This is a fault of this site."
    ),
    OtpVerification.Code.VALIFY_BUSY: _("Too many codes are being checked. Try again in a while."),
    OtpVerification.Code.VALIFY_UNREACHABLE: _(
        "The code could not be checked: the SMS service cannot be reached. Try again."
    ),
    OtpVerification.Code.OUTCOME_UNKNOWN: _(
        "It is not known whether the code was right. Ask for a new one."
    ),
}


def detail_of(row: CallRecord) -> str | None:
    """Why it did not go well, for the caller: Valify's own text only where it is a 422's."""
    if row.http_status == HTTPStatus.UNPROCESSABLE_ENTITY and row.valify_message:
        return row.valify_message
    details = VERIFICATION_DETAILS if isinstance(row, OtpVerification) else DETAILS
    return str(details[row.code]) if row.code else None


class PhoneNumberField(serializers.Field[str, str, str, Any]):
    """An Egyptian mobile number in any spelling."""

    default_error_messages = {
        "invalid": _("Enter an Egyptian mobile number: 11 digits that begin with 01."),
        "null": _("Enter an Egyptian mobile number: 11 digits that begin with 01."),
    }

    def to_internal_value(self, data: object) -> str:
        """The number as ``01xxxxxxxxx``."""
        try:
            return normalise(data)
        except InvalidPhoneNumber:
            self.fail("invalid")


class OtpField(serializers.Field[str, str, str, Any]):
    """Six digits as people type them; they pass as they are, and are read by the service."""

    default_error_messages = {
        "invalid": _("Enter the six digits of the code."),
        "null": _("Enter the six digits of the code."),
        "required": _("Enter the six digits of the code."),
    }

    def to_internal_value(self, data: Any) -> str:
        """The text, if it is an OTP."""
        if read_otp(data) is None:
            self.fail("invalid")
        return str(data)


class MomentField(serializers.DateTimeField):
    """A moment that is still in the calendar when the database has it in UTC."""

    def to_internal_value(self, value: Any) -> Any:
        """The moment, aware of its time zone where the site is."""
        try:
            moment = super().to_internal_value(value)
            moment.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")
        return moment


class StrictSerializer(serializers.Serializer[Any]):
    """A body without fields that nobody knows."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The fields, if there are no others: a misspelt one would be lost without a word."""
        unknown = [name for name in self.initial_data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError(
                {_printable(name): [_("This field is not known.")] for name in unknown}
            )
        return attrs


class VerifyRequestSerializer(StrictSerializer):
    """The body of ``POST sends/{id}/verify/``."""

    otp = OtpField()


class SendRequestSerializer(StrictSerializer):
    """The body of ``POST sends/``."""

    phone_number = PhoneNumberField()
    # The default message repeats what was sent, which JSON may be unable to write.
    lang = serializers.ChoiceField(
        choices=LANGS, required=False, error_messages={"invalid_choice": _('Give "en" or "ar".')}
    )
    purpose = serializers.RegexField(
        services.PURPOSE,
        required=False,
        error_messages={"invalid": _("Give ASCII letters, digits, - and _: at most 32 of them.")},
    )


class SendFilterSerializer(serializers.Serializer[Any]):
    """The query of ``GET sends/``. ``created_after`` is inclusive, ``created_before`` is not."""

    status = serializers.ChoiceField(choices=OtpSend.Status.choices, required=False)
    code = serializers.ChoiceField(choices=OtpSend.Code.choices, required=False)
    phone_number = PhoneNumberField(required=False)
    transaction_id = serializers.CharField(max_length=255, required=False, trim_whitespace=False)
    purpose = serializers.CharField(max_length=32, required=False)
    created_after = MomentField(source="created_at__gte", required=False)
    created_before = MomentField(source="created_at__lt", required=False)


class OtpSendSerializer(serializers.ModelSerializer[OtpSend]):
    """A row as its caller may see it. What is absent is null."""

    id = serializers.UUIDField(source="uuid")
    detail = serializers.SerializerMethodField()
    phone_number = serializers.SerializerMethodField()

    class Meta:
        model = OtpSend
        fields = (
            "id",
            "status",
            "code",
            "detail",
            "phone_number",
            "lang",
            "purpose",
            "transaction_id",
            "trials_remaining",
            "error_code",
            "created_at",
            "settled_at",
            "verified_at",
        )
        read_only_fields = fields

    def get_detail(self, otp_send: OtpSend) -> str | None:
        """Why the attempt was not sent."""
        return detail_of(otp_send)

    def get_phone_number(self, otp_send: OtpSend) -> str:
        """The number, whole for those who may see it."""
        if services.may_view_phone_number(self.context["user"], otp_send):
            return otp_send.phone_number
        return otp_send.masked_phone_number

    def to_representation(self, instance: OtpSend) -> dict[str, Any]:
        """The row with null for what is empty."""
        fields = super().to_representation(instance)
        return {name: None if value == "" else value for name, value in fields.items()}


def _printable(name: object) -> str:
    return str(name).encode(errors="replace").decode()
