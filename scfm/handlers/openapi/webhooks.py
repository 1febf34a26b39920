"""Webhook endpoints: the operations of the document, and what the server itself sends (``webhooks`` of OpenAPI)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.handlers.forms import FORM
from scfm.handlers.openapi.components import (
    JsonObject,
    body_of,
    errors_of,
    given_of,
    object_schema,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.handlers.webhook_endpoints import RedeliverHandler, RotateHandler, WebhookEndpointsHandler
from scfm.models.account import ACCOUNTS
from scfm.models.audio_file import AUDIO_FILES
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.resource import Resource
from scfm.models.webhook_delivery import WEBHOOK_DELIVERIES
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS
from scfm.models.webhook_event import (
    ACCOUNT_HELD,
    AUDIO_FILE_RECORDED,
    CALLOUT_COMPLETED,
    CALLOUT_PAUSED,
    CALLOUT_STARTED,
    CALLOUT_STOPPED,
    OPT_OUT_CREATED,
    PARTICIPATION_SETTLED,
)

_ERRORS = (400, 401, 403, 409, 413, 415, 422)
_REPLAYED = ("Location", "Idempotent-Replayed")

# By type, what an event is about, and when it happens.
EVENTS_TOLD: Mapping[str, tuple[Resource, str]] = {
    CALLOUT_STARTED: (CALLOUTS, "A callout has been started, or goes on after a pause or a stop: it is `running`."),
    CALLOUT_PAUSED: (CALLOUTS, "A callout has been paused."),
    CALLOUT_STOPPED: (CALLOUTS, "A callout has been stopped."),
    CALLOUT_COMPLETED: (CALLOUTS, "All people of a callout with a plan are settled."),
    PARTICIPATION_SETTLED: (
        CALLOUT_PARTICIPATIONS,
        "What became of a person is known, or has turned out to be something else.",
    ),
    OPT_OUT_CREATED: (OPT_OUTS, "A number has been opted out, by a client, in a call, or by an import."),
    ACCOUNT_HELD: (ACCOUNTS, "The calls of the account are held."),
    AUDIO_FILE_RECORDED: (AUDIO_FILES, "An audio file that was spoken by phone has been kept."),
}


def sent_webhooks() -> JsonObject:
    """By the type of an event, the request that the server sends to the webhook endpoints that are told of it."""
    return {event_type: {"post": _sent(event_type, *about)} for event_type, about in EVENTS_TOLD.items()}


def _sent(event_type: str, resource: Resource, about: str) -> JsonObject:
    kind = event_type.replace(".", "_")
    body = object_schema(
        {
            "type": {"const": event_type},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened."},
            "data": ref("schemas", title(resource)),
        }
    )
    return {
        "operationId": f"tell_{kind}",
        "summary": about,
        "tags": [WEBHOOK_ENDPOINTS.collection],
        "security": [],
        "parameters": [
            _header("webhook-id", "Names the event: the same whenever it is sent again."),
            _header("webhook-timestamp", "When this request was made, in seconds since 1970."),
            _header("webhook-signature", "One or more of `v1,` and base64, separated by spaces: see Webhooks."),
        ],
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {
            "2XX": {"description": "It has been taken."},
            "410": {"description": "The endpoint is gone: it is disabled."},
            "default": {"description": "It is sent again later."},
        },
    }


def _header(name: str, about: str) -> JsonObject:
    return {"in": "header", "name": name, "required": True, "description": about, "schema": {"type": "string"}}


def _create(route: DocumentedRoute) -> JsonObject:
    shown = response(
        "It has been created, with its secret.", {JSON: ref("schemas", title(WEBHOOK_ENDPOINTS))}, _REPLAYED
    )
    return route.operation(
        "create_webhook_endpoint",
        "Create a webhook endpoint",
        {"201": shown, **errors_of(*_ERRORS)},
        parameters=route.parameters("Idempotency-Key"),
        requestBody=body_of(given_of(WEBHOOK_ENDPOINTS, new=True), JSON, FORM),
    )


def _rotate(route: DocumentedRoute) -> JsonObject:
    about = "The endpoint with its new secret; the former one signs beside it for a day."
    shown = response(about, {JSON: ref("schemas", title(WEBHOOK_ENDPOINTS))}, _REPLAYED)
    return route.operation(
        "rotate_webhook_endpoint",
        "Give a webhook endpoint another secret",
        {"201": shown, **errors_of(*_ERRORS, 404)},
        parameters=route.parameters("Idempotency-Key"),
    )


def _redeliver(route: DocumentedRoute) -> JsonObject:
    shown = response("The delivery, which is due.", {JSON: ref("schemas", title(WEBHOOK_DELIVERIES))}, _REPLAYED)
    delivery_id = {
        "in": "path",
        "name": "delivery_id",
        "required": True,
        "description": "The id of the delivery.",
        "schema": {"type": "integer", "minimum": 1},
    }
    return route.operation(
        "redeliver_webhook_delivery",
        "Send an event again, with the same `webhook-id`",
        {"201": shown, **errors_of(*_ERRORS, 404)},
        parameters=[*route.parameters("Idempotency-Key"), delivery_id],
    )


DESCRIBED_WEBHOOK_ENDPOINTS: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (WebhookEndpointsHandler, "POST"): _create,
    (RotateHandler, "POST"): _rotate,
    (RedeliverHandler, "POST"): _redeliver,
}
