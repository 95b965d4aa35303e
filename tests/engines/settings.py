"""A site that sends in the background, on the task queue that ``ENGINE`` names."""

import os

import environ

from tests.engines.engines import ENGINES

env = environ.Env()

ENGINE = ENGINES[os.environ["ENGINE"]]
QUEUE_NAME = os.environ["ENGINE_QUEUE"]
BROKER_URL = os.environ["ENGINE_BROKER"]
ALLOWED_HOSTS = ["testserver"]
DATABASES = {"default": env.db_url("DATABASE_URL")}
# PostgreSQL takes names of up to 63 characters.
LONGEST_NAME = 63
TEST_NAME = f"{DATABASES['default']['NAME']}_{os.environ['ENGINE_DATABASE']}"
DATABASES["default"]["TEST"] = {"NAME": TEST_NAME[-LONGEST_NAME:]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "django_valify_otp",
    *ENGINE.apps,
]
REST_FRAMEWORK: dict[str, list[str]] = {"DEFAULT_AUTHENTICATION_CLASSES": []}
ROOT_URLCONF = "tests.engines.urls"
SECRET_KEY = "tests"
USE_TZ = True
VALIFY_OTP = {
    "BASE_URL": os.environ["ENGINE_VALIFY"],
    "BUNDLE_KEY": "tests-bundle-key",
    "USERNAME": "tests-username",
    "PASSWORD": "tests-password",
    "CLIENT_ID": "tests-client-id",
    "CLIENT_SECRET": "tests-client-secret",
    "NUMBER_SEND_LIMITS": [],
    "USER_SEND_LIMITS": [],
    "IP_SEND_LIMITS": [],
    "PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "SEND_IN_BACKGROUND": True,
    # Rows of killed workers are settled 10 seconds after it.
    "DEADLINE": 5,
    # A thousand attempts may take two workers that long, who are killed every other second.
    "QUEUE_LIFETIME": 300,
}
# It would need a queue of the worker's own in the broker.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
globals().update(ENGINE.settings(broker_url=BROKER_URL, queue_name=QUEUE_NAME))
