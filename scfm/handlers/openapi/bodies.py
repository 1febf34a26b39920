"""JSON Schemas of the bodies that belong to no resource, such as health, the server, and the answer to an import."""

from __future__ import annotations

from scfm.handlers.openapi.components import COUNT, NULLABLE_TIME, object_schema
from scfm.schemas import Schema

HEALTH: Schema = {
    "type": "object",
    "properties": {"status": {"const": "ok"}, "version": {"type": "string"}},
    "required": ["status", "version"],
}
READINESS: Schema = object_schema(
    {
        "status": {"enum": ["ready", "not ready"]},
        "reasons": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What keeps this process from its work.",
            "examples": [["the database does not answer"]],
        },
    }
)
SERVER_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "version": {"type": "string"},
        "calls_held_at": {"type": ["string", "null"], "format": "date-time"},
    },
    "required": ["version", "calls_held_at"],
}
_LINE: Schema = {"type": "integer", "minimum": 1}
_BAD_LINES: dict[str, Schema] = {
    "errors": {
        "type": "array",
        "items": object_schema(
            {
                "line": _LINE,
                "column": {"type": ["string", "null"]},
                "reason": {"type": "string"},
                "value": {"type": ["string", "null"]},
            },
        ),
    },
    "errors_omitted": COUNT,
}
# What became of the lines of an import.
TALLY: Schema = object_schema(
    {**dict.fromkeys(("created", "updated", "unchanged", "failed"), COUNT), **_BAD_LINES},
)
# What would become of them, with ``preview=true``.
IMPORT_PREVIEW: Schema = object_schema(
    {
        "columns": {
            "type": "array",
            "items": object_schema(
                {
                    "name": {"type": "string"},
                    "field": {
                        "type": ["string", "null"],
                        "description": "What the column becomes; null for what is ignored.",
                        "examples": ["metadata.district"],
                    },
                    "values": {"type": "array", "items": {"type": "string"}},
                }
            ),
        },
        "msisdn_column": {
            "type": ["string", "null"],
            "description": "The column that is the phone number; null where that must be said.",
        },
        "guessed": {"type": "boolean"},
        "rows": COUNT,
        "created": COUNT,
        "updated": COUNT,
        "unchanged": COUNT,
        "repeated": {**COUNT, "description": "Lines whose number stands in an earlier line."},
        "failed": COUNT,
        "contacts": {
            "type": "array",
            "description": "The first contacts, as they would be stored.",
            "items": object_schema({"line": _LINE, "msisdn": {"type": "string"}, "metadata": {"type": "object"}}),
        },
        **_BAD_LINES,
        "complete": {
            "type": "boolean",
            "description": "Whether all lines were read and compared.",
        },
    }
)
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
