"""The API's description of itself: valid and complete."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from scfm.handlers.openapi.descriptions import DESCRIPTIONS
from scfm.handlers.routes import routes
from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource
from tests.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    answer = server.request("GET", "/api/openapi.json", token="")
    assert answer.status == 200
    return answer.json


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found = document
        for name in reference.split("/"):
            found = found[name]


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [one["operationId"] for verbs in document["paths"].values() for one in verbs.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_a_resource_has_its_fields_in_the_order_they_are_shown(document: Any, resource: Resource) -> None:
    title = "".join(word.capitalize() for word in resource.kind.split("_"))
    assert list(document["components"]["schemas"][title]["properties"]) == [one.name for one in resource.fields]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_list_names_its_filters(document: Any, resource: Resource) -> None:
    name = f"q_of_{resource.collection}"
    assert set(document["components"]["parameters"][name]["schema"]["properties"]) == set(resource.filters)
    # Deliveries are listed under their endpoint alone, as ``deliveries``.
    last = {resource.collection, resource.collection.removeprefix("webhook_")}
    lists = [
        verbs["get"]["parameters"] for path, verbs in document["paths"].items() if path.rpartition("/")[2] in last
    ]
    assert lists
    assert all({"$ref": f"#/components/parameters/{name}"} in parameters for parameters in lists)


def test_only_probes_the_webhook_recordings_and_signing_in_need_no_token(document: Any) -> None:
    assert document["security"] == [{"basic": []}, {"bearer": []}, {"session": []}]
    open_to_all = [
        (verb, path)
        for path, verbs in document["paths"].items()
        for verb, one in verbs.items()
        if one.get("security") == []
    ]
    webhook, recording = "/api/remote_phone_call_events", "/audio/{sha256}.{ending}"
    sign_in = {("post", "/session"), ("get", "/session/oidc"), ("get", "/session/oidc/callback")}
    probes = {("get", "/health"), ("get", "/ready")}
    assert set(open_to_all) == {*probes, ("post", webhook), ("get", recording), *sign_in}


def test_every_post_of_a_client_may_be_named(document: Any) -> None:
    posts = {path: verbs["post"] for path, verbs in document["paths"].items() if "post" in verbs}
    webhook = posts.pop("/api/remote_phone_call_events")
    posts.pop("/session")  # its answer is a secret, which is not kept
    assert len(posts) >= 12
    key = {"$ref": "#/components/parameters/Idempotency-Key"}
    for path, post in posts.items():
        assert key in post["parameters"], path
        assert "409" in post["responses"], path
        (made,) = [answer for status, answer in post["responses"].items() if status in ("200", "201", "202")]
        assert "Idempotent-Replayed" in made["headers"], path
    assert key not in webhook["parameters"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/contacts?per_page=1", "/api/contacts"),
        ("/api/contacts/1", "/api/contacts/{id}"),
        ("/api/contacts/999", "/api/contacts/{id}"),
    ],
)
def test_an_answer_has_the_headers_that_are_described(document: Any, server: Server, path: str, route: str) -> None:
    for number in range(2):
        server.request("POST", "/api/contacts", form={"msisdn": f"+25266234567{number}"})
    answer = server.request("GET", path)
    described = document["paths"][route]["get"]["responses"][str(answer.status)]
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    assert len(described["headers"]) >= 3
    assert [name for name in described["headers"] if answer.headers[name] is None] == []


def test_contacts_in_bulk_are_described(document: Any) -> None:
    imported = document["paths"]["/api/contacts/import"]["post"]["requestBody"]["content"]
    exported = document["paths"]["/api/contacts/export"]["get"]["responses"]["200"]["content"]
    workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert set(exported) == {"text/csv", "application/x-ndjson"}
    assert set(imported) == {*exported, workbook}


def test_the_webhook_answers_with_twiml(document: Any) -> None:
    webhook = document["paths"]["/api/remote_phone_call_events"]["post"]
    assert list(webhook["responses"]["201"]["content"]) == ["application/xml"]
    assert list(webhook["responses"]["403"]["content"]) == ["text/plain"]


def resolved(document: Any, value: Any) -> Any:
    """What a reference stands for; anything else as it is."""
    while "$ref" in value:
        found = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        value = found
    return value


def without_description(document: Any, schema: Any, place: str, followed: frozenset[str] = frozenset()) -> set[str]:
    """The fields in a schema, and in what it refers to, that have no description, as ``Callout.approval.status``."""
    if "$ref" in schema:
        if schema["$ref"] in followed:
            return set()
        name = schema["$ref"].rpartition("/")[2]
        return without_description(document, resolved(document, schema), name, followed | {schema["$ref"]})
    inner = [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    inner += [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    found = {name for one in inner for name in without_description(document, one, place, followed)}
    for name, one in schema.get("properties", {}).items():
        if not (one.get("description") or resolved(document, one).get("description")):
            found.add(f"{place}.{name}")
        found |= without_description(document, one, f"{place}.{name}", followed)
    return found


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    """Each operation of the document, with its name."""
    for verbs in document["paths"].values():
        for one in verbs.values():
            yield one["operationId"], one


def bodies(document: Any, operation: Any) -> Iterator[Any]:
    """The schemas of what an operation takes and gives."""
    for media in operation.get("requestBody", {}).get("content", {}).values():
        yield media["schema"]
    for response in operation["responses"].values():
        for media in resolved(document, response).get("content", {}).values():
            yield media["schema"]


def test_every_field_of_a_body_has_a_description(document: Any) -> None:
    """One that is missing belongs into its schema, or into scfm/handlers/openapi/descriptions.py."""
    missing = {
        field
        for name, operation in operations(document)
        for schema in bodies(document, operation)
        for field in without_description(document, schema, name)
    }
    assert missing == set()


def test_every_parameter_has_a_description(document: Any) -> None:
    missing = set()
    for name, operation in operations(document):
        for parameter in (resolved(document, one) for one in operation.get("parameters", ())):
            if not parameter.get("description"):
                missing.add(f"{name}: {parameter['name']}")
            missing |= without_description(document, parameter["schema"], f"{name}: {parameter['name']}")
    assert missing == set()


def test_every_description_that_is_kept_for_a_name_is_used(document: Any) -> None:
    told = set(re.findall(r'"description": ("(?:[^"\\]|\\.)*")', json.dumps(document)))
    assert {about for about in DESCRIPTIONS.values() if json.dumps(about) not in told} == set()


def test_every_operation_says_which_role_it_needs(document: Any) -> None:
    needed = {
        (route.name, verb.lower()): role
        for route in routes()
        for verb, role in route.kwargs.get("roles", {}).items()
        if role is not None
    }
    assert len(needed) > 50
    for path, verbs in document["paths"].items():
        for verb, one in verbs.items():
            assert one.get("x-role") == needed.get((path, verb)), (verb, path)
            if "x-role" in one:
                assert f"Needs the role `{one['x-role']}`." in one["description"], (verb, path)
                assert one["x-role"] == "viewer" or "403" in one["responses"], (verb, path)
