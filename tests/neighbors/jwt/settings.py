"""A site with djangorestframework-simplejwt."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "rest_framework_simplejwt"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"]
}
SECRET_KEY = "of-neighbors-and-long-enough-for-hmac"
ROOT_URLCONF = "tests.neighbors.jwt.urls"
