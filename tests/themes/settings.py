"""The settings of a site whose admin has the theme that the environment names."""

import os

from tests import settings

APPS_OF_THEMES = {
    "admin-interface": ["admin_interface", "colorfield"],
    "grappelli": ["grappelli"],
    "jazzmin": ["jazzmin"],
    "unfold": ["unfold"],
}
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = settings.DEFAULT_AUTO_FIELD
INSTALLED_APPS = [
    *APPS_OF_THEMES[os.environ["THEME"]],
    *settings.INSTALLED_APPS,
    "django.contrib.staticfiles",
]
LANGUAGES = settings.LANGUAGES
MIDDLEWARE = settings.MIDDLEWARE
PASSWORD_HASHERS = settings.PASSWORD_HASHERS
ROOT_URLCONF = "tests.themes.urls"
SECRET_KEY = settings.SECRET_KEY
SILENCED_SYSTEM_CHECKS = ["security.W019"]
STATIC_URL = "/static/"
TEMPLATES = settings.TEMPLATES
USE_TZ = True
VALIFY_OTP = settings.VALIFY_OTP
X_FRAME_OPTIONS = "SAMEORIGIN"
