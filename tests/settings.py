import os
import tempfile
from pathlib import Path

import environ

env = environ.Env()

# A file, as threads each open their own connection, which an in-memory database would not survive;
# in the environment, so that the processes which a test starts find the same file.
SQLITE_FILE = os.environ.setdefault(
    "TEST_SQLITE_FILE", str(Path(tempfile.gettempdir()) / f"valify-otp-{os.getpid()}.sqlite3")
)
# pytest-django adds it to the name of each worker's test database.
WORKER = os.environ.get("PYTEST_XDIST_WORKER")
FILE_OF_WORKER = f"{SQLITE_FILE}_{WORKER}" if WORKER else SQLITE_FILE
DATABASES = {"default": env.db_url(default=f"sqlite:///{FILE_OF_WORKER}")}
IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
if IS_SQLITE:
    DATABASES["default"]["OPTIONS"] = {
        # No test outlives a power cut, and else each commit waits for the disk.
        "init_command": "PRAGMA synchronous = OFF",
        # Seconds in which each of many writers has its turn, on a busy machine too.
        "timeout": 20,
    }
DATABASE_ROUTERS = env.list("TEST_DATABASE_ROUTERS", default=[])
# Runs with and without routers may share a server.
SUFFIX = "_routed" if DATABASE_ROUTERS else ""
TEST_NAME = SQLITE_FILE if IS_SQLITE else f"test_{DATABASES['default']['NAME']}{SUFFIX}"
DATABASES["default"]["TEST"] = {"NAME": TEST_NAME}
# Nothing copies rows to it: no replica could be further behind.
DATABASES["replica"] = {**DATABASES["default"], "TEST": {"NAME": f"{TEST_NAME}_replica"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEFAULT_EXCEPTION_REPORTER_FILTER = "django_valify_otp.error_reports.ErrorReportFilter"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "drf_spectacular",
    "django_valify_otp",
]
LANGUAGES = [("en", "English"), ("ar", "Arabic")]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK: dict[str, object] = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}
ROOT_URLCONF = "tests.urls"
SECRET_KEY = "tests"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
VALIFY_OTP = {
    # Port 9 is "discard": a test that forgot its server is refused at once.
    "BASE_URL": "http://127.0.0.1:9",
    "BUNDLE_KEY": "tests-bundle-key",
    "USERNAME": "tests-username",
    "PASSWORD": "tests-password",
    "CLIENT_ID": "tests-client-id",
    "CLIENT_SECRET": "tests-client-secret",
    # Tests of limits set their own.
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "GLOBAL_SEND_LIMITS": [],
}
