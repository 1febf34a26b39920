"""What the document says of contacts in bulk: import, export, and the fields that they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scfm.contacts_bulk.contact_fields import MAX_SHOWN
from scfm.contacts_bulk.import_file import CSV, JSON_LINES, XLSX
from scfm.handlers.contact_fields import ContactFieldsHandler
from scfm.handlers.export_contacts import CONTENT_TYPES, ExportContactsHandler
from scfm.handlers.export_person import ExportPersonHandler
from scfm.handlers.import_contacts import ImportContactsHandler, ImportOptOutsHandler
from scfm.handlers.openapi.bodies import IMPORT_PREVIEW, TALLY
from scfm.handlers.openapi.components import (
    COUNT,
    WRITE_ERRORS,
    JsonObject,
    errors_of,
    nouns,
    object_schema,
    ref,
    response,
    title,
)
from scfm.handlers.openapi.documented_route import DocumentedRoute
from scfm.handlers.parameters import JSON
from scfm.models.audit_event import AUDIT_EVENTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.remote_phone_call_event import REMOTE_PHONE_CALL_EVENTS
from scfm.schemas import Schema

_PATH: Schema = {"type": "string", "pattern": "^metadata\\.", "examples": ["metadata.district"]}
_COMPLETE: Schema = {
    "type": "boolean",
    "description": "Whether it tells of all contacts that fit, or of the first of them only.",
}
CONTACT_FIELDS: Schema = object_schema(
    {
        "contacts": COUNT,
        "fields": {
            "type": "array",
            "maxItems": MAX_SHOWN,
            "items": object_schema({"path": _PATH, "contacts": COUNT}),
        },
        "omitted": {**COUNT, "description": "How many more fields there are."},
        "complete": _COMPLETE,
    }
)
CONTACT_VALUES: Schema = object_schema(
    {
        "path": _PATH,
        "contacts": COUNT,
        "values": {
            "type": "array",
            "maxItems": MAX_SHOWN,
            "items": object_schema({"value": {"type": ["string", "null"]}, "contacts": COUNT}),
        },
        "rest": object_schema({"values": COUNT, "contacts": COUNT}),
        "complete": _COMPLETE,
    }
)

_OF_PERSON = (OPT_OUTS, CALLOUT_PARTICIPATIONS, PHONE_CALLS, REMOTE_PHONE_CALL_EVENTS, AUDIT_EVENTS)
PERSON_EXPORT: Schema = object_schema(
    {
        "exported_at": {"type": "string", "format": "date-time"},
        "contact": ref("schemas", title(CONTACTS)),
        "former_msisdns": {"type": "array", "items": {"type": "string"}},
        **{
            str(resource.collection): {"type": "array", "items": ref("schemas", title(resource))}
            for resource in _OF_PERSON
        },
        "recordings": {"type": "array", "items": {"type": "string"}},
    }
)


def _import(route: DocumentedRoute) -> JsonObject:
    of_contacts = route.resource is CONTACTS
    kinds = {CSV: "msisdn,name\n+252662345678,Alice\n", JSON_LINES[0]: '{"msisdn": "+252662345678"}\n'}
    own = ["metadata_merge_mode", "preview"] if of_contacts else []
    parameters = [*own, "sheet", "msisdn_column", "import_metadata"]
    # The preview has all that a tally has: a program that takes the first that fits would drop the rest of it.
    answer: Schema = {"anyOf": [IMPORT_PREVIEW, TALLY]} if of_contacts else TALLY
    return route.operation(
        f"import_{nouns(route.resource).replace(' ', '_')}",
        f"Create {'and update ' if of_contacts else ''}{nouns(route.resource)} in bulk, by phone number",
        {
            "200": response("What became of the lines.", {JSON: answer}, ("Idempotent-Replayed",)),
            **errors_of(*WRITE_ERRORS, 409, 413),
        },
        parameters=route.parameters(*parameters, "Idempotency-Key"),
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
        parameters=route.parameters("q_of_contacts", "format", "call_flow_data", "spreadsheet"),
    )


def _export_person(route: DocumentedRoute) -> JsonObject:
    return route.operation(
        "export_contact",
        "Everything that is stored of one person",
        {"200": response("It holds full phone numbers.", {JSON: PERSON_EXPORT}), **errors_of(400, 401, 403, 404)},
        parameters=route.parameters(),
    )


def _fields(route: DocumentedRoute) -> JsonObject:
    shown = {JSON: {"anyOf": [CONTACT_FIELDS, CONTACT_VALUES]}}
    return route.operation(
        "fields_of_contacts",
        "The paths in the contacts' metadata, or the values at one of them, with the number of contacts of each",
        {"200": response("Those of the most contacts first.", shown), **errors_of(400, 401, 422)},
        parameters=route.parameters("q_of_contacts", "metadata_path"),
    )


DESCRIBED_CONTACTS: Mapping[tuple[type, str], Callable[[DocumentedRoute], JsonObject]] = {
    (ImportContactsHandler, "POST"): _import,
    (ImportOptOutsHandler, "POST"): _import,
    (ExportContactsHandler, "GET"): _export,
    (ExportPersonHandler, "GET"): _export_person,
    (ContactFieldsHandler, "GET"): _fields,
}
