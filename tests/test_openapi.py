"""What the OpenAPI document says of the endpoints, and that they answer as it says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.urls import URLResolver, include, path, re_path
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import patched_settings
from drf_spectacular.utils import extend_schema, extend_schema_view
from openapi_spec_validator import validate
from pytest_django import Settings
from rest_framework.authentication import BasicAuthentication
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIClient
from rest_framework.throttling import BaseThrottle

from django_valify_otp import apps, handover
from django_valify_otp.models import OtpSend, SendBlock
from django_valify_otp.serializers import OtpSendSerializer
from django_valify_otp.views import OtpSendViewSet
from tests.configuration import Configure
from tests.factories import NUMBER, client_of, make_send, make_try
from tests.openapi import (
    FILE,
    Documented,
    code_of,
    documented,
    errors_in,
    examples_of,
    media_of,
    operations,
    read_document,
)
from tests.pages import SENDS, url_of
from tests.scripted_server import Answer, ScriptedServer, answer, hang_up
from tests.task_queue import TASKS

PROJECT = Path(__file__).parent.parent
LIST, CREATE = f"GET {SENDS}", f"POST {SENDS}"
RETRIEVE, VERIFY = f"GET {SENDS}{{id}}/", f"POST {SENDS}{{id}}/verify/"
CODE = "482913"
KEY = {"Idempotency-Key": "c0ffee"}
DOCUMENT = read_document()


@pytest.mark.packaging
def test_the_file_is_what_the_command_writes(tmp_path: Path) -> None:
    written = tmp_path / "openapi.yaml"
    command = ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", str(written)]
    subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT / "example_project",
        check=True,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "example.settings"},
        timeout=100,
    )
    assert FILE.read_text("utf-8") == written.read_text("utf-8"), "run make openapi"


def test_the_file_is_valid() -> None:
    validate(DOCUMENT)
    assert list(operations(DOCUMENT)) == [LIST, CREATE, RETRIEVE, VERIFY]


def test_the_fields_of_an_attempt_are_the_ones_of_the_view() -> None:
    fields = DOCUMENT["components"]["schemas"]["OtpSend"]["properties"]
    assert tuple(fields) == OtpSendSerializer.Meta.fields


@pytest.mark.parametrize("name", [LIST, CREATE, RETRIEVE, VERIFY])
def test_examples_are_as_the_schema_says(name: str) -> None:
    for response in operations(DOCUMENT)[name]["responses"].values():
        schema, examples = media_of(response)["schema"], examples_of(response)
        assert examples
        assert [errors_in(DOCUMENT, example, schema=schema) for example in examples] == [
            [] for _ in examples
        ]


@extend_schema_view(create=extend_schema(summary="Send me a code"))
class DerivedViewSet(OtpSendViewSet):
    """A view set of a site's own, which describes one of its methods itself."""


def derived_urls() -> Any:
    router = SimpleRouter()
    router.register("sends", DerivedViewSet, basename="otp-send")
    return router.urls


@pytest.fixture
def generate() -> Iterator[Callable[..., Any]]:
    """Return the document of a site with these URLs, about which there is no warning."""
    GENERATOR_STATS.reset()

    def document_of(*urls: URLResolver, **more: Any) -> Any:
        with patched_settings(more):
            document = SchemaGenerator(patterns=list(urls)).get_schema(request=None, public=True)
        assert not GENERATOR_STATS
        validate(document)
        return document

    yield document_of
    GENERATOR_STATS.reset()


URLS = "django_valify_otp.urls"
PLACES = {
    "otp/": path("otp/", include(URLS)),
    "a slug": path("<slug:tenant>/otp/", include(URLS)),
    "a version": re_path("^(?P<version>v[0-9]+)/otp/", include(URLS)),
}


