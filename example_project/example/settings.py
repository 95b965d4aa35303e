"""Use SQLite and the sandbox, unless the environment or ``.env`` sets something else."""

from importlib.metadata import version
from pathlib import Path

import environ

FOLDER = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(FOLDER / ".env")

SECRET_KEY = env.str("SECRET_KEY", default="insecure-and-for-the-example-only")
DEBUG = env.bool("DEBUG", default=True)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost"])
DATABASES = {"default": env.db_url(default=f"sqlite:///{FOLDER / 'example.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DEFAULT_EXCEPTION_REPORTER_FILTER = "django_valify_otp.error_reports.ErrorReportFilter"

VALIFY_OTP = {
    "BASE_URL": env.str("VALIFY_BASE_URL", default="http://127.0.0.1:8900"),
    "BUNDLE_KEY": env.str("VALIFY_BUNDLE_KEY", default="sandbox"),
    "USERNAME": env.str("VALIFY_USERNAME", default="sandbox"),
    "PASSWORD": env.str("VALIFY_PASSWORD", default="sandbox"),
    "CLIENT_ID": env.str("VALIFY_CLIENT_ID", default="sandbox"),
    "CLIENT_SECRET": env.str("VALIFY_CLIENT_SECRET", default="sandbox"),
    # Visitors verify their number before they have an account.
    "PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "GLOBAL_SEND_LIMITS": ["1000/1h"],
    "RETENTION_DAYS": 90,
    "SEND_IN_BACKGROUND": env.bool("SEND_IN_BACKGROUND", default=False),
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "django-valify-otp",
    "DESCRIPTION": "Verify Egyptian mobile numbers by SMS through Valify.",
    "VERSION": version("django-valify-otp"),
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_valify_otp",
    "example",
]
if VALIFY_OTP["SEND_IN_BACKGROUND"]:
    INSTALLED_APPS.append("django_tasks_db")
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
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
ROOT_URLCONF = "example.urls"
STATIC_URL = "static/"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ar", "العربية")]
TIME_ZONE = "Africa/Cairo"
