"""JSON Schemas of the bodies that belong to no resource, such as health, the server, and the answer to an import."""

from __future__ import annotations

from scfm.handlers.openapi.components import COUNT, NULLABLE_TIME, object_schema
from scfm.schemas import Schema

HEALTH: Schema = {
    "type": "object",
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
    "required": ["status", "version"],
}
SERVER_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "version": {"type": "string"},
        "calls_held_at": {"type": ["string", "null"], "format": "date-time"},
    },
    "required": ["version", "calls_held_at"],
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
_SENTENCES: Schema = {"type": "array", "items": {"type": "string"}}
# What a plan would come to.
PREFLIGHT: Schema = object_schema(
    {
        "audience": {**COUNT, "description": "How many people are to be called."},
        "excluded": {
            **object_schema({"opted_out": COUNT, "duplicate_number": COUNT}),
            "description": "How many are not, beside these.",
        },
        "limited_by": {
            "type": "string",
            "description": "The limit that is reached first, and whose it is.",
            "examples": ["calls_per_second of the account"],
        },
        "calls_per_second": {"type": "number", "exclusiveMinimum": 0},
        "first_attempt_at": NULLABLE_TIME,
        "last_first_attempt_at": {
            **NULLABLE_TIME,
            "description": "When the last person is called for the first time.",
        },
        "ends_at": {**NULLABLE_TIME, "description": "At the latest, which is when nobody answers."},
        "calls_at_most": COUNT,
        "warnings": _SENTENCES,
        "blockers": {**_SENTENCES, "description": "What keeps the plan from its start."},
    }
)
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
