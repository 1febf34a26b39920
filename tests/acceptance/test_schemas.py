"""The JSON Schemas of what clients send: published, valid, strict, and in step with what the resources declare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from scfm import schemas
from scfm.models import account, call_lifecycle, callout_status
from scfm.models.batch_operation import TYPES
from scfm.models.registry import RESOURCES
from scfm.settings import PROVIDERS
from tests.server import Server

FILTERED = ("contact", "callout", "callout_participation", "phone_call")
RESOURCE = {resource.kind: resource for resource in RESOURCES}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


def parts(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every object inside a schema."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(inner)


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_schema_is_published_as_it_is_in_its_file(server: Server, name: str) -> None:
    path = f"/api/schemas/{name}.json"
    answer = server.request("GET", path, token="")
    file = Path(schemas.__file__).parent / f"{name}.json"
    assert (answer.status, answer.json) == (200, json.loads(file.read_text()))
    assert answer.headers.get_content_type() == "application/json"
    again = server.request("GET", path, token="", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.json) == (304, None)
    assert server.request("HEAD", path, token="").status == 200


@pytest.mark.parametrize("path", ["", "nothing.json", "Values.json", "values.txt", "..%2Fvalues.json", "__init__.py"])
def test_there_is_no_other_schema(server: Server, path: str) -> None:
    answer = server.request("GET", f"/api/schemas/{path}", token="")
    assert (answer.status, answer.json) == (404, {"status": 404, "error": "Not Found"})


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_schema_is_one_of_draft_2020_12_whose_references_lead_somewhere(name: str) -> None:
    schema = schemas.schema(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    for part in parts(schema):
        if reference := part.get("$ref"):
            file, _, path = reference.partition("#")
            found = schemas.schema(file.removesuffix(".json") or name)
            for step in filter(None, path.split("/")):
                found = found[step]


@pytest.mark.parametrize("name", [name for name in schemas.NAMES if name != "values"])
def test_a_schema_lets_through_no_name_that_it_does_not_know(name: str) -> None:
    for part in parts(schemas.schema(name)):
        if "properties" in part:
            assert part["additionalProperties"] is False


@pytest.mark.parametrize("kind", FILTERED)
def test_the_filters_of_a_schema_are_those_of_the_resource(kind: str) -> None:
    assert schemas.schema(f"{kind}_filters")["properties"].keys() == RESOURCE[kind].filters.keys()


def test_the_statuses_of_a_schema_are_those_of_the_resource() -> None:
    defined = schemas.schema("values")["$defs"]
    assert tuple(defined["callout_statuses"]["items"]["enum"]) == callout_status.STATUSES
    assert tuple(defined["phone_call_statuses"]["items"]["enum"]) == call_lifecycle.CALL_STATUSES


def test_the_settings_of_a_schema_are_those_of_an_account() -> None:
    defined = schemas.schema("account_settings")["properties"]
    assert defined.keys() == account.SETTINGS.keys()
    assert defined["platform_provider_name"]["enum"] == [*PROVIDERS, "", None]


def test_every_type_of_batch_operation_has_a_schema() -> None:
    assert {schemas.schema(kind.schema)["title"] for kind in TYPES.values()} == set(TYPES)


def test_the_openapi_document_says_what_the_schemas_say(server: Server) -> None:
    document = server.request("GET", "/api/openapi.json", token="").json
    known = document["components"]["schemas"]
    for name in schemas.NAMES:
        assert known[name].get("properties", {}).keys() == schemas.schema(name).get("properties", {}).keys()
    body = document["paths"]["/api/batch_operations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    parameters = body["properties"]["parameters"]["properties"]
    for kind in TYPES.values():
        assert known[kind.schema]["properties"].items() <= parameters.items()


@pytest.mark.parametrize(
    ("path", "pointer"),
    [((), ""), (("a", 0), "/a/0"), (("a/b~c", ""), "/a~1b~0c/"), (("~1",), "/~01"), ((" é",), "/ é")],
)
def test_a_place_is_told_as_a_json_pointer(path: tuple[str | int, ...], pointer: str) -> None:
    assert schemas.pointer(path) == pointer
