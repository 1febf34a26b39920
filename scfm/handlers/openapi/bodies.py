"""JSON Schemas of the bodies that belong to no resource: health, the server, an import's answer, a report."""

from __future__ import annotations

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
