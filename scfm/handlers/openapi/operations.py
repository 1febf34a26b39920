"""The operations of the document, each made from its route."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.contacts_bulk.import_file import CSV, JSON_LINES, XLSX
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.export_contacts import CONTENT_TYPES, ExportContactsHandler
from scfm.handlers.follow_ups import FollowUpsHandler
from scfm.handlers.forms import FORM
from scfm.handlers.health import HealthHandler
from scfm.handlers.holds import AccountEventsHandler, OwnAccountEventsHandler, ServerEventsHandler, ServerHandler
from scfm.handlers.import_contacts import ImportContactsHandler, ImportOptOutsHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.openapi.bodies import HEALTH, PREFLIGHT, REPORT, SERVER_SCHEMA, TALLY
from scfm.handlers.openapi.components import (
    PLAIN_TEXT,
    SCHEMAS,
    XML,
    JsonObject,
    body_of,
    errors_of,
    given_of,
    noun,
    nouns,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.openapi.statistics import DESCRIBED_STATISTICS
from scfm.handlers.parameters import JSON
from scfm.handlers.preflight import PreflightHandler
from scfm.handlers.webhook import SIGNATURE_REFUSED, RemotePhoneCallEventsHandler
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.call_hold import HOLD_EVENTS
from scfm.models.callout import CALLOUTS
from scfm.models.contact import CONTACTS
from scfm.schemas import with_references

# What may become of any request that changes something.
WRITE_ERRORS = (400, 401, 403, 415, 422)
FOR_SUPER_ADMINS = "For super admins only."
HANG_UP_SCHEMA: JsonObject = {
    "type": "boolean",
    "default": False,
    "description": "Of what only stops calls from leaving: it also ends those that ring or talk.",
}
HOLD_EVENT = body_of(
    {
        "type": "object",
        "properties": {"event": {"enum": list(HOLD_EVENTS)}, "hang_up": HANG_UP_SCHEMA},
        "required": ["event"],
    },
    JSON,
    FORM,
)


def _list(route: DocumentedRoute) -> JsonObject:
    resource = route.resource
    operation_id = f"list_{resource.collection}{route.under}"
    of = f" of the {noun(route.parent)}" if route.parent else ""
    by_type = ["type"] if resource is BATCH_OPERATIONS else []
    return _page(route, operation_id, f"List the {nouns(resource)}{of}", *by_type)


def _preview(route: DocumentedRoute) -> JsonObject:
    operation_id = f"preview_{route.resource.collection}_of_batch_operation"
    return _page(route, operation_id, f"List the {nouns(route.resource)} that a run would take")


def _page(route: DocumentedRoute, operation_id: str, summary: str, *names: str) -> JsonObject:
    items = {"type": "array", "items": ref("schemas", title(route.resource))}
    errors = (400, 401, 404) if "{id}" in route.path else (400, 401)
    responses = {"200": response("A page, by id.", {JSON: items}, ("Per-Page", "Total", "Link"))}
    parameters = route.parameters(f"q_of_{route.resource.collection}", *names, "page", "per_page")
    return route.operation(operation_id, summary, {**responses, **errors_of(*errors)}, parameters=parameters)


def _create(route: DocumentedRoute) -> JsonObject:
    resource = route.resource
    of = f" of the {noun(route.parent)}" if route.parent else ""
    return route.operation(
        f"create_{resource.kind}{route.under}",
        f"Create a {noun(resource)}{of}".replace(" a a", " an a"),
        _created(route, "It has been created."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(given_of(resource, new=True), JSON, FORM),
    )


def _event(route: DocumentedRoute) -> JsonObject:
    resource = route.resource
    events = list(resource.machine.events) if resource.machine else []
    properties: JsonObject = {"event": {"enum": events}}
    if resource is CALLOUTS:
        properties["hang_up"] = HANG_UP_SCHEMA
    schema = {"type": "object", "properties": properties, "required": ["event"]}
    return route.operation(
        f"create_{resource.kind}_event",
        f"Move the {noun(resource)} to another status",
        _created(route, f"The {noun(resource)} in its new status."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(schema, JSON, FORM),
    )


def _hold(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        f"create_{_own_kind(route)}_event",
        "Hold the account's calls, or release them",
        _created(route, "The account, with `calls_held_at`."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=HOLD_EVENT,
    )


def _show_server(route: DocumentedRoute) -> JsonObject:
    shown = response("As it is now.", {JSON: SERVER_SCHEMA})
    return {
        "operationId": "show_server",
        "summary": "Fetch the server",
        "description": FOR_SUPER_ADMINS,
        "responses": {"200": shown, **errors_of(400, 401)},
    }


def _hold_server(route: DocumentedRoute) -> JsonObject:
    shown = response("The server, with `calls_held_at`.", {JSON: SERVER_SCHEMA}, ("Location", "Idempotent-Replayed"))
    return {
        "operationId": "create_server_event",
        "summary": "Hold the calls of all accounts, or release them",
        "description": FOR_SUPER_ADMINS,
        "parameters": route.parameters("Idempotency-Key"),
        "requestBody": HOLD_EVENT,
        "responses": {"201": shown, **errors_of(*WRITE_ERRORS, 409, 413)},
    }


def _preflight(route: DocumentedRoute) -> JsonObject:
    plan = with_references({"type": "object", "properties": {"plan": {"$ref": "plan.json"}}}, SCHEMAS)
    shown = {"200": response("Nobody is called.", {JSON: PREFLIGHT}, ("Idempotent-Replayed",))}
    return route.operation(
        "preflight_of_callout",
        "What the callout's plan, or another, would come to",
        {**shown, **errors_of(*WRITE_ERRORS, 404, 409, 413)},
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(plan, JSON, FORM),
    )


def _follow_up(route: DocumentedRoute) -> JsonObject:
    q = {"type": "object", "properties": {"q": {"$ref": "callout_participation_filters.json"}}}
    return route.operation(
        "create_follow_up_of_callout",
        "Create a callout for those of another who fit, by default those who were not reached",
        _created(route, "The new callout, which is started by its own event."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(with_references(q, SCHEMAS), JSON, FORM),
    )


def _created(route: DocumentedRoute, about: str) -> JsonObject:
    shown = {JSON: ref("schemas", title(route.resource))}
    errors = (*WRITE_ERRORS, 404, 409, 413) if "{id}" in route.path else (*WRITE_ERRORS, 409, 413)
    return {"201": response(about, shown, ("Location", "Idempotent-Replayed")), **errors_of(*errors)}


def _show(route: DocumentedRoute) -> JsonObject:
    shown = {"200": response("As it is now.", {JSON: ref("schemas", title(route.resource))})}
    return route.operation(
        f"show_{_own_kind(route)}",
        f"Fetch the {noun(route.resource)}",
        {**shown, **errors_of(400, 401, 404)},
        parameters=route.parameters(),
    )


def _update(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        f"update_{_own_kind(route)}",
        f"Update the {noun(route.resource)}",
        {"204": response("It has been updated.", {}), **errors_of(*WRITE_ERRORS, 404, 413)},
        parameters=route.parameters(),
        requestBody=body_of(given_of(route.resource, new=False), JSON, FORM),
    )


def _delete(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        f"delete_{route.resource.kind}",
        f"Delete the {noun(route.resource)}",
        {"204": response("It has been deleted.", {}), **errors_of(*WRITE_ERRORS, 404)},
        parameters=route.parameters(),
    )


def _own_kind(route: DocumentedRoute) -> str:
    return route.resource.kind if "{id}" in route.path else f"own_{route.resource.kind}"


def _webhook(route: DocumentedRoute) -> JsonObject:
    text = {"type": "string"}
    responses = {
        "201": response("What the caller is to hear: TwiML.", {XML: text}),
        **errors_of(400, 415),
        "403": response("It does not come from a provider that we know.", {PLAIN_TEXT: {"const": SIGNATURE_REFUSED}}),
        "422": response("It names no call, no direction, or no number that could have called.", {XML: text}),
    }
    return route.operation(
        "receive_remote_phone_call_event",
        "Report on a call, and ask what to do next (for the provider)",
        dict(sorted(responses.items())),
        parameters=route.parameters("X-Twilio-Signature"),
        requestBody=body_of(REPORT, FORM),
        security=[],
    )


def _health(route: DocumentedRoute) -> JsonObject:
    responses = {"200": response("Both do.", {JSON: HEALTH}), **errors_of()}
    return {
        "operationId": "health",
        "summary": "Whether the server and its database answer",
        "security": [],
        "responses": responses,
    }


def _import(route: DocumentedRoute) -> JsonObject:
    of_contacts = route.resource is CONTACTS
    kinds = {CSV: "msisdn,name\n+252662345678,Alice\n", JSON_LINES[0]: '{"msisdn": "+252662345678"}\n'}
    return route.operation(
        f"import_{nouns(route.resource).replace(' ', '_')}",
        f"Create {'and update ' if of_contacts else ''}{nouns(route.resource)} in bulk, by phone number",
        {
            "200": response("What became of the lines.", {JSON: TALLY}, ("Idempotent-Replayed",)),
            **errors_of(*WRITE_ERRORS, 409, 413),
        },
        parameters=route.parameters(*(["metadata_merge_mode"] if of_contacts else []), "sheet", "Idempotency-Key"),
        requestBody={
            "required": True,
            "content": {
                **{kind: {"schema": {"type": "string"}, "example": lines} for kind, lines in kinds.items()},
                XLSX: {"schema": {"type": "string", "format": "binary"}},
            },
        },
    )


def _export(route: DocumentedRoute) -> JsonObject:
    files = {kind.partition(";")[0]: {"type": "string"} for kind in CONTENT_TYPES.values()}
    return route.operation(
        "export_contacts",
        "All contacts that fit, in a format that the import reads",
        {"200": response("In order of id.", files), **errors_of(400, 401, 422)},
        parameters=route.parameters("q_of_contacts", "format", "call_flow_data"),
    )


DESCRIBED: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (HealthHandler, "GET"): _health,
    (OwnAccountHandler, "GET"): _show,
    (OwnAccountHandler, "PATCH"): _update,
    (CollectionHandler, "GET"): _list,
    (CollectionHandler, "POST"): _create,
    (NestedHandler, "GET"): _list,
    (NestedHandler, "POST"): _create,
    (PreviewHandler, "GET"): _preview,
    (ImportContactsHandler, "POST"): _import,
    (ImportOptOutsHandler, "POST"): _import,
    (ExportContactsHandler, "GET"): _export,
    **DESCRIBED_STATISTICS,
    (MemberHandler, "GET"): _show,
    (MemberHandler, "PATCH"): _update,
    (MemberHandler, "DELETE"): _delete,
    (EventsHandler, "POST"): _event,
    (OwnAccountEventsHandler, "POST"): _hold,
    (AccountEventsHandler, "POST"): _hold,
    (ServerHandler, "GET"): _show_server,
    (ServerEventsHandler, "POST"): _hold_server,
    (PreflightHandler, "POST"): _preflight,
    (FollowUpsHandler, "POST"): _follow_up,
    (RemotePhoneCallEventsHandler, "GET"): _list,
    (RemotePhoneCallEventsHandler, "POST"): _webhook,
}
