from django.apps import AppConfig
from django.core.checks import register
from django.utils.translation import gettext_lazy as _

from django_valify_otp.checks import check_deployment, check_settings


class ValifyOtpConfig(AppConfig):
    """The app ``django_valify_otp``."""

    name = "django_valify_otp"
    verbose_name = _("Valify OTP")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_settings)
        register(check_deployment, deploy=True)
