"""A site's models whose rows refer to attempts and tries. Tests install them where needed."""

from django.db import models

from django_valify_otp.models import OtpSend, OtpVerification


class Signup(models.Model):  # noqa: DJ008
    """It outlives the attempt."""

    otp_send = models.ForeignKey(OtpSend, models.SET_NULL, null=True, related_name="+")
    send_uuid = models.ForeignKey(
        OtpSend, models.SET_NULL, null=True, to_field="uuid", related_name="+"
    )
    verification = models.ForeignKey(OtpVerification, models.SET_NULL, null=True)


class Invoice(models.Model):  # noqa: DJ008
    """It needs the attempt."""

    otp_send = models.ForeignKey(OtpSend, models.PROTECT)