@pytest.mark.parametrize("oas_version", ["3.0.3", "3.1.0"])
@pytest.mark.parametrize("position", ["PRE", "POST"])
@pytest.mark.parametrize("place", PLACES)
def test_links_lead_to_operations_wherever_the_urls_are(
    generate: Callable[..., Any], place: str, position: str, oas_version: str
) -> None:
    more = {"OPERATION_ID_METHOD_POSITION": position, "OAS_VERSION": oas_version}
    found = operations(generate(PLACES[place], **more))
    assert len(found) == 4
    names = {operation["operationId"]: operation for operation in found.values()}
    [create] = [found[name] for name in found if re.fullmatch("POST .*/sends/", name)]
    for status in ("201", "202"):
        links = create["responses"][status]["links"]
        assert list(links) == ["retrieve", "verify"]
        for link in links.values():
            taken = names[link["operationId"]]["parameters"]
            assert link["parameters"].keys() == {p["name"] for p in taken if p["in"] == "path"}


def test_a_site_s_own_words_stay(generate: Callable[..., Any]) -> None:
    found = operations(generate(path("otp/", include(derived_urls()))))
    assert found[CREATE]["summary"] == "Send me a code"
    for part in ("summary", "requestBody", "responses"):
        assert found[VERIFY][part] == operations(DOCUMENT)[VERIFY][part]


class NothingSchema(AutoSchema):
    """The class of a site that has no operation in its schema."""

    def is_excluded(self) -> bool:
        return True


def test_a_site_s_own_class_of_schemas_stays(
    generate: Callable[..., Any], settings: Settings
) -> None:
    settings.REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "tests.test_openapi.NothingSchema"}
    assert generate(PLACES["otp/"])["paths"] == {}


@dataclass
class Stage:
    """All that an answer may depend on."""

    api: APIClient
    caller: str
    configure: Configure
    monkeypatch: pytest.MonkeyPatch
    valify: ScriptedServer

    def ask(self, operation: str, client: APIClient | None = None, **more: Any) -> Any:
        """Make a request that is answered with a 2xx, unless something is in its way."""
        client = client or self.api
        if operation == LIST:
            return client.get(SENDS, **more)
        if operation == CREATE:
            return self.post(SENDS, {"phone_number": NUMBER}, client=client, **more)
        url = url_of(make_send(caller=self.caller))
        if operation == RETRIEVE:
            return client.get(url, **more)
        return self.post(f"{url}verify/", {"otp": CODE}, client=client, **more)

    def post(self, url: str, body: Any, *, client: APIClient | None = None, **more: Any) -> Any:
        """Post a body, as JSON unless told otherwise."""
        return (client or self.api).post(url, body, **{"format": "json", **more})

    def verify(self, **fields: Any) -> Any:
        """Try to verify an attempt with these fields."""
        row = make_send(caller=self.caller, **fields)
        return self.post(f"{url_of(row)}verify/", {"otp": CODE})

    def patch_view(self, **attributes: object) -> None:
        """Let the site have another view set."""
        for name, value in attributes.items():
            self.monkeypatch.setattr(OtpSendViewSet, name, value)


Work = Callable[[Stage, str], Any]


@pytest.fixture
def stage(
    api: APIClient,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    user: User,
    valify: ScriptedServer,
) -> Stage:
    settings.TASKS = TASKS
    monkeypatch.setattr(handover, "_queues", {})
    return Stage(api, f"user:{user.pk}", configure, monkeypatch, valify)


class RefusingThrottle(BaseThrottle):
    """A throttle of the site's own that allows nothing for a minute."""

    def allow_request(self, request: Request, view: Any) -> bool:
        return False

    def wait(self) -> float:
        return 60


def unauthenticated(stage: Stage, operation: str) -> Any:
    stage.patch_view(authentication_classes=[BasicAuthentication])
    return stage.ask(operation, client_of())


def forbidden(stage: Stage, operation: str) -> Any:
    return stage.ask(operation, client_of())


def not_acceptable(stage: Stage, operation: str) -> Any:
    return stage.ask(operation, headers={"Accept": "text/html"})


