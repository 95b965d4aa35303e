"""Compile the Arabic catalogues: ``python -m tests.catalogues``, which ``make messages`` runs.

Django's own ``compilemessages`` needs GNU gettext.
"""

from pathlib import Path

import polib

PROJECT = Path(__file__).parent.parent
CATALOGUES = [
    PROJECT / folder / "locale" / "ar" / "LC_MESSAGES" / "django.po"
    for folder in ("django_valify_otp", "example_project/example")
]


def main() -> None:
    for path in CATALOGUES:
        polib.pofile(str(path)).save_as_mofile(str(path.with_suffix(".mo")))


if __name__ == "__main__":
    main()
