"""Turn requests into the services' arguments, and rows into JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from django.utils.translation import pgettext_lazy
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.serializers import as_serializer_error
from rest_framework.settings import api_settings

from django_valify_otp import arguments
from django_valify_otp.exceptions import InvalidPhoneNumber
from django_valify_otp.models import OtpSend
from django_valify_otp.otps import Otp, read_otp
from django_valify_otp.outcomes import describe
from django_valify_otp.phone_numbers import PhoneNumber, normalize
from django_valify_otp.setting_values import LANGS


class PhoneNumberField(serializers.Field[PhoneNumber, str, str, Any]):
    """An Egyptian mobile number in any spelling."""

    default_error_messages = {
        "invalid": pgettext_lazy(
            "OTP", "Enter an Egyptian mobile number: 11 digits that begin with 01."
        ),
        "null": pgettext_lazy(
            "OTP", "Enter an Egyptian mobile number: 11 digits that begin with 01."
        ),
    }

    def to_internal_value(self, data: object) -> PhoneNumber:
        """Return the number as ``01xxxxxxxxx``."""
        try:
            return normalize(data)
        except InvalidPhoneNumber:
            self.fail("invalid")


class OtpField(serializers.Field[Otp, str, str, Any]):
    """Six digits as people type them."""

    default_error_messages = {
        "invalid": pgettext_lazy("OTP", "Enter the six digits of the code."),
        "null": pgettext_lazy("OTP", "Enter the six digits of the code."),
        "required": pgettext_lazy("OTP", "Enter the six digits of the code."),
        "not_a_string": pgettext_lazy(
            "OTP", "Give the code as a string: a number would lose the zeros that it begins with."
        ),
    }

    def to_internal_value(self, data: Any) -> Otp:
        """Return the OTP."""
        if isinstance(data, int | float):
            self.fail("not_a_string")
        otp = read_otp(data)
        if otp is None:
            self.fail("invalid")
        return otp


class MomentField(serializers.DateTimeField):
    """A moment that is still in the calendar when the database has it in UTC."""

    def to_internal_value(self, value: Any) -> Any:
        """Return the moment, aware of its time zone where the site is."""
        try:
            moment = super().to_internal_value(value)
            moment.astimezone(UTC)
        except OverflowError:
            self.fail("overflow")
        return moment


class PurposeField(serializers.RegexField):
    """An ASCII slug as it stands: not a number, and nothing with spaces around it."""

    default_error_messages = {
        "invalid": pgettext_lazy("OTP", "Give ASCII letters, digits, - and _: at most 32 of them.")
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(arguments.PURPOSE, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Return the slug."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictSerializer(serializers.Serializer[Any]):
    """A body or a query without fields that nobody knows."""

    unknown_message = pgettext_lazy("OTP", "This field is not known.")

    def run_validation(self, data: Any = empty) -> Any:
        """Refuse other fields, beside all else that is wrong: a misspelt one would be lost."""
        names = data if isinstance(data, Mapping) else ()
        errors: dict[str, Any] = {
            _printable(name): [self.unknown_message] for name in names if name not in self.fields
        }
        try:
            validated = super().run_validation(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError(errors | as_serializer_error(error)) from None
        if errors:
            raise serializers.ValidationError(errors)
        return validated


class VerifyRequestSerializer(StrictSerializer):
    """The body of ``POST sends/{id}/verify/``."""

    otp = OtpField()


class SendRequestSerializer(StrictSerializer):
    """The body of ``POST sends/``."""

    phone_number = PhoneNumberField()
    # The default message repeats what was sent, which JSON may be unable to write.
    lang = serializers.ChoiceField(
        choices=LANGS,
        required=False,
        error_messages={"invalid_choice": pgettext_lazy("OTP", 'Give "en" or "ar".')},
    )
    purpose = PurposeField(required=False)


class SendFilterSerializer(StrictSerializer):
    """The query of ``GET sends/``. ``created_after`` is inclusive, ``created_before`` is not."""

    unknown_message = pgettext_lazy("OTP", "There is no such filter.")

    status = serializers.ChoiceField(choices=OtpSend.Status.choices, required=False)
    code = serializers.ChoiceField(choices=OtpSend.Code.choices, required=False)
    phone_number = PhoneNumberField(required=False)
    transaction_id = serializers.CharField(max_length=255, required=False, trim_whitespace=False)
    purpose = serializers.CharField(max_length=32, required=False, trim_whitespace=False)
    created_after = MomentField(source="created_at__gte", required=False)
    created_before = MomentField(source="created_at__lt", required=False)


class OtpSendSerializer(serializers.ModelSerializer[OtpSend]):
    """The fields of an answer, for schemas; ``represent`` writes them."""

    id = serializers.UUIDField(source="uuid")
    detail = serializers.CharField()

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
            "resend_at",
        )
        read_only_fields = fields


def validate(serializer: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """Return the fields of a body or query. Raises DRF's ``ValidationError``."""
    if data is None:
        # As a serializer of its own would say it.
        message = {api_settings.NON_FIELD_ERRORS_KEY: ["No data provided"]}
        raise serializers.ValidationError(message, code="null")
    validated: dict[str, Any] = _shared(serializer).run_validation(data)
    return validated


@cache
def _shared(serializer: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """Return a serializer for all requests: validation does not change it."""
    return serializer()


def represent(otp_send: OtpSend, *, whole_number: bool) -> dict[str, Any]:
    """Return a row as JSON has it, with null for what is absent.

    A serializer would make its fields anew for each row, which takes twenty times as long.
    """
    number = otp_send.phone_number if whole_number else otp_send.masked_phone_number
    return {
        "id": str(otp_send.uuid),
        "status": str(otp_send.status),
        "code": str(otp_send.code) or None,
        "detail": describe(otp_send),
        "phone_number": number or None,
        "lang": otp_send.lang or None,
        "purpose": otp_send.purpose or None,
        "transaction_id": otp_send.transaction_id or None,
        "trials_remaining": otp_send.trials_remaining,
        "error_code": otp_send.error_code or None,
        "created_at": _written(otp_send.created_at),
        "settled_at": _written(otp_send.settled_at),
        "verified_at": _written(otp_send.verified_at),
        "resend_at": _written(otp_send.resend_at),
    }


# In the site's format and time zone.
_moments = serializers.DateTimeField()


def _written(moment: datetime | None) -> str | None:
    return _moments.to_representation(moment) if moment else None


def _printable(name: object) -> str:
    return str(name).encode(errors="replace").decode()
