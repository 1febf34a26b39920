"""The operations for those who watch the server: whether it lives, whether it works, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.handlers.health import HealthHandler
from scfm.handlers.metrics import MetricsHandler
from scfm.handlers.openapi.bodies import HEALTH, READINESS
from scfm.handlers.openapi.components import PLAIN_TEXT, JsonObject, errors_of, response
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.handlers.ready import ReadyHandler

# The setting METRICS_TOKEN, and no access token of an account.
BY_METRICS_TOKEN: JsonObject = {"type": "http", "scheme": "bearer", "description": "The server's METRICS_TOKEN."}
OPEN_METRICS = "application/openmetrics-text"


def _health(_: DocumentedRoute) -> JsonObject:
    responses = {"200": response("Both do.", {JSON: HEALTH}), **errors_of()}
    return {
        "operationId": "health",
        "summary": "Whether the server and its database answer",
        "security": [],
        "responses": responses,
    }


def _ready(_: DocumentedRoute) -> JsonObject:
    return {
        "operationId": "ready",
        "summary": "Whether this process does its work, so that requests may be sent to it",
        "description": "For load balancers and orchestrators. From the moment it is told to stop it is not ready.",
        "security": [],
        "responses": {
            "200": response("It does.", {JSON: READINESS}),
            **errors_of(),
            "503": response("It does not, and why.", {JSON: READINESS}, ("Retry-After",)),
        },
    }


def _metrics(_: DocumentedRoute) -> JsonObject:
    text = {"type": "string"}
    shown = response("As Prometheus reads them.", {PLAIN_TEXT: text, OPEN_METRICS: text})
    return {
        "operationId": "metrics",
        "summary": "Fetch the figures of this process, and what waits in the database",
        "description": "Only from some networks, or with a token of its own, as the server's settings say.",
        "security": [{"metrics_token": []}, {}],
        "responses": {"200": shown, **errors_of(401, 403)},
    }


DESCRIBED_PROBES: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (HealthHandler, "GET"): _health,
    (ReadyHandler, "GET"): _ready,
    (MetricsHandler, "GET"): _metrics,
}
