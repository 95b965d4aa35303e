"""Where the endpoints and the admin's pages are, and what a page shows."""

from typing import Any

from django.test import Client
from django.urls import reverse

from django_valify_otp.models import OtpSend

SENDS = "/otp/sends/"
LIST = reverse("admin:django_valify_otp_otpsend_changelist")
EXPORT = reverse("admin:otp-send-export")


def url_of(otp_send: OtpSend) -> str:
    """Return the endpoint of one attempt."""
    return f"{SENDS}{otp_send.uuid}/"


def page_of(otp_send: OtpSend) -> str:
    """Return the admin's page of one attempt."""
    return reverse("admin:django_valify_otp_otpsend_change", args=[otp_send.pk])


def found(client: Client, **query: Any) -> list[OtpSend]:
    """Return the attempts that the admin lists for this query."""
    response = client.get(LIST, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)
