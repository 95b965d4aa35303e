"""DRF's requests to the services' arguments, and rows to JSON."""

from datetime import UTC
from http import HTTPStatus
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from django_valify_otp import services
from django_valify_otp.conf import LANGS
from django_valify_otp.exceptions import IdempotencyConflict, InvalidPhoneNumber
from django_valify_otp.models import OtpSend
from django_valify_otp.phone_numbers import normalise

DETAILS = {
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
}


def detail_of(otp_send: OtpSend) -> str | None:
    """Why the attempt was not sent, for its caller: Valify's own text only where it is a 422's."""
    if otp_send.http_status == HTTPStatus.UNPROCESSABLE_ENTITY and otp_send.valify_message:
        return otp_send.valify_message
    return str(DETAILS[otp_send.code]) if otp_send.code else None


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


class SendRequestSerializer(serializers.Serializer[Any]):
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

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The fields, if there are no others: a misspelt one would be lost without a word."""
        unknown = [name for name in self.initial_data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError(
                {_printable(name): [_("This field is not known.")] for name in unknown}
            )
        return attrs


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
