"""Every page of the app under a theme; ``tests/test_themes.py`` runs this once for each."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from django_valify_otp.models import SendBlock
from tests.factories import client_of, make_send, make_try
from tests.pages import LIST, page_of

pytestmark = pytest.mark.django_db


def pages() -> dict[str, str]:
    """Return the address of each page, and what only that page has."""
    row = make_send(verified_at=timezone.now(), trials_remaining=2)
    block = SendBlock.objects.create(scope="prefix", value="0155")
    name = "admin:django_valify_otp_"
    return {
        LIST: 'id="result_list"',
        page_of(row): 'class="valify-timeline"',
        reverse("admin:otp-send-summary"): 'class="valify-headlines"',
        reverse(f"{name}otpverification_changelist"): 'id="result_list"',
        reverse(f"{name}otpverification_change", args=[make_try(row).pk]): "valify-facts",
        reverse(f"{name}otpverification_history", args=[row.pk]): "",
        reverse(f"{name}sendblock_changelist"): 'id="result_list"',
        reverse(f"{name}sendblock_add"): 'name="scope"',
        reverse(f"{name}sendblock_change", args=[block.pk]): 'name="reason"',
    }


@pytest.mark.parametrize("language", ["en", "ar"])
def test_every_page_under_a_theme(language: str) -> None:
    client = client_of(User.objects.create_superuser("root"))
    for url, part in pages().items():
        response = client.get(url, headers={"Accept-Language": language})
        assert response.status_code == 200, url
        content = response.content.decode()
        assert part in content, url
        assert f'lang="{language}"' in content, url
