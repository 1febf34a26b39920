"""The document as a whole."""

from __future__ import annotations

from collections.abc import Iterable

from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm import __version__
from scfm.handlers.openapi.components import SCHEMAS, JsonObject, components
from scfm.handlers.openapi.descriptions import with_descriptions
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.openapi.examples import responses_with_examples, with_examples
from scfm.handlers.openapi.operations import DESCRIBED
from scfm.handlers.openapi.portable import portable
from scfm.handlers.openapi.probes import BY_METRICS_TOKEN
from scfm.handlers.openapi.session import BY_SESSION
from scfm.handlers.openapi.webhooks import sent_webhooks
from scfm.models.registry import RESOURCES
from scfm.models.roles import Role

ABOUT = """\
Manages contacts, callouts and phone calls over Twilio or Somleng.

Parameters may stand in the query string, in a form or in a JSON body; a query parameter wins. Nested names are
written `metadata[name]=Alice`. Unknown fields, and fields that a client may not set, are ignored. A path may end in
`.json` or in a slash. `PUT` does what `PATCH` does, `HEAD` works wherever `GET` does, and `If-None-Match` gives a
304. Every answer has an `X-Request-Id` (the client's, if it sent one), an `X-Runtime` in seconds, and an `ETag` where
it has a body. A verb that a path lacks is answered with 404.

An access token has a role, `viewer`, `operator`, `approver` or `admin`; each may do what those before it may.
`x-role` is the least one that an operation lets in. A viewer sees the last three digits of phone numbers:
`+•••••••••678`.
"""


# What has no resource.
SESSION_TAG, SERVER_TAG = "session", "server"


def openapi_document(routes: Iterable[URLSpec]) -> JsonObject:
    """The document that describes ROUTES, as JSON has it. A handler that DESCRIBED lacks is left out."""
    paths: dict[str, JsonObject] = {}
    for route in map(DocumentedRoute.of, routes):
        for verb in route.verbs:
            if describe := DESCRIBED.get((route.handler, verb)):
                operation = {"tags": [_tag(route.path)], **_with_role(describe(route), route.role(verb))}
                paths.setdefault(route.path, {})[verb.lower()] = with_examples(_described_operation(operation))
    known = components()
    known["securitySchemes"] |= {"session": BY_SESSION, "metrics_token": BY_METRICS_TOKEN}
    known["responses"] = responses_with_examples(known["responses"])
    known["schemas"] = {
        name: with_descriptions(portable(schema, f"{SCHEMAS}/{name}"), name)
        for name, schema in known["schemas"].items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simple Call Flow Manager",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"basic": []}, {"bearer": []}, {"session": []}],
        "tags": [
            {"name": name} for name in (*(resource.collection for resource in RESOURCES), SESSION_TAG, SERVER_TAG)
        ],
        "paths": paths,
        "webhooks": sent_webhooks(),
        "components": known,
    }


def _tag(path: str) -> str:
    """Under what an operation without a resource is listed."""
    return SESSION_TAG if path.startswith("/session") else SERVER_TAG


def _with_role(operation: JsonObject, role: Role | None) -> JsonObject:
    """The operation, with the role that it needs: for people, and as ``x-role`` for programs."""
    if role is None:
        return operation
    about = f"{operation.get('description', '')} Needs the role `{role}`.".strip()
    return {**operation, "description": about, "x-role": role}


def _described_operation(operation: JsonObject) -> JsonObject:
    """The operation, with a description of each field of its bodies."""
    name = operation["operationId"]

    def told(content: JsonObject) -> JsonObject:
        schemas = {kind: with_descriptions(portable(media["schema"]), name) for kind, media in content.items()}
        return {kind: {**media, "schema": schemas[kind]} for kind, media in content.items()}

    body = operation.get("requestBody")
    responses = {
        status: {**one, "content": told(one["content"])} if "content" in one else one
        for status, one in operation["responses"].items()
    }
    return {
        **operation,
        **({"requestBody": {**body, "content": told(body["content"])}} if body else {}),
        "responses": responses,
    }
