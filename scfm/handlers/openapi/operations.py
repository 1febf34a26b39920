"""The operations of the document, each made from its route."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.handlers.audio_files import AudioFileHandler, AudioFilesHandler
from scfm.handlers.collection import CollectionHandler, NestedHandler, PreviewHandler
from scfm.handlers.follow_ups import FollowUpsHandler
from scfm.handlers.forms import FORM
from scfm.handlers.holds import AccountEventsHandler, OwnAccountEventsHandler, ServerEventsHandler, ServerHandler
from scfm.handlers.member import EventsHandler, MemberHandler, OwnAccountHandler
from scfm.handlers.openapi.audio import DESCRIBED_AUDIO
from scfm.handlers.openapi.bodies import PREFLIGHT, REPORT, SERVER_SCHEMA
from scfm.handlers.openapi.call_flows import DESCRIBED_CALL_FLOWS
from scfm.handlers.openapi.components import (
    COUNT,
    PLAIN_TEXT,
    SCHEMAS,
    WRITE_ERRORS,
    XML,
    JsonObject,
    body_of,
    errors_of,
    given_of,
    noun,
    nouns,
    object_schema,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.contacts import DESCRIBED_CONTACTS
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.openapi.probes import DESCRIBED_PROBES
from scfm.handlers.openapi.session import DESCRIBED_SESSIONS
from scfm.handlers.openapi.statistics import DESCRIBED_STATISTICS
from scfm.handlers.openapi.webhooks import DESCRIBED_WEBHOOK_ENDPOINTS
from scfm.handlers.parameters import JSON
from scfm.handlers.preflight import PreflightHandler
from scfm.handlers.webhook import SIGNATURE_REFUSED, RemotePhoneCallEventsHandler
from scfm.handlers.webhook_endpoints import DeliveriesHandler, WebhookEndpointsHandler
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.call_hold import HOLD_EVENTS
from scfm.models.callout import CALLOUTS
from scfm.models.contact import CONTACTS
from scfm.schemas import with_references

ERASING = "With `purge`: the person is being erased; the contact is not found any more when that is done."
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
    properties = {"q": {"$ref": "callout_participation_filters.json"}, "metadata": {"type": "object"}}
    given = {"type": "object", "properties": properties}
    return route.operation(
        "create_follow_up_of_callout",
        "Create a callout for those of another who fit, by default those who were not reached",
        _created(route, "The new callout, which is started by its own event."),
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(with_references(given, SCHEMAS), JSON, FORM),
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
    responses, purge = {"204": response("It has been deleted.", {})}, []
    if route.resource is CONTACTS:
        responses["202"] = response(ERASING, {JSON: object_schema({"id": COUNT, "status": {"const": "erasing"}})})
        purge = ["purge"]
    return route.operation(
        f"delete_{route.resource.kind}",
        f"Delete the {noun(route.resource)}",
        {**dict(sorted(responses.items())), **errors_of(*WRITE_ERRORS, 404)},
        parameters=route.parameters(*purge),
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


DESCRIBED: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (OwnAccountHandler, "GET"): _show,
    (OwnAccountHandler, "PATCH"): _update,
    (CollectionHandler, "GET"): _list,
    (CollectionHandler, "POST"): _create,
    (NestedHandler, "GET"): _list,
    (NestedHandler, "POST"): _create,
    (PreviewHandler, "GET"): _preview,
    **DESCRIBED_PROBES,
    **DESCRIBED_SESSIONS,
    **DESCRIBED_CONTACTS,
    **DESCRIBED_STATISTICS,
    **DESCRIBED_CALL_FLOWS,
    **DESCRIBED_AUDIO,
    **DESCRIBED_WEBHOOK_ENDPOINTS,
    (WebhookEndpointsHandler, "GET"): _list,
    (DeliveriesHandler, "GET"): _list,
    (AudioFilesHandler, "GET"): _list,
    (AudioFileHandler, "GET"): _show,
    (AudioFileHandler, "PATCH"): _update,
    (AudioFileHandler, "DELETE"): _delete,
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
