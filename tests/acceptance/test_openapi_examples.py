"""The examples of the OpenAPI document are what a server answers, and fit what the document says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scfm.handlers.routes import routes
from tests.acceptance.openapi_examples import FILE, TEXT_TYPES, record

RECORDED = json.loads(FILE.read_text())
# Without an issuer there is no such answer; and figures, a stream and sounds are not for reading.
WITHOUT_EXAMPLE = {"start_openid_connect", "progress_of_callout", "metrics"}


@pytest.fixture(scope="module")
def document() -> Any:
    return next(route.kwargs["document"] for route in routes() if route.name == "/api/openapi")


def operations(document: Any) -> dict[str, Any]:
    return {one["operationId"]: one for verbs in document["paths"].values() for one in verbs.values()}


def test_a_server_answers_as_the_examples_say() -> None:
    assert record() == RECORDED, "make examples records them anew"


def test_what_can_be_read_of_every_operation_has_an_example(document: Any) -> None:
    """One that has none is missing in tests/acceptance/openapi_examples.py."""
    missing = set()
    for name, operation in operations(document).items():
        body = operation.get("requestBody", {}).get("content", {})
        if "application/json" in body and "example" not in body["application/json"]:
            missing.add(f"{name}: request")
        for status, response in operation["responses"].items():
            kinds = {"application/json", *TEXT_TYPES} & response.get("content", {}).keys()
            if status[0] == "2" and kinds and not any("example" in response["content"][kind] for kind in kinds):
                missing.add(name)
    assert missing - WITHOUT_EXAMPLE == set()


def test_no_example_is_left_of_an_operation_that_there_is_not(document: Any) -> None:
    assert set(RECORDED["operations"]) <= set(operations(document))
    assert set(RECORDED["errors"]) <= set(document["components"]["responses"])


@pytest.mark.parametrize("name", RECORDED["operations"])
def test_an_example_fits_its_schema(document: Any, name: str) -> None:
    operation = operations(document)[name]
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    examples = [
        (media["schema"], media["example"])
        for body in bodies
        for kind, media in body.get("content", {}).items()
        if "example" in media and (kind == "application/json" or kind in TEXT_TYPES)
    ]
    assert examples
    for schema, example in examples:
        Draft202012Validator({**schema, "components": document["components"]}).validate(example)


@pytest.mark.parametrize("name", RECORDED["errors"])
def test_an_example_of_an_error_fits_its_schema(document: Any, name: str) -> None:
    media = document["components"]["responses"][name]["content"]["application/json"]
    Draft202012Validator({**media["schema"], "components": document["components"]}).validate(media["example"])
