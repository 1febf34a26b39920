"""What the document says of statistics: their schemas and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.contacts_bulk.import_file import XLSX
from scfm.handlers.callout_results import RESULT_TYPES, CalloutResultsHandler
from scfm.handlers.openapi.components import COUNT, NULLABLE_TIME, JsonObject, errors_of, object_schema, response
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.handlers.statistics import (
    EVENT_STREAM,
    AccountStatisticsHandler,
    CalloutProgressHandler,
    CalloutStatisticsHandler,
)
from scfm.models.call_lifecycle import CALL_STATUSES
from scfm.models.outcome import OUTCOMES, REASONS
from scfm.schemas import Schema

PEOPLE: Schema = object_schema(dict.fromkeys(("total", *OUTCOMES), COUNT))
CALLS_BY_STATUS: Schema = object_schema(dict.fromkeys(CALL_STATUSES, COUNT))
MINUTE: Schema = {
    "type": "array",
    "description": "A minute (a time), the calls placed in it, and those of them that were answered.",
    "items": {"type": ["string", "integer"]},
    "minItems": 3,
    "maxItems": 3,
}
PROVIDER_HEALTH: Schema = object_schema(
    {
        "provider": {"enum": ["ok", "failing", "refusing", "held"]},
        "provider_last_at": NULLABLE_TIME,
        "webhook_last_at": NULLABLE_TIME,
    }
)
GROUP: Schema = object_schema({"value": {"type": ["string", "null"]}, "people": PEOPLE})
_CALLOUT: dict[str, Schema] = {
    "people": PEOPLE,
    "reasons": {"type": "object", "propertyNames": {"enum": list(REASONS)}, "additionalProperties": COUNT},
    "calls": CALLS_BY_STATUS,
    "attempts": {"type": "object", "additionalProperties": COUNT},
    "talk_seconds": COUNT,
    **dict.fromkeys(("started_at", "first_attempt_at", "last_attempt_at"), NULLABLE_TIME),
    **dict.fromkeys(("completed_at", "expected_end_at"), NULLABLE_TIME),
    "calls_per_minute": {"type": "array", "items": MINUTE},
    "limited_by": {"type": ["string", "null"]},
    "health": PROVIDER_HEALTH,
}
CALLOUT_STATISTICS: Schema = {
    **object_schema(_CALLOUT),
    "properties": {**_CALLOUT, "groups": {"type": "array", "items": GROUP, "description": "With `group_by`."}},
}
ACCOUNT_STATISTICS: Schema = object_schema(
    {
        "people": PEOPLE,
        "calls": CALLS_BY_STATUS,
        "days": {
            "type": "array",
            "items": object_schema(
                {"date": {"type": "string", "format": "date"}, "people": PEOPLE, "calls": CALLS_BY_STATUS}
            ),
        },
        "callouts": {
            "type": "array",
            "items": object_schema({"id": {"type": "integer", "minimum": 1}, "people": PEOPLE}),
        },
    }
)


def _callout(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        "statistics_of_callout",
        "How many people of the callout have each outcome, and how its calls went",
        {"200": response("As they are now.", {JSON: CALLOUT_STATISTICS}), **errors_of(400, 401, 404, 422)},
        parameters=route.parameters("group_by"),
    )


def _progress(route: DocumentedRoute) -> JsonObject:
    about = "Events called `statistics`, each with the statistics of the callout as JSON, when they have changed."
    return route.operation(
        "progress_of_callout",
        "The statistics of the callout as they change, as server-sent events",
        {"200": response(about, {EVENT_STREAM: {"type": "string"}}), **errors_of(400, 401, 404)},
        parameters=route.parameters("Last-Event-ID"),
    )


def _account(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        "statistics_of_account",
        "The people of the account's callouts and their calls, by day and by callout",
        {"200": response("As they are now.", {JSON: ACCOUNT_STATISTICS}), **errors_of(400, 401, 422)},
        parameters=route.parameters("from", "to"),
    )


def _results(route: DocumentedRoute) -> JsonObject:
    files: JsonObject = {kind.partition(";")[0]: {"type": "string"} for kind in RESULT_TYPES.values()}
    files[XLSX] = {"type": "string", "format": "binary"}
    return route.operation(
        "results_of_callout",
        "What became of each person of the callout",
        {"200": response("In order of the participations' ids.", files), **errors_of(400, 401, 404, 422)},
        parameters=route.parameters("q_of_callout_participations", "results_format", "bom"),
    )


DESCRIBED_STATISTICS: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (CalloutStatisticsHandler, "GET"): _callout,
    (CalloutProgressHandler, "GET"): _progress,
    (CalloutResultsHandler, "GET"): _results,
    (AccountStatisticsHandler, "GET"): _account,
}
