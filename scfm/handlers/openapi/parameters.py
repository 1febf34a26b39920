"""The parameters that operations share, by the name of the component."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scfm.handlers.callout_results import RESULT_TYPES
from scfm.handlers.export_contacts import CONTENT_TYPES
from scfm.handlers.pagination import DEFAULT_PER_PAGE, MAX_PER_PAGE
from scfm.models.audio_file import MAX_AUDIO_NAME
from scfm.models.batch_operation import TYPES
from scfm.models.merge import MODES

SHARED_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "id": {
        "in": "path",
        "required": True,
        "description": "The id of what it is about.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "page": {
        "in": "query",
        "description": "Which page, from 1.",
        "schema": {"type": "integer", "minimum": 1, "default": 1},
    },
    "per_page": {
        "in": "query",
        "description": "How many items a page has at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE, "default": DEFAULT_PER_PAGE},
    },
    "type": {
        "in": "query",
        "description": "The same as `q[type]`.",
        "schema": {"type": "string", "examples": list(TYPES)},
    },
    "format": {
        "in": "query",
        "description": "The format of the file.",
        "schema": {"type": "string", "enum": list(CONTENT_TYPES), "default": "csv"},
    },
    "results_format": {
        "name": "format",
        "in": "query",
        "description": "The format of the file.",
        "schema": {"type": "string", "enum": list(RESULT_TYPES), "default": "csv"},
    },
    "group_by": {
        "in": "query",
        "description": "A path in the contacts' metadata, such as `metadata.district`: adds `groups`.",
        "schema": {"type": "string", "pattern": "^metadata\\."},
    },
    "metadata_path": {
        "name": "path",
        "in": "query",
        "description": "A path in the contacts' metadata, such as `metadata.district`: the values there.",
        "schema": {"type": "string", "pattern": "^metadata\\."},
    },
    "purge": {
        "in": "query",
        "description": "For admins: erase the person for good, and keep what is counted. It cannot be taken back.",
        "schema": {"type": "boolean", "default": False},
    },
    "from": {"in": "query", "description": "The first day, in UTC.", "schema": {"type": "string", "format": "date"}},
    "to": {"in": "query", "description": "The last day, in UTC.", "schema": {"type": "string", "format": "date"}},
    "audio_name": {
        "name": "name",
        "in": "query",
        "description": "What flows call it; else the file's name, without its ending.",
        "schema": {"type": "string", "maxLength": MAX_AUDIO_NAME},
    },
    "audio_language": {
        "name": "language",
        "in": "query",
        "description": "The language that is spoken, as a tag of BCP 47.",
        "schema": {"type": "string", "examples": ["km"]},
    },
    "Range": {
        "in": "header",
        "description": "A part of the file, `bytes=0-999`.",
        "schema": {"type": "string"},
    },
    "Last-Event-ID": {
        "in": "header",
        "description": "The id of the event that the client has: it is not sent again.",
        "schema": {"type": "string"},
    },
    "bom": {
        "in": "query",
        "description": "Whether the CSV begins with a byte order mark, by which Excel knows UTF-8.",
        "schema": {"type": "boolean", "default": False},
    },
    "call_flow_data": {
        "in": "query",
        "description": "Whether the export has what call flows remember, `metadata.call_flow_data`.",
        "schema": {"type": "boolean", "default": False},
    },
    "spreadsheet": {
        "in": "query",
        "description": "Whether CSV is for a spreadsheet: with a byte order mark, and without formulas.",
        "schema": {"type": "boolean", "default": False},
    },
    "sheet": {
        "in": "query",
        "description": "The worksheet of a workbook; the first that is not hidden, if it is not given.",
        "schema": {"type": "string"},
    },
    "msisdn_column": {
        "in": "query",
        "description": "The name of the column that is the phone number, if it is not called `msisdn`.",
        "schema": {"type": "string", "minLength": 1},
    },
    "import_metadata": {
        "name": "metadata",
        "in": "query",
        "style": "deepObject",
        "explode": True,
        "description": "What every line is given, such as `metadata[list]=Flood`; it counts before the line's own.",
        "schema": {"type": "object"},
    },
    "preview": {
        "in": "query",
        "description": "Nothing is stored: the answer says what would be, and guesses the phone number's column.",
        "schema": {"type": "boolean", "default": False},
    },
    "metadata_merge_mode": {
        "in": "query",
        "description": "How new metadata joins what is stored: by name, in its place, or by name at every level.",
        "schema": {"type": "string", "enum": list(MODES), "default": MODES[0]},
    },
    "account_id": {
        "in": "query",
        "description": "A super admin may name another account.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Idempotency-Key": {
        "in": "header",
        "description": "Names the request: sent again within 24 hours, it gets the first answer and does nothing.",
        "schema": {"type": "string", "pattern": r"^[!-~]([ -~]{0,253}[!-~])?$"},
    },
    "X-Twilio-Signature": {
        "in": "header",
        "required": True,
        "description": "Made with the account's auth token over the public URL and the fields.",
        "schema": {"type": "string"},
    },
}
