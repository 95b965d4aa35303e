"""The project keeps to what it says: catalogue, migrations, documents."""

import ast
import re
from collections.abc import Iterator
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import polib
import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command

import django_valify_otp
from tests import catalogues

PACKAGE = Path(django_valify_otp.__file__).parent
PROJECT = PACKAGE.parent
Text = tuple[str | None, str]
CATALOGUE = PACKAGE / "locale" / "ar" / "LC_MESSAGES" / "django.po"


def test_the_arabic_catalogue_is_complete() -> None:
    catalogue = polib.pofile(str(CATALOGUE))
    assert len(catalogue) > 50
    assert not [entry.msgid for entry in catalogue if entry.fuzzy or not entry.translated()]


def test_the_catalogues_are_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copies = [tmp_path / f"{n}.po" for n in range(len(catalogues.CATALOGUES))]
    for source, copy in zip(catalogues.CATALOGUES, copies, strict=True):
        copy.write_bytes(source.read_bytes())
    compiled = [path.with_suffix(".mo").read_bytes() for path in catalogues.CATALOGUES]
    monkeypatch.setattr(catalogues, "CATALOGUES", copies)
    catalogues.main()
    assert [copy.with_suffix(".mo").read_bytes() for copy in copies] == compiled


def text_of(entry: polib.POEntry | polib.MOEntry) -> Text:
    return entry.msgctxt, entry.msgid


def test_the_arabic_catalogue_has_every_name_of_the_models() -> None:
    known = {text_of(entry) for entry in polib.pofile(str(CATALOGUE))}
    for model in apps.get_app_config("django_valify_otp").get_models():
        names: list[Any] = [model._meta.verbose_name, model._meta.verbose_name_plural]
        for field in model._meta.get_fields():
            names += [getattr(field, "verbose_name", ""), getattr(field, "help_text", "")]
            names += [label for _, label in getattr(field, "choices", None) or []]
        source_texts = {name._args for name in names if hasattr(name, "_args")}
        assert source_texts
        assert source_texts <= known


WITH_CONTEXT = {"pgettext", "pgettext_lazy"}
OTHERS = {"gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}


def texts_of_module(path: Path) -> Iterator[Text]:
    """What a module has translated."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            match getattr(node.func, "id", ""):
                case name if name in WITH_CONTEXT:
                    context, text = map(ast.literal_eval, node.args)
                    yield context, text
                case "npgettext" | "npgettext_lazy":
                    context, text, _plural = map(ast.literal_eval, node.args[:3])
                    yield context, text


def texts_of_template(path: Path) -> Iterator[Text]:
    """What a template has translated; a text without a context is one of Django's admin."""
    tag = r"""{% translate (["'])(.*?)\1 context (["'])(\w+)\3 %}"""
    for _, text, _, context in re.findall(tag, path.read_text("utf-8")):
        yield context, text


def test_the_arabic_catalogue_has_every_text_and_no_other() -> None:
    texts = {
        *chain.from_iterable(texts_of_module(path) for path in PACKAGE.rglob("*.py")),
        *chain.from_iterable(texts_of_template(path) for path in PACKAGE.rglob("*.html")),
    }
    assert {text_of(entry) for entry in polib.pofile(str(CATALOGUE))} == texts


def test_no_other_app_can_translate_our_texts_nor_we_theirs() -> None:
    """Texts without a context are shared by all the apps of a site."""
    assert {context for context, _ in map(text_of, polib.pofile(str(CATALOGUE)))} == {"OTP"}
    for path in PACKAGE.rglob("*.py"):
        names = {
            n.id for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Name)
        }
        assert not names & OTHERS, path
    admins = (Path(admin.__file__).parent / "locale/en/LC_MESSAGES/django.po").read_text("utf-8")
    for path in PACKAGE.rglob("*.html"):
        for _, text in re.findall(r"""{% translate (["'])([^"']*)\1 %}""", path.read_text("utf-8")):
            assert f'msgid "{text}"' in admins, path


@pytest.mark.django_db
def test_models_and_migrations_agree() -> None:
    output = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=output)
    assert "No changes detected" in output.getvalue()


def places() -> list[str]:
    """Return the modules and folders that CONTRIBUTING.rst names, folders with a slash."""
    contributing = (PROJECT / "CONTRIBUTING.rst").read_text("utf-8")
    names = re.findall(r"^((?: {4})+)(\S+(?:\.py|/))(?: +\S.*)?$", contributing, re.MULTILINE)
    found, folders = [], [""]
    for indent, name in names:
        depth = len(indent) // 4
        path = folders[depth - 1] + name
        folders[depth:] = [path]
        found.append(path)
    return found


def is_room(path: Path) -> bool:
    """Whether people look into a module: it is neither empty nor a migration."""
    return path.name != "__init__.py" and path.parent.name != "migrations"


def test_contributing_names_each_module_once() -> None:
    modules = [str(path.relative_to(PROJECT)) for path in PACKAGE.rglob("*.py") if is_room(path)]
    named = [place for place in places() if place.endswith(".py")]
    assert sorted(named) == sorted(modules)


def test_contributing_names_folders_that_there_are() -> None:
    folders = [place for place in places() if place.endswith("/")]
    assert "django_valify_otp/valify/" in folders
    assert [place for place in folders if not (PROJECT / place).is_dir()] == []
