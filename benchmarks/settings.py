"""The site of the benchmark: nothing but what a send needs, and Django's defaults.

The database is the one of ``DATABASE_URL``, or SQLite, in the file that ``BENCHMARK_SQLITE`` names.
"""

import json
import os

import environ

env = environ.Env()

SQLITE_FILE = os.environ.get("BENCHMARK_SQLITE", "benchmark.sqlite3")
DATABASES = {"default": env.db_url(default=f"sqlite:///{SQLITE_FILE}")}
# Connections last, as on a site that cares: else each request to PostgreSQL begins with a fork.
DATABASES["default"]["CONN_MAX_AGE"] = None
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": SQLITE_FILE}
    # Seconds in which each of eight writers has its turn; it makes nothing faster.
    DATABASES["default"]["OPTIONS"] = {"timeout": 60}
ALLOWED_HOSTS = ["127.0.0.1"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "django_valify_otp",
    "benchmarks",
]
LOGGING_CONFIG = None
MIDDLEWARE: list[str] = []
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["benchmarks.known_user.KnownUser"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
}
ROOT_URLCONF = "benchmarks.site"
SECRET_KEY = "benchmarks"  # noqa: S105 (nothing is served beyond this machine)
USE_TZ = True
VALIFY_OTP = json.loads(os.environ.get("BENCHMARK_VALIFY_OTP", "{}"))
