"""The project keeps to what it says: catalogue, migrations, documents."""

import ast
import re
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

import polib
import pytest
from django.apps import apps
from django.core.management import call_command, get_commands
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from docutils.core import publish_doctree

import django_valify_otp
from django_valify_otp.conf import KEYS, Settings

PACKAGE = Path(django_valify_otp.__file__).parent
PROJECT = PACKAGE.parent
CATALOGUE = PACKAGE / "locale" / "ar" / "LC_MESSAGES" / "django.po"


def test_the_arabic_catalogue_is_complete() -> None:
    catalogue = polib.pofile(str(CATALOGUE))
    assert len(catalogue) > 50
    assert not [entry.msgid for entry in catalogue if entry.fuzzy or not entry.translated()]


def test_the_arabic_catalogue_is_compiled() -> None:
    source = {entry.msgid: entry.msgstr for entry in polib.pofile(str(CATALOGUE))}
    compiled = polib.mofile(str(CATALOGUE.with_suffix(".mo")))
    assert {entry.msgid: entry.msgstr for entry in compiled} == source


def test_the_arabic_catalogue_has_every_name_of_the_models() -> None:
    known = {entry.msgid for entry in polib.pofile(str(CATALOGUE))}
    for model in apps.get_app_config("django_valify_otp").get_models():
        names: list[Any] = [model._meta.verbose_name, model._meta.verbose_name_plural]
        for field in model._meta.get_fields():
            names += [getattr(field, "verbose_name", ""), getattr(field, "help_text", "")]
            names += [label for _, label in getattr(field, "choices", None) or []]
        source_texts = {name._args[0] for name in names if hasattr(name, "_args")}
        assert source_texts
        assert source_texts <= known


GETTEXT = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}


def texts_of_module(path: Path) -> set[str]:
    """What a module has translated."""
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in GETTEXT
    ]
    return {call.args[0].value for call in calls}  # type: ignore[attr-defined]


def texts_of_template(path: Path) -> set[str]:
    """What a template has translated."""
    found = re.findall(r"""{% translate (["'])(.*?)\1""", path.read_text("utf-8"))
    return {text for _, text in found}


def test_the_arabic_catalogue_has_every_text_and_no_other() -> None:
    texts = set().union(
        *(texts_of_module(path) for path in PACKAGE.rglob("*.py")),
        *(texts_of_template(path) for path in PACKAGE.rglob("*.html")),
    )
    assert {entry.msgid for entry in polib.pofile(str(CATALOGUE))} == texts


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    output = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=output)
    assert "No changes detected" in output.getvalue()


@pytest.mark.django_db(transaction=True)
def test_migrations_can_be_walked_back_and_forth() -> None:
    executor = MigrationExecutor(connection)
    targets = executor.loader.graph.leaf_nodes("django_valify_otp")
    executor.migrate([("django_valify_otp", None)])
    assert "django_valify_otp_otpsend" not in connection.introspection.table_names()
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    assert "django_valify_otp_otpsend" in connection.introspection.table_names()


def imports(path: Path) -> set[str]:
    """The top-level packages that a module imports."""
    return set(re.findall(r"^(?:from|import) (\w+)", path.read_text("utf-8"), re.MULTILINE))


def test_migrations_import_nothing_of_ours() -> None:
    for path in (PACKAGE / "migrations").glob("0*.py"):
        assert "django_valify_otp" not in imports(path)


def test_the_vendor_room_knows_no_django() -> None:
    for path in (PACKAGE / "valify").glob("*.py"):
        assert not imports(path) & {"django", "rest_framework"}, path


def test_only_the_vendor_room_imports_requests() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert path.parent.name == "valify" or "requests" not in imports(path), path


def test_the_sandbox_imports_nothing_of_the_rest() -> None:
    for path in (PACKAGE / "sandbox").glob("*.py"):
        ours = re.findall(
            r"^\s*(?:from|import) (django_valify_otp\S*)", path.read_text("utf-8"), re.MULTILINE
        )
        assert all(name.startswith("django_valify_otp.sandbox") for name in ours), path
        assert "django" not in imports(path), path


def readme() -> str:
    return (PROJECT / "README.rst").read_text("utf-8")


def test_the_readme_has_each_setting_with_its_default() -> None:
    headings = re.findall(r"^``([A-Z_]+)``\n-+\n\n\*(.+)\*", readme(), re.MULTILINE)
    documented = dict(headings)
    assert [name for name, _ in headings] == list(KEYS)
    for field in fields(Settings):
        described = documented[field.name.upper()]
        default: Any = field.default
        if isinstance(default, tuple):
            default = [getattr(item, "text", item) for item in default]
        if field.name.upper() in {"BASE_URL", "BUNDLE_KEY"} or default == "":
            assert "Required" in described
        else:
            text = f'"{default}"' if isinstance(default, str) else repr(default).replace("'", '"')
            assert f"Default ``{text}``" in described


def test_the_readme_has_each_command() -> None:
    commands = {name for name, app in get_commands().items() if app == "django_valify_otp"}
    assert commands
    assert set(re.findall(r"manage\.py (valify_\w+)", readme())) == commands


@pytest.mark.parametrize("name", ["README.rst", "CHANGELOG.rst", "docs/audit.rst"])
def test_the_documents_are_valid(name: str) -> None:
    text = (PROJECT / name).read_text("utf-8")
    publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 2})


def test_the_documents_have_their_pictures() -> None:
    folder = PROJECT / "docs"
    texts = [path.read_text("utf-8") for path in folder.glob("*.rst")]
    named = set(re.findall(r"image:: (\S+)", "".join(texts)))
    assert named == {path.name for path in folder.glob("*.png")}


def test_the_changelog_begins_with_what_is_not_released() -> None:
    changelog = (PROJECT / "CHANGELOG.rst").read_text("utf-8")
    headings = re.findall(r"^(.+)\n-+$", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
