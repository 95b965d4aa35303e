"""The documents: their code runs, and their tables say what the code does."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from inspect import getmembers, isclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core.management import get_commands
from django.test import Client, RequestFactory
from docutils import nodes
from docutils.core import publish_doctree
from pytest_django import Settings
from rest_framework.test import APIClient
from sybil import Sybil
from sybil.parsers.rest import PythonCodeBlockParser

from django_valify_otp import conf, exceptions
from django_valify_otp.checks import ERROR_IDS, WARNING_IDS
from django_valify_otp.models import OtpSend, OtpVerification
from django_valify_otp.sandbox.process import ValifySandbox
from django_valify_otp.sandbox.sending import FORCED_OUTCOMES
from tests.environment import unmeasured
from tests.rst import DOCS, PROJECT, blocks_of, read, rows_of

PAGES = sorted(str(path.relative_to(PROJECT)) for path in DOCS.rglob("*.rst"))
MODELS = list(apps.get_app_config("django_valify_otp").get_models())
# Its files are those of a project, which a test of its own makes.
RUN_AS_A_PROJECT = "docs/tutorial.rst"
# As `make docs` calls it.
SPHINX = ("-W", "--keep-going", "-n", "-q", "-b", "html")
IN_OTHER_ENVIRONMENTS = ("python3 -m venv", ". .venv", "python -m pip install")
WITH_PYTHON = [
    page
    for page in PAGES
    if page != RUN_AS_A_PROJECT and any(block.language == "python" for block in blocks_of(page))
]


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_the_python_of_a_page_runs(
    page: str,
    admin_client: Client,
    api: APIClient,
    rf: RequestFactory,
    settings: Settings,
    user: User,
    valify_sandbox: ValifySandbox,
) -> None:
    document = Sybil([PythonCodeBlockParser()]).parse(PROJECT / page)
    document.namespace |= {
        "admin_client": admin_client,
        "api": api,
        "pytest_settings": settings,
        "rf": rf,
        "user": user,
        "valify_sandbox": valify_sandbox,
    }
    examples = list(document.examples())
    assert len(examples) >= len([b for b in blocks_of(page) if b.language == "python"])
    for example in examples:
        example.evaluate()


def test_each_setting_has_its_default() -> None:
    text = read("docs/reference/settings.rst")
    headings = re.findall(r"^``([A-Z_]+)``\n=+\n\n\*(.+)\*", text, re.MULTILINE)
    documented = dict(headings)
    assert [name for name, _ in headings] == list(conf.KEYS)
    for field in fields(conf.Settings):
        described = documented[field.name.upper()]
        default: Any = field.default
        if isinstance(default, tuple):
            default = [getattr(item, "text", item) for item in default]
        if field.name.upper() in {"BASE_URL", "BUNDLE_KEY"} or default == "":
            assert "Required" in described
        else:
            text = f'"{default}"' if isinstance(default, str) else repr(default).replace("'", '"')
            assert f"Default ``{text}``" in described


def test_each_command_is_there() -> None:
    commands = {name for name, app in get_commands().items() if app == "django_valify_otp"}
    assert commands
    text = read("docs/reference/commands.rst")
    assert set(re.findall(r"^``python manage\.py (valify_\w+)", text, re.MULTILINE)) == commands


def test_each_check_is_there() -> None:
    documented = re.findall(
        r"^``(django_valify_otp\.\w+)``", read("docs/reference/checks.rst"), re.MULTILINE
    )
    assert sorted(documented) == sorted([*ERROR_IDS.values(), *WARNING_IDS.values()])


def test_the_checks_of_keys_name_their_keys() -> None:
    text = read("docs/reference/checks.rst")
    found = re.findall(r"^``(django_valify_otp\.E\d+)`` +``([A-Z_]+)``", text, re.MULTILINE)
    named = {
        ident: key for ident, key in found if key in conf.KEYS and ident >= "django_valify_otp.E01"
    }
    assert named == {f"django_valify_otp.{spec.error_id}": key for key, spec in conf.KEYS.items()}


def errors() -> Iterator[type[exceptions.ValifyOtpError]]:
    """Yield each error that a caller can meet."""
    for _, kind in getmembers(exceptions, isclass):
        if issubclass(kind, exceptions.ValifyOtpError) and kind is not exceptions.ValifyOtpError:
            yield kind


def test_each_code_has_its_http_status() -> None:
    found = re.findall(r"^(\d{3})  ``(\w+)``", read("docs/reference/http.rst"), re.MULTILINE)
    answers = {
        kind.code: kind.http_status.value
        for kind in errors()
        # These are a field's error, and a view's of the site.
        if kind.code not in {"invalid", "invalid_verification_token"}
    }
    assert {code: int(status) for status, code in found} == answers
    assert len(found) == len(answers)


def test_each_exception_has_its_code() -> None:
    text = read("docs/reference/python.rst")
    for kind in errors():
        assert f"``{kind.__name__}``" in text
        assert f"``{kind.code}``" in text


def test_each_status_is_there() -> None:
    text = read("docs/reference/glossary.rst")
    rows = text.partition("SMS sent?")[2]
    assert re.findall(r"^``(\w+)``", rows, re.MULTILINE) == [
        *OtpSend.Status.values,
        *OtpVerification.Status.values,
    ]


def test_each_number_of_the_sandbox_is_there() -> None:
    text = read("docs/howto/testing.rst").partition("These numbers force an outcome")[2]
    endings = re.findall(r"``(?:01000000)?(\d{3})``", text)
    assert sorted(endings) == sorted(number[-3:] for number in FORCED_OUTCOMES)


@pytest.mark.django_db
def test_each_permission_is_there() -> None:
    text = read("docs/reference/permissions.rst")
    documented = set(re.findall(r"^``django_valify_otp\.(\w+)``", text, re.MULTILINE))
    made = Permission.objects.filter(content_type__app_label="django_valify_otp")
    nothing = re.compile("(add|change|delete)_otp(send|verification)")
    names = set(made.values_list("codename", flat=True))
    assert documented == {name for name in names if not nothing.fullmatch(name)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_column_and_index_is_there(model: Any) -> None:
    text = read("docs/reference/database.rst")
    heading = f"\n``{model._meta.db_table}``\n=="
    section = text.partition(heading)[2].partition("\n\n``django_valify_otp_")[0]
    named = [row.split("``")[1] for row in rows_of(section, first="``")]
    options = [*model._meta.indexes, *model._meta.constraints]
    columns = [field.column for field in model._meta.concrete_fields]
    assert named == [*columns, *(option.name for option in options)]


def test_the_documents_have_their_pictures() -> None:
    named = set(re.findall(r"image:: (\S+)", "".join(map(read, PAGES))))
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.png")}


@pytest.mark.parametrize("name", ["README.rst", "CHANGELOG.rst", "CONTRIBUTING.rst"])
def test_the_documents_of_the_root_are_valid(name: str) -> None:
    """They are shown without Sphinx and without the files beside them."""
    tree = publish_doctree(read(name), settings_overrides={"halt_level": 2, "report_level": 2})
    links = [
        reference["refuri"] for reference in tree.findall(nodes.reference) if "refuri" in reference
    ]
    assert [link for link in links if not link.startswith(("https://", "http://127.0.0.1"))] == []
    assert not list(tree.findall(nodes.image))


def test_the_readme_names_files_that_there_are() -> None:
    named = set(re.findall(r"``(docs/[\w./-]*)``", read("README.rst")))
    assert named
    assert [name for name in named if not (PROJECT / name).exists()] == []


@pytest.mark.packaging
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            *SPHINX,
            "-d",
            tmp_path / "trees",
            DOCS,
            tmp_path / "html",
        ],
        env=unmeasured(),
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "html" / "tutorial.html").exists()


@pytest.mark.packaging
def test_the_tutorial_ends_with_a_passing_test(tmp_path: Path) -> None:
    """Make a project of its files. The packages are those of this environment."""
    home = tmp_path / "home"
    home.mkdir()
    here = {"HOME": str(home), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    printed = ""
    for block in blocks_of(RUN_AS_A_PROJECT):
        if block.file.startswith("mysite/"):
            append(tmp_path / block.file, block.text)
        elif block.file:
            write(tmp_path / block.file, block.text)
        for command in block.commands:
            if not command.startswith(IN_OTHER_ENVIRONMENTS):
                printed = run(command, cwd=tmp_path, env=here)
    assert "5 passed" in printed


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def run(command: str, *, cwd: Path, env: dict[str, str]) -> str:
    """Return what a command of the shell has printed. It must succeed."""
    done = subprocess.run(
        ["bash", "-ec", command], cwd=cwd, env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, command + done.stdout + done.stderr
    return done.stdout
