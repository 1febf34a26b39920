"""The OpenAPI 3.1 document of the API, made from the routes and from what the resources declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tornado.web import URLSpec  # type: ignore[attr-defined]

from scfm import __version__
from scfm.contacts_bulk.import_file import CSV, JSON_LINES, XLSX
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.export_contacts import CONTENT_TYPES, ExportContactsHandler
from scfm.handlers.health import HealthHandler
from scfm.handlers.import_contacts import ImportContactsHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.openapi_components import (
    FORM,
    JSON,
    TEXT,
    XML,
    Json,
    body_of,
    components,
    errors_of,
    given_of,
    noun,
    nouns,
    ref,
    response,
    title,
)
from scfm.handlers.webhook import REFUSAL, RemotePhoneCallEventsHandler
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.fields import Schema
from scfm.models.registry import RESOURCES
from scfm.models.resource import Resource

ABOUT = """\
Manages contacts, callouts and phone calls over Twilio or Somleng.

Parameters may stand in the query string, in a form or in a JSON body; a query parameter wins. Nested names are
written `metadata[name]=Alice`. Unknown fields, and fields that a client may not set, are ignored. A path may end in
`.json` or in a slash. `PUT` does what `PATCH` does, `HEAD` works wherever `GET` does, and `If-None-Match` gives a
304. Every answer has an `X-Request-Id` (the client's, if it sent one), an `X-Runtime` in seconds, and an `ETag` where
it has a body. A verb that a path lacks is answered with 404.
"""

HEALTH: Schema = {
    "type": "object",
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
    "required": ["status", "version"],
}
# What became of the lines of an import.
TALLY: Schema = {
    "type": "object",
    "properties": {
        **{name: {"type": "integer", "minimum": 0} for name in ("created", "updated", "unchanged", "failed")},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "line": {"type": "integer", "minimum": 1},
                    "column": {"type": ["string", "null"]},
                    "reason": {"type": "string"},
                },
                "required": ["line", "column", "reason"],
            },
        },
        "errors_omitted": {"type": "integer", "minimum": 0},
    },
    "required": ["created", "updated", "unchanged", "failed", "errors", "errors_omitted"],
}
# What Twilio and Somleng send; more fields are kept as they come.
REPORT: Schema = {
    "type": "object",
    "properties": {
        "AccountSid": {"type": "string", "description": "Finds the account."},
        "CallSid": {"type": "string"},
        "Direction": {"type": "string", "examples": ["inbound", "outbound-api"]},
        "From": {"type": "string"},
        "To": {"type": "string"},
        "CallStatus": {"type": "string", "examples": ["in-progress", "completed"]},
        "Digits": {"type": "string"},
        "SequenceNumber": {"type": "string"},
    },
    "required": ["AccountSid", "CallSid", "Direction"],
    "additionalProperties": {"type": "string"},
}
# What may become of any request that changes something.
WRITE_ERRORS = (400, 401, 403, 415, 422)


@dataclass(frozen=True)
class Route:
    """An entry of the table of routes, as far as the document needs it."""

    path: str
    handler: type
    options: Mapping[str, Any]

    @classmethod
    def of(cls, entry: URLSpec) -> Route:
        """The route of a Tornado URLSpec, whose name is the path as OpenAPI writes it."""
        return cls(str(entry.name), entry.handler_class, entry.kwargs or {})

    @property
    def verbs(self) -> list[str]:
        return str(self.options.get("verbs", "GET")).split()

    @property
    def resource(self) -> Resource:
        return cast(Resource, self.options["resource"])

    @property
    def parent(self) -> Resource | None:
        return self.options.get("parent")

    @property
    def under(self) -> str:
        """Under what the resource is listed or created here, for a name: ``_of_callout``, or nothing."""
        return f"_of_{self.parent.kind}" if self.parent else ""

    def parameters(self, *names: str) -> list[Json]:
        """References to the path's own parameters, and to those called NAMES."""
        of_path = ["id"] if "{id}" in self.path else []
        of_account = ["account_id"] if self.options.get("for_any_account") else []
        return [ref("parameters", name) for name in (*of_path, *names, *of_account)]


def document(routes: Iterable[URLSpec]) -> Json:
    """The document that describes ROUTES, as JSON has it. A handler that DESCRIBED lacks is left out."""
    paths: dict[str, Json] = {}
    for route in map(Route.of, routes):
        for verb in route.verbs:
            if describe := DESCRIBED.get((route.handler, verb)):
                paths.setdefault(route.path, {})[verb.lower()] = describe(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Simple Call Flow Manager",
            "version": __version__,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"basic": []}, {"bearer": []}],
        "tags": [{"name": resource.collection} for resource in RESOURCES],
        "paths": paths,
        "components": components(),
    }


def _operation(route: Route, name: str, summary: str, responses: Json, **more: Any) -> Json:
    if route.options.get("super_admin"):
        more["description"] = "For super admins only."
    return {
        "operationId": name,
        "summary": summary,
        "tags": [route.resource.collection],
        **more,
        "responses": responses,
    }


# Operations, each made from its route.


def _list(route: Route) -> Json:
    resource = route.resource
    named = f"list_{resource.collection}{route.under}"
    of = f" of the {noun(route.parent)}" if route.parent else ""
    by_type = ["type"] if resource is BATCH_OPERATIONS else []
    return _page(route, named, f"List the {nouns(resource)}{of}", *by_type)


def _preview(route: Route) -> Json:
    named = f"preview_{route.resource.collection}_of_batch_operation"
    return _page(route, named, f"List the {nouns(route.resource)} that a run would take")


