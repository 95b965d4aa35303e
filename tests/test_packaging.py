"""The built packages: what is in them, and that they work where nothing else is."""

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from benchmarks.ports import free_port
from django_valify_otp.sandbox.process import ValifySandbox
from tests import releases, reproducible
from tests.rst import blocks_of

PROJECT = Path(__file__).parent.parent
BUILD_TIME = "1700000000"
DIST_INFO = f"django_valify_otp-{releases.version_of(PROJECT)}.dist-info"
LEFT_OUT = shutil.ignore_patterns(
    ".*", "*.egg-info", "*.pyc", "*.sqlite3", "__pycache__", "build", "dist"
)

# Packages are fetched here, over whatever network there is.
pytestmark = [pytest.mark.packaging, pytest.mark.timeout(600)]


def run(python: Path | str, *arguments: str, cwd: Path, **variables: str) -> str:
    """What a process printed that knows nothing of this run, but for these variables."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE", "DATABASE", "DJANGO", "PYTHON", "VALIFY", "TEST_"))
    } | variables
    found = subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def build(folder: Path) -> None:
    """Copy the project into this folder, and build its wheel and source distribution there."""
    source = folder / "source"
    shutil.copytree(PROJECT, source, ignore=LEFT_OUT, copy_function=shutil.copyfile)
    for name in (".importlinter", ".readthedocs.yaml", "example_project/.env.example"):
        shutil.copyfile(PROJECT / name, source / name)
    arguments = ["-m", "build", "--outdir", str(folder)]
    run(sys.executable, *arguments, cwd=source, SOURCE_DATE_EPOCH=BUILD_TIME)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    return folder


def test_the_wheel_has_the_package_and_nothing_else(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    package = PROJECT / "django_valify_otp"
    wanted = {
        str(path.relative_to(PROJECT))
        for pattern in ("*.py", "*.css", "*.html", "*.js", "*.mo", "*.po", "py.typed")
        for path in package.rglob(pattern)
    }
    assert "django_valify_otp/migrations/0001_initial.py" in wanted
    assert "django_valify_otp/management/commands/valify_send.py" in wanted
    assert "django_valify_otp/locale/ar/LC_MESSAGES/django.mo" in wanted
    assert "django_valify_otp/static/django_valify_otp/otp_entry.js" in wanted
    assert "django_valify_otp/templates/django_valify_otp/otp_entry.html" in wanted
    assert wanted <= names
    assert {name.partition("/")[0] for name in names - wanted} == {DIST_INFO}


def test_packages_of_the_same_files_are_the_same_wherever_they_are_built(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", BUILD_TIME)
    for folder in (built, tmp_path):
        reproducible.main([str(path) for path in folder.glob("*.tar.gz")])
    first, second = (
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.*")}
        for folder in (built, tmp_path)
    )
    assert len(first) == 2
    assert first == second


def test_the_wheel_needs_five_packages(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    metadata = zipfile.ZipFile(wheel).read(f"{DIST_INFO}/METADATA").decode()
    needed = [
        line.removeprefix("Requires-Dist: ").partition(">")[0]
        for line in metadata.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    assert sorted(needed) == [
        "django",
        "djangorestframework",
        "phonenumberslite",
        "requests",
        "urllib3",
    ]


def test_the_source_distribution_can_be_tested(built: Path) -> None:
    [source] = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        ".importlinter",
        ".readthedocs.yaml",
        "CHANGELOG.rst",
        "CITATION.cff",
        "CONTRIBUTING.rst",
        "LICENSE",
        "Makefile",
        "README.rst",
        "SECURITY.md",
        "benchmarks/send.py",
        "docs/conf.py",
        "docs/pictures/attempt-en.png",
        "docs/reference/settings.rst",
        "constraints/lowest.txt",
        "example_project/demo.py",
        "example_project/example/static/example/page.js",
        "noxfile.py",
        "tests/test_packaging.py",
    } <= names


SETTINGS = """
INSTALLED_APPS += ["rest_framework", "django_valify_otp"]
VALIFY_OTP = dict.fromkeys(
    ["BUNDLE_KEY", "USERNAME", "PASSWORD", "CLIENT_ID", "CLIENT_SECRET"], "sandbox"
)
VALIFY_OTP["BASE_URL"] = "http://127.0.0.1:8900"
"""
URLS = """
from django.urls import include
urlpatterns.append(path("otp/", include("django_valify_otp.urls")))
"""
SEND = """
import django
django.setup()
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django_valify_otp.sandbox.process import running_sandbox
settings.ALLOWED_HOSTS = ["testserver"]
client = Client()
client.force_login(User.objects.create_user("mona"))
with running_sandbox() as sandbox:
    settings.VALIFY_OTP["BASE_URL"] = sandbox.base_url
    body = {"phone_number": "01012345678"}
    response = client.post("/otp/sends/", body, content_type="application/json")
    print(response.status_code, response.json()["status"], len(sandbox.inbox()))