def throttled(stage: Stage, operation: str) -> Any:
    stage.patch_view(throttle_classes=[RefusingThrottle])
    return stage.ask(operation)


def not_json(stage: Stage, operation: str) -> Any:
    return stage.ask(operation, format="multipart")


def not_valid(stage: Stage, operation: str) -> Any:
    if operation == LIST:
        return stage.api.get(SENDS, {"status": "lost"})
    url = SENDS if operation == CREATE else f"{url_of(make_send(caller=stage.caller))}verify/"
    return stage.post(url, {})


def not_found(stage: Stage, operation: str) -> Any:
    if operation == LIST:
        return stage.api.get(SENDS, {"cursor": "x"})
    url = f"{SENDS}{uuid4()}/"
    return stage.api.get(url) if operation == RETRIEVE else stage.post(f"{url}verify/", {})


def busy_site(stage: Stage, operation: str) -> Any:
    def refuse(*_args: object) -> Any:
        raise OperationalError("too many clients already")

    row = make_send(caller=stage.caller)
    with connection.execute_wrapper(refuse):
        if operation == CREATE:
            return stage.ask(operation)
        if operation == RETRIEVE:
            return stage.api.get(url_of(row))
        return stage.post(f"{url_of(row)}verify/", {"otp": CODE})


def asked(stage: Stage, operation: str) -> Any:
    return stage.ask(operation)


def answered(reply: Answer) -> Work:
    """Return a request for which Valify has this answer."""

    def work(stage: Stage, operation: str) -> Any:
        stage.valify.answer_send(reply)
        stage.valify.answer_verify(reply)
        return stage.ask(operation)

    return work


def without_token(stage: Stage, operation: str) -> Any:
    stage.valify.answer_token(answer(503))
    return stage.ask(operation)


def blocked(scope: str, value: str = "") -> Work:
    """Return a request that staff have forbidden."""

    def work(stage: Stage, operation: str) -> Any:
        SendBlock.objects.create(scope=scope, value=value)
        return stage.ask(operation)

    return work


def limit_reached(stage: Stage, operation: str) -> Any:
    stage.configure(NUMBER_SEND_LIMITS=["1/60s"])
    stage.ask(operation)
    return stage.ask(operation)


def queued(stage: Stage, operation: str) -> Any:
    stage.configure(SEND_IN_BACKGROUND=True)
    return stage.ask(operation)


def replayed(stage: Stage, operation: str) -> Any:
    stage.ask(operation, headers=KEY)
    return stage.ask(operation, headers=KEY)


def key_in_use(stage: Stage, operation: str) -> Any:
    stage.ask(operation, headers=KEY)
    return stage.post(SENDS, {"phone_number": "01112345678"}, headers=KEY)


def queue_expired(stage: Stage, operation: str) -> Any:
    queued(stage, operation)
    stage.ask(operation, headers=KEY)
    long_ago = timezone.now() - timedelta(seconds=121)
    OtpSend.objects.update(created_at=long_ago, handed_over_at=long_ago)
    return stage.ask(operation, headers=KEY)


def verified_before(stage: Stage, operation: str) -> Any:
    return stage.verify(verified_at=timezone.now())


def expired(stage: Stage, operation: str) -> Any:
    return stage.verify(settled_at=timezone.now() - timedelta(seconds=601))


def too_many_tries(stage: Stage, operation: str) -> Any:
    stage.configure(VERIFY_TRIES=1)
    row = make_send(caller=stage.caller)
    make_try(row)
    return stage.post(f"{url_of(row)}verify/", {"otp": CODE})


