"""A site with the version of its API in each path."""

from tests.settings import *  # noqa: F403

REST_FRAMEWORK = {
    "ALLOWED_VERSIONS": ["v1", "v2"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.URLPathVersioning",
}
ROOT_URLCONF = "tests.neighbors.versioned.urls"
