import os
import tempfile
from pathlib import Path

import environ

env = environ.Env()

# In the environment, so that the processes which a test starts find the same file.
SQLITE_FILE = os.environ.setdefault(
    "TEST_SQLITE_FILE", str(Path(tempfile.gettempdir()) / f"valify-otp-{os.getpid()}.sqlite3")
)
DATABASES = {"default": env.db_url(default=f"sqlite:///{SQLITE_FILE}")}
IS_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
# Threads each open their own connection, which an in-memory database would not survive.
DATABASES["default"]["TEST"] = {"NAME": SQLITE_FILE if IS_SQLITE else None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
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
