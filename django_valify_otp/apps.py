from importlib import import_module

from django.apps import AppConfig, apps
from django.core.checks import Tags, register
from django.utils.translation import pgettext_lazy

from django_valify_otp.checks import (
    check_deployment,
    check_isolation_of_options,
    check_isolation_of_server,
    check_nodes,
    check_queue,
    check_settings,
    check_sweeps,
)


class ValifyOtpConfig(AppConfig):
    """The app ``django_valify_otp``."""

    name = "django_valify_otp"
    verbose_name = pgettext_lazy("OTP", "Valify OTP")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and describe the endpoints if drf-spectacular is there."""
        register(check_settings)
        register(check_isolation_of_options)
        register(check_isolation_of_server, Tags.database)
        register(check_nodes, Tags.database)
        register(check_queue)
        register(check_sweeps, Tags.database)
        register(check_deployment, deploy=True)
        if apps.is_installed("drf_spectacular"):
            import_module("django_valify_otp.openapi")
