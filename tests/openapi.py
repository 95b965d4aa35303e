"""The documented answers of the API, and whether an answer is one of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from openapi_schema_validator import OAS30Validator

FILE = Path(__file__).parent.parent / "docs" / "openapi.yaml"
Document = Mapping[str, Any]
# An operation, a status and a code, which is ``None`` where the body has none.
Documented = tuple[str, int, str | None]


def read_document() -> Document:
    """Return what the file in the documents says."""
    found: Document = yaml.safe_load(FILE.read_text("utf-8"))
    return found


def operations(document: Document) -> dict[str, Any]:
    """Return the operations by name, such as ``POST /otp/sends/``."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def documented(document: Document) -> Iterator[Documented]:
    """Return every answer of every operation, with every code."""
    for name, operation in operations(document).items():
        for status, response in operation["responses"].items():
            for example in examples_of(response):
                yield name, int(status), code_of(int(status), example)


def examples_of(response: Mapping[str, Any]) -> list[Any]:
    """Return the bodies that an answer has as its examples."""
    return [example["value"] for example in media_of(response)["examples"].values()]


def media_of(response: Mapping[str, Any]) -> Any:
    return response["content"]["application/json"]


def code_of(status: int, body: Mapping[str, Any]) -> str | None:
    """Return the code of an error; that of an attempt says something else."""
    return body.get("code") if status >= 400 else None


def errors_in(document: Document, body: Any, *, schema: Any) -> list[str]:
    """Return what is wrong with a body by this part of the document."""
    whole = {**schema, "components": document["components"]}
    validator = OAS30Validator(whole, format_checker=OAS30Validator.FORMAT_CHECKER)
    return [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(body)]