"""


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")


def test_the_installed_wheel_sends(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", str(wheel), cwd=tmp_path)
    run(python, "-m", "django", "startproject", "site_of_a_user", ".", cwd=tmp_path)
    append(tmp_path / "site_of_a_user" / "settings.py", SETTINGS)
    append(tmp_path / "site_of_a_user" / "urls.py", URLS)
    assert "no issues" in run(python, "manage.py", "check", cwd=tmp_path)
    run(python, "manage.py", "migrate", cwd=tmp_path)
    settings = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'site_of_a_user.settings'"
    assert run(python, "-c", settings + SEND, cwd=tmp_path) == "201 sent 1\n"


class Reader:
    """Somebody with an empty home who follows the README in an empty folder."""

    def __init__(self, folder: Path, *, wheel: Path, port: int) -> None:
        self.folder = folder
        self.wheel = wheel
        self.port = port
        (folder / "home").mkdir()

    def adapt(self, text: str) -> str:
        """Put the wheel in place of the package, and a port that is free in place of 8900."""
        text = text.replace("install django-valify-otp", f"install {self.wheel}")
        return text.replace("8900", str(self.port))

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a command as the terminal of the README does."""
        folders = [self.folder / ".venv" / "bin", Path(sys.executable).resolve().parent]
        environment = {
            **{name: text for name, text in os.environ.items() if name.startswith("PIP_")},
            "HOME": str(self.folder / "home"),
            "PATH": ":".join([*map(str, folders), "/usr/bin", "/bin"]),
        }
        return subprocess.Popen(
            ["bash", "-ec", self.adapt(command)],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str, typed: str = "") -> str:
        """Return what a command printed. It must succeed."""
        process = self.start(command)
        printed, _ = process.communicate(typed, timeout=300)
        assert process.returncode == 0, printed
        return printed

    def run_curl(self, command: str, *, serve: str) -> dict[str, Any]:
        """Return the answer to a request of curl's, which not every machine has."""
        program, *arguments = shlex.split(command.replace("\\\n", ""))
        assert program == "curl"
        parser = argparse.ArgumentParser()
        for option in ("--user", "--header", "--data"):
            parser.add_argument(option, required=True)
        parser.add_argument("url")
        request = parser.parse_args(arguments)
        name, _, content = request.header.partition(": ")
        port = free_port()
        site = self.start(f"exec {serve.removesuffix(' &')} --noreload {port}")
        try:
            session = requests.Session()
            until_it_listens = Retry(connect=8, backoff_factor=0.1)
            session.mount("http://", HTTPAdapter(max_retries=until_it_listens))
            answer = session.post(
                request.url.replace("8000", str(port)),
                request.data,
                auth=tuple(request.user.split(":")),
                headers={name: content},
                timeout=60,
            )
        finally:
            site.terminate()
            site.communicate()
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def add(self, name: str, text: str) -> None:
        """Add a block to the end of a file."""
        append(self.folder / name, "\n" + self.adapt(text))

    def read_sms(self) -> str:
        """Return the OTP in the inbox."""
        [message] = ValifySandbox(f"http://127.0.0.1:{self.port}").inbox()
        return message.code


def test_the_quick_start_of_the_readme(built: Path, tmp_path: Path) -> None:
    [wheel] = built.glob("*.whl")
    port_of_sandbox = free_port()
    reader = Reader(tmp_path, wheel=wheel, port=port_of_sandbox)
    install, settings, urls, begin, send, verify, site, over_http = blocks_of("README.rst")
    for command in install.commands:
        reader.run(command)
    reader.add("mysite/settings.py", settings.text)
    reader.add("mysite/urls.py", urls.text)
    migrate, sandbox = begin.commands
    [type_otp] = verify.commands
    create_user, serve = site.commands
    [curl] = over_http.commands
    reader.run(migrate)
    serving = reader.start(f"exec {sandbox.removesuffix(' &')} --port {port_of_sandbox}")
    assert serving.stdout
    try:
        assert str(port_of_sandbox) in serving.stdout.readline()
        assert "status: sent" in reader.run(*send.commands)
        assert reader.run(type_otp, typed=reader.read_sms() + "\n").split()[-1] == "verified"
        reader.run(create_user)
        assert reader.run_curl(curl, serve=serve)["status"] == "sent"
    finally:
        serving.terminate()
        serving.communicate()


TYPED_SETTINGS = """
SECRET_KEY = "shop"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "django_valify_otp",
]
"""
MYPY = """
[mypy]
strict = true
warn_unreachable = true
plugins = mypy_django_plugin.main, mypy_drf_plugin.main
[mypy.plugins.django-stubs]
django_settings_module = shop.settings
"""
# Its own comments alone, each of which must be about an error.
PYRIGHT = """{
    "include": ["shop"],
    "typeCheckingMode": "strict",
    "enableTypeIgnoreComments": false,
    "reportUnnecessaryTypeIgnoreComment": "error"
}"""


@pytest.fixture
def typed_site(tmp_path: Path) -> Path:
    """Make the folder of a site that uses the whole public API, and much of it wrongly."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("__init__.py", "refused.py", "usage.py"):
        shutil.copy(PROJECT / "tests" / "typed" / name, folder)
    (folder / "settings.py").write_text(TYPED_SETTINGS)
    (tmp_path / "mypy.ini").write_text(MYPY)
    (tmp_path / "pyrightconfig.json").write_text(PYRIGHT)
    return tmp_path


def test_the_types_of_the_installed_wheel(
    built: Path, typed_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor does pyright ask whether there is a newer one.
    monkeypatch.setenv("PYRIGHT_PYTHON_IGNORE_WARNINGS", "1")
    [wheel] = built.glob("*.whl")
    venv.create(typed_site / "env", with_pip=True)
    python = typed_site / "env" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[types]", cwd=typed_site)
    found = run(python, "-m", "mypy", "shop", cwd=typed_site)
    assert found == "Success: no issues found in 4 source files\n"
    found = run(python, "-m", "pyright", "--pythonpath", str(python), cwd=typed_site)
    assert found == "0 errors, 0 warnings, 0 informations\n"