OF_ALL: dict[tuple[int, str | None], Work] = {
    (401, None): unauthenticated,
    (403, None): forbidden,
    (406, None): not_acceptable,
    (429, None): throttled,
}
OF_CALLS: dict[tuple[int, str | None], Work] = {
    (400, None): not_valid,
    (415, None): not_json,
    (502, "valify_misconfigured"): answered(answer(401)),
    (503, "valify_busy"): answered(answer(429, b"", {"Retry-After": "9"})),
    (503, "valify_unreachable"): without_token,
    (503, "site_busy"): busy_site,
    (504, "outcome_unknown"): answered(hang_up),
}
WORKS: dict[str, dict[tuple[int, str | None], Work]] = {
    LIST: {**OF_ALL, (200, None): asked, (400, None): not_valid, (404, None): not_found},
    CREATE: {
        **OF_ALL,
        **OF_CALLS,
        (201, None): asked,
        (202, None): queued,
        (403, "send_forbidden"): blocked("number", NUMBER),
        (409, "idempotency_conflict"): key_in_use,
        (422, "rejected"): answered(answer(422)),
        (429, "send_limit_reached"): limit_reached,
        (503, "sending_paused"): blocked("everything"),
        (503, "queue_expired"): queue_expired,
    },
    RETRIEVE: {
        **OF_ALL,
        (200, None): asked,
        (404, None): not_found,
        (503, "site_busy"): busy_site,
    },
    VERIFY: {
        **OF_ALL,
        **OF_CALLS,
        (200, None): asked,
        (404, None): not_found,
        (409, "not_verifiable"): verified_before,
        (422, "code_rejected"): answered(answer(422)),
        (422, "code_expired"): expired,
        (429, "too_many_tries"): too_many_tries,
    },
}
ANSWERS = {
    (operation, *outcome): work
    for operation, works in WORKS.items()
    for outcome, work in works.items()
}


def test_every_documented_answer_is_in_the_table() -> None:
    assert sorted(documented(DOCUMENT), key=str) == sorted(ANSWERS, key=str)


@pytest.mark.parametrize("is_installed", [True, False])
def test_only_sites_with_drf_spectacular_load_the_descriptions(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(apps, "import_module", loaded.append)
    others = [name for name in settings.INSTALLED_APPS if name != "drf_spectacular"]
    settings.INSTALLED_APPS = [*others, *(["drf_spectacular"] if is_installed else [])]
    assert loaded == (["django_valify_otp.openapi"] if is_installed else [])


@pytest.mark.django_db
@pytest.mark.parametrize("wanted", ANSWERS, ids=str)
def test_answers_are_the_documented_ones(stage: Stage, wanted: Documented) -> None:
    operation, status, code = wanted
    response = ANSWERS[wanted](stage, operation)
    body = response.json()
    assert (response.status_code, code_of(status, body)) == (status, code)
    described = operations(DOCUMENT)[operation]["responses"][str(status)]
    assert errors_in(DOCUMENT, body, schema=media_of(described)["schema"]) == []
    for name, header in described.get("headers", {}).items():
        if name in response.headers:
            assert fits(response.headers[name], header["schema"])
        else:
            assert not header.get("required")


def fits(value: str, schema: Any) -> bool:
    """Tell whether the value of a header is as documented."""
    read = int(value) if schema["type"] == "integer" else value
    return errors_in(DOCUMENT, read, schema=schema) == []


HEADERS: dict[str, dict[str, tuple[Work, str]]] = {
    "Retry-After": {
        "a throttle": (throttled, "60"),
        "a limit": (limit_reached, "60"),
        "Valify": (OF_CALLS[503, "valify_busy"], "9"),
        "a database": (busy_site, "1"),
    },
    "Idempotency-Replayed": {"a key": (replayed, "true")},
    "Location": {"a queue": (queued, "http://testserver/otp/sends/{id}/")},
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "why"), [(name, why) for name, works in HEADERS.items() for why in works]
)
def test_headers_are_documented_where_they_are_sent(stage: Stage, name: str, why: str) -> None:
    work, value = HEADERS[name][why]
    response = work(stage, CREATE)
    assert response.headers[name] == value.format(id=response.json().get("id"))
    described = operations(DOCUMENT)[CREATE]["responses"][str(response.status_code)]
    assert name in described["headers"]
