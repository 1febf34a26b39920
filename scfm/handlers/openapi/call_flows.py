"""What the document says of call flows, beside their list and members."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.handlers.call_flows import (
    CoverageHandler,
    GraphHandler,
    PublishHandler,
    RehearsalsHandler,
    ValidateHandler,
    VersionsHandler,
)
from scfm.handlers.forms import FORM
from scfm.handlers.openapi.components import (
    COUNT,
    PLAIN_TEXT,
    SCHEMAS,
    JsonObject,
    body_of,
    errors_of,
    object_schema,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.schemas import Schema, schema, with_references

CALL_FLOW: Schema = {"$ref": f"{SCHEMAS}/call_flow"}
VERSION_NUMBER: Schema = {"type": "integer", "minimum": 1}
VERSION: Schema = object_schema(
    {
        "version": VERSION_NUMBER,
        "definition": CALL_FLOW,
        "published_at": {"type": "string", "format": "date-time"},
        "published_by": {"type": "string", "examples": ["access token 3"]},
    }
)

OF_VERSION: JsonObject = {
    "name": "version",
    "in": "query",
    "description": "One of the flow's versions; else the draft.",
    "schema": VERSION_NUMBER,
}
REHEARSAL: Schema = object_schema(
    {
        "transcript": {"type": "array", "items": {"type": "string"}, "description": "What was heard and done."},
        "turns": {"type": "array", "items": object_schema({"twiml": {"type": "string"}})},
        "answers": {"type": "object"},
        "acknowledged": {"type": "boolean"},
        "opted_out": {"type": "boolean"},
        "ending": {"type": "string"},
    }
)
_HEARD: Schema = {
    "anyOf": [
        object_schema({"by": {"enum": ["say", "play", "or_say"]}, "language": {"type": "string"}}),
        {"type": "null"},
    ]
}
COVERAGE: Schema = object_schema(
    {
        "prompts": COUNT,
        "languages": {
            "type": "object",
            "description": "How many of the prompts each language has itself.",
            "additionalProperties": COUNT,
        },
        "steps": {
            "type": "array",
            "description": "What is heard in each step by who speaks each language.",
            "items": object_schema(
                {"step": {"type": "string"}, "heard": {"type": "object", "additionalProperties": _HEARD}}
            ),
        },
    }
)


def _publish(route: DocumentedRoute) -> JsonObject:
    older = {**VERSION_NUMBER, "description": "The version whose definition is published again; else the draft."}
    shown = {JSON: ref("schemas", title(route.resource))}
    return route.operation(
        "publish_call_flow",
        "Make the draft, or an older version, the newest version",
        {
            "201": response("The call flow.", shown, ("Location", "Idempotent-Replayed")),
            **errors_of(400, 401, 403, 404, 409, 413, 415, 422),
        },
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of({"type": "object", "properties": {"version": older}}, JSON, FORM),
    )


def _versions(route: DocumentedRoute) -> JsonObject:
    page = response(
        "A page, the newest first.", {JSON: {"type": "array", "items": VERSION}}, ("Per-Page", "Total", "Link")
    )
    return route.operation(
        "list_versions_of_call_flow",
        "List the versions of the call flow",
        {"200": page, **errors_of(400, 401, 404)},
        parameters=route.parameters("page", "per_page"),
    )


def _validate(route: DocumentedRoute) -> JsonObject:
    given: Schema = {"type": "object", "properties": {"definition": CALL_FLOW}, "required": ["definition"]}
    warnings = object_schema({"warnings": {"type": "array", "items": {"type": "string"}}})
    return route.operation(
        "validate_call_flow",
        "What is wrong with a definition, and what may be better",
        {
            "200": response("Nothing is wrong; nothing is kept.", {JSON: warnings}, ("Idempotent-Replayed",)),
            **errors_of(400, 401, 403, 409, 413, 415, 422),
        },
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(given, JSON, FORM),
    )


def _rehearse(route: DocumentedRoute) -> JsonObject:
    given = with_references(schema("call_flow_rehearsal"), SCHEMAS, "call_flow_rehearsal")
    shown = response("How the call went; nobody was called.", {JSON: REHEARSAL}, ("Idempotent-Replayed",))
    return route.operation(
        "rehearse_call_flow",
        "Try the draft, or a version, in a call that touches nothing",
        {"200": shown, **errors_of(400, 401, 403, 404, 409, 413, 415, 422)},
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of({"type": "object", "properties": given["properties"]}, JSON, FORM),
    )


def _graph(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        "graph_of_call_flow",
        "The draft, or a version, as a flowchart",
        {
            "200": response("As Mermaid reads it.", {PLAIN_TEXT: {"type": "string"}}),
            **errors_of(400, 401, 404, 422),
        },
        parameters=[*route.parameters(), OF_VERSION],
    )


def _coverage(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        "coverage_of_call_flow",
        "Which prompts the draft, or a version, has in which language",
        {"200": response("As it is now.", {JSON: COVERAGE}), **errors_of(400, 401, 404, 422)},
        parameters=[*route.parameters(), OF_VERSION],
    )


DESCRIBED_CALL_FLOWS: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (PublishHandler, "POST"): _publish,
    (ValidateHandler, "POST"): _validate,
    (RehearsalsHandler, "POST"): _rehearse,
    (VersionsHandler, "GET"): _versions,
    (GraphHandler, "GET"): _graph,
    (CoverageHandler, "GET"): _coverage,
}
