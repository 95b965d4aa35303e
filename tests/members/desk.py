"""Search the admin of a site with users of its own: ``python -m tests.members.desk``.

Prints how many attempts and blocks each search finds.
"""

import os
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.members"]
    settings.AUTH_USER_MODEL = "members.Member"
    settings.DATABASE_ROUTERS = []
    settings.DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    django.setup()
    setup_test_environment()
    call_command("migrate", run_syncdb=True, verbosity=0)
    search()


def search() -> None:
    # Models of a site that is set up now.
    from django_valify_otp.models import SendBlock  # noqa: PLC0415
    from tests.factories import make_send  # noqa: PLC0415
    from tests.members.models import Member  # noqa: PLC0415

    root: Any = Member.objects.create(nickname="root", is_superuser=True)
    mona = Member.objects.create(nickname="mona")
    make_send(user=mona, caller=f"user:{mona.pk}")
    make_send(caller="system")
    client = Client()
    client.force_login(root)
    base = "/admin/django_valify_otp/"
    added = client.post(f"{base}sendblock/add/", {"scope": "user", "user": "mona"})
    assert added.status_code == 302
    block: Any = SendBlock.objects.get()
    assert block.created_by == root
    for term in ("mona", str(mona.pk), mona.pk.hex, f"user:{mona.pk}", "mona@example.com", "42"):
        for page in ("otpsend", "sendblock"):
            response = client.get(f"{base}{page}/", {"q": term})
            print(len(response.context["cl"].result_list), end=" ")


if __name__ == "__main__":
    main()
