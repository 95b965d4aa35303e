"""A site that writes and reads camelCase by djangorestframework-camel-case."""

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE

MIDDLEWARE = [*MIDDLEWARE, "djangorestframework_camel_case.middleware.CamelCaseMiddleWare"]
REST_FRAMEWORK = {
    "DEFAULT_PARSER_CLASSES": ["djangorestframework_camel_case.parser.CamelCaseJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["djangorestframework_camel_case.render.CamelCaseJSONRenderer"],
}
ROOT_URLCONF = "tests.neighbors.camel_case.urls"