def _page(route: Route, named: str, summary: str, *names: str) -> Json:
    items = {"type": "array", "items": ref("schemas", title(route.resource))}
    errors = (400, 401, 404) if "{id}" in route.path else (400, 401)
    found = {"200": response("A page, by id.", {JSON: items}, ("Per-Page", "Total", "Link"))}
    parameters = route.parameters(f"q_of_{route.resource.collection}", *names, "page", "per_page")
    return _operation(route, named, summary, {**found, **errors_of(*errors)}, parameters=parameters)


def _create(route: Route) -> Json:
    resource = route.resource
    of = f" of the {noun(route.parent)}" if route.parent else ""
    return _operation(
        route,
        f"create_{resource.kind}{route.under}",
        f"Create a {noun(resource)}{of}".replace(" a a", " an a"),
        _made(route, "It has been created."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(given_of(resource, new=True), JSON, FORM),
    )


def _event(route: Route) -> Json:
    resource = route.resource
    events = list(resource.machine.events) if resource.machine else []
    schema = {"type": "object", "properties": {"event": {"enum": events}}, "required": ["event"]}
    return _operation(
        route,
        f"create_{resource.kind}_event",
        f"Move the {noun(resource)} to another status",
        _made(route, f"The {noun(resource)} in its new status."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(schema, JSON, FORM),
    )


def _made(route: Route, about: str) -> Json:
    shown = {JSON: ref("schemas", title(route.resource))}
    errors = (*WRITE_ERRORS, 404, 409, 413) if "{id}" in route.path else (*WRITE_ERRORS, 409, 413)
    return {"201": response(about, shown, ("Location", "Idempotent-Replayed")), **errors_of(*errors)}


def _show(route: Route) -> Json:
    shown = {"200": response("As it is now.", {JSON: ref("schemas", title(route.resource))})}
    return _operation(
        route,
        f"show_{_own(route)}",
        f"Fetch the {noun(route.resource)}",
        {**shown, **errors_of(400, 401, 404)},
        parameters=route.parameters(),
    )


def _update(route: Route) -> Json:
    return _operation(
        route,
        f"update_{_own(route)}",
        f"Update the {noun(route.resource)}",
        {"204": response("It has been updated.", {}), **errors_of(*WRITE_ERRORS, 404, 413)},
        parameters=route.parameters(),
        requestBody=body_of(given_of(route.resource, new=False), JSON, FORM),
    )


def _delete(route: Route) -> Json:
    return _operation(
        route,
        f"delete_{route.resource.kind}",
        f"Delete the {noun(route.resource)}",
        {"204": response("It has been deleted.", {}), **errors_of(*WRITE_ERRORS, 404)},
        parameters=route.parameters(),
    )


def _own(route: Route) -> str:
    return route.resource.kind if "{id}" in route.path else f"own_{route.resource.kind}"


def _webhook(route: Route) -> Json:
    text = {"type": "string"}
    responses = {
        "201": response("What the caller is to hear: TwiML.", {XML: text}),
        **errors_of(400, 415),
        "403": response("It does not come from a provider that we know.", {TEXT: {"const": REFUSAL}}),
        "422": response("It names no call, no direction, or no number that could have called.", {XML: text}),
    }
    return _operation(
        route,
        "receive_remote_phone_call_event",
        "Report on a call, and ask what to do next (for the provider)",
        dict(sorted(responses.items())),
        parameters=route.parameters("X-Twilio-Signature"),
        requestBody=body_of(REPORT, FORM),
        security=[],
    )


def _health(route: Route) -> Json:
    responses = {"200": response("Both do.", {JSON: HEALTH}), **errors_of()}
    return {
        "operationId": "health",
        "summary": "Whether the server and its database answer",
        "security": [],
        "responses": responses,
    }


def _import(route: Route) -> Json:
    kinds = {CSV: "msisdn,name\n+252662345678,Alice\n", JSON_LINES[0]: '{"msisdn": "+252662345678"}\n'}
    return _operation(
        route,
        "import_contacts",
        "Create and update contacts in bulk, by phone number",
        {
            "200": response("What became of the lines.", {JSON: TALLY}, ("Idempotent-Replayed",)),
            **errors_of(*WRITE_ERRORS, 409, 413),
        },
        parameters=route.parameters("metadata_merge_mode", "sheet", "Idempotency-Key"),
        requestBody={
            "required": True,
            "content": {
                **{kind: {"schema": {"type": "string"}, "example": lines} for kind, lines in kinds.items()},
                XLSX: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    )


def _export(route: Route) -> Json:
    files = {kind.partition(";")[0]: {"type": "string"} for kind in CONTENT_TYPES.values()}
    return _operation(
        route,
        "export_contacts",
        "All contacts that fit, in a format that the import reads",
        {"200": response("In order of id.", files), **errors_of(400, 401, 422)},
        parameters=route.parameters("q_of_contacts", "format", "call_flow_data"),
    )


DESCRIBED: Mapping[tuple[type, str], Callable[[Route], Json]] = {
    (HealthHandler, "GET"): _health,
    (OwnAccountHandler, "GET"): _show,
    (OwnAccountHandler, "PATCH"): _update,
    (CollectionHandler, "GET"): _list,
    (CollectionHandler, "POST"): _create,
    (NestedHandler, "GET"): _list,
    (NestedHandler, "POST"): _create,
    (PreviewHandler, "GET"): _preview,
    (ImportContactsHandler, "POST"): _import,
    (ExportContactsHandler, "GET"): _export,
    (MemberHandler, "GET"): _show,
    (MemberHandler, "PATCH"): _update,
    (MemberHandler, "DELETE"): _delete,
    (EventsHandler, "POST"): _event,
    (RemotePhoneCallEventsHandler, "GET"): _list,
    (RemotePhoneCallEventsHandler, "POST"): _webhook,
}
