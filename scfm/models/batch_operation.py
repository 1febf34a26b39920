"""Batch operations: work on many documents at once, previewed, queued, and done in the background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from scfm.errors import Invalid
from scfm.models import filters, hints
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.callout_population import CalloutPopulation
from scfm.models.batch_operations.operation import Operation
from scfm.models.batch_operations.operation_run import OPERATION_DUE, queue_run
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.parameters import misplaced
from scfm.models.batch_operations.phone_call_create import PhoneCallCreate
from scfm.models.batch_operations.phone_call_queue import PhoneCallQueue
from scfm.models.batch_operations.phone_call_queue_remote_fetch import PhoneCallQueueRemoteFetch
from scfm.models.batch_operations.selection import country_for
from scfm.models.declaration import COMMON_FILTERS, Guard, Reference, children_by
from scfm.models.draft import Draft
from scfm.models.fields import BLANK, Field, Id, Json, Link, Metadata, Status, Time
from scfm.models.plan_approval import refuse_without_approval
from scfm.models.references import MUST_EXIST
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.state_machine import StateMachine
from scfm.models.stored_documents import CALLOUT_COLLECTION
from scfm.schemas import Schema, schema
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

TYPES: dict[str, OperationType] = {
    operation_type.name: operation_type
    for operation_type in (CalloutPopulation(), PhoneCallCreate(), PhoneCallQueue(), PhoneCallQueueRemoteFetch())
}

OPERATION_MACHINE = StateMachine("preview", {"queue": {"preview": "queued"}, "requeue": {"finished": "queued"}})
OPERATION_STATUSES = ("preview", "queued", "running", "finished")
RESTING = ("preview", "finished")

# What ``parameters`` may hold, of any type; what one may is in the schema of the type. An ``anyOf`` of those schemas
# would be read by many programs as the first of them.
PARAMETERS: Schema = {
    "type": "object",
    "properties": {
        name: value
        for operation_type in TYPES.values()
        for name, value in schema(operation_type.schema)["properties"].items()
    },
}


class BatchOperations(Resource):
    kind = "batch_operation"
    collection = "batch_operations"
    fields = (
        Id("id"),
        Link("callout_id"),
        Json("parameters", {}, PARAMETERS),
        Metadata("metadata", {}),
        Status("status", OPERATION_MACHINE.initial, OPERATION_STATUSES),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
        Field("type"),
    )
    references = (Reference("callout_id", "callouts", "callout"),)
    guards = (
        Guard("callout_participations", "callout_population_id"),
        *(Guard("phone_calls", link, created=False) for link in operation_links.LINKS.values()),
    )
    filters = {
        **COMMON_FILTERS,
        "parameters": filters.json_field("parameters"),
        "status": filters.text_field("status"),
        "type": filters.text_field("type"),
    }
    parents = {"callout": children_by("batch_operations", "callout_id")}
    machine = OPERATION_MACHINE
    required = ("type",)
    accepts_new = {
        "type": {"type": "string", "enum": list(TYPES)},
        "callout_id": {"type": ["integer", "string"]},
        "skip_validate_preview_presence": {"type": ["boolean", "string"]},
    }
    indexes = (
        Index("account_id", "_id"),
        Index("callout_id", "_id"),
        Index(OPERATION_DUE, name="work", only={OPERATION_DUE: {"$exists": True}}),
    )

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Check the parameters as the type has it; a new operation must find something to do."""
        if draft.new:
            draft.document["type"] = draft.given.get("type")
        given = draft.document["type"]
        operation_type = TYPES.get(given) if isinstance(given, str) else None
        if operation_type is None:
            draft.errors.add("type", BLANK, hint=hints.choice_of(TYPES))
            return
        if "parameters" not in draft.errors and (draft.new or "parameters" in draft.given):
            errors = await operation_type.errors_in(draft.document["parameters"], scope.rules.country)
            draft.errors |= errors
            draft.errors.hints |= errors.hints
        if messages := misplaced(draft.given, {*(field.name for field in self.fields), *self.accepts_new}):
            draft.errors.add("parameters", *messages)
        if draft.new and operation_type.name == operation_links.POPULATION:
            await _check_callout(scope, draft)
        elif draft.new and not _skips_preview(draft):
            await _check_preview(scope, draft, operation_type)

    async def check_delete(self, scope: Scope, document: Document) -> None:
        if document["status"] not in RESTING:
            message = f"Cannot delete record because status is {document['status']}"
            raise Invalid({"base": [message]})

    def delete_condition(self) -> Document:
        return {"status": {"$in": list(RESTING)}}

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        """A run begins: any process may claim it from now on, and it starts from the first document.

        Raises Invalid for parameters that an older version has stored and this one does not understand.
        """
        operation_type = await validated_type(scope.view, document)
        if operation_type.name == operation_links.QUEUE:
            refuse_without_approval(scope)
        return queue_run()


async def validated_type(view: TenantView, operation: Mapping[str, Any]) -> OperationType:
    """The type of a stored operation, whose parameters are right for it; raises Invalid where they are not."""
    operation_type, parameters = TYPES[operation["type"]], operation["parameters"]
    errors = await operation_type.errors_in(parameters, await country_for(view, parameters))
    errors.check()
    return operation_type


async def _check_callout(scope: Scope, draft: Draft) -> None:
    callout_id = draft.document["callout_id"]
    if callout_id is None:
        callout_id = filters.as_id(filters.text(draft.given.get("callout_id")) or "")
    if await scope.view.exists(CALLOUT_COLLECTION, {"_id": callout_id}):
        draft.document["callout_id"] = callout_id
    else:
        draft.errors.add("callout", MUST_EXIST, hint=hints.CALLOUT)


async def _check_preview(scope: Scope, draft: Draft, operation_type: OperationType) -> None:
    if any(name != "remote_request_params" for name in draft.errors):
        return
    operation = cast(Operation, draft.document)
    collection = operation_type.subject_collection
    preview = await operation_type.preview(scope.view, operation, collection)
    if not await scope.view.list_of(preview).page(0, 1):
        draft.errors.add(f"{collection}_preview", BLANK, hint=hints.PREVIEW)


def _skips_preview(draft: Draft) -> bool:
    name = "skip_validate_preview_presence"
    asked = draft.given.get(name, draft.document["parameters"].get(name))
    return filters.text(asked) in ("true", "1")


BATCH_OPERATIONS = BatchOperations()
