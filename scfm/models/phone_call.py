"""Phone calls: one attempt to reach one person, and what the provider said of it.

How its status changes is in ``call_lifecycle``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from scfm.errors import Invalid
from scfm.models import filters, renumbering
from scfm.models.attempt_ordinals import ANOTHER_IS_OPEN, attempt_ordinals
from scfm.models.batch_operations import operation_links
from scfm.models.call_hang_up import want_end
from scfm.models.call_lifecycle import CALL_MACHINE, CALL_STATUSES, CallStatus, queue, queue_remote_fetch
from scfm.models.call_work import CHECK, DUE, EXISTS, HANG_UP_INDEX, HELD, LANE, LEASE, RANK, WAITING_INDEX
from scfm.models.callout_participation import callout_flows
from scfm.models.declaration import COMMON_FILTERS, Guard, Reference, children_by
from scfm.models.draft import Draft
from scfm.models.fields import (
    BLANK,
    CallFlowLogic,
    Field,
    Id,
    Link,
    MetadataWithMemory,
    Msisdn,
    Number,
    RequestParams,
    Status,
    Time,
)
from scfm.models.flow_names import NAMED_FLOW_INDEX
from scfm.models.merge import MEMORY_PATH
from scfm.models.outcome import ATTEMPT_NUMBER, MARK_INDEX, mark_of
from scfm.models.plan_approval import check_waiting_call, refuse_without_approval
from scfm.models.queue_place import queue_place, read_callouts
from scfm.models.resource import Beside, Resource
from scfm.models.scope import Scope
from scfm.models.state_machine import NOT_AN_EVENT
from scfm.models.stored_documents import PARTICIPATIONS, PhoneCallDocument
from scfm.storage.counted_fields import CountedFields
from scfm.storage.errors import DuplicateKey
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# Of a participation whose contact's number is another participation's in the callout.
NUMBER_IS_TAKEN = "of its contact is another participation's in this callout"


class PhoneCalls(Resource):
    kind = "phone_call"
    collection = "phone_calls"
    fields = (
        Id("id"),
        Link("callout_participation_id"),
        Link("contact_id"),
        Link("create_batch_operation_id"),
        Link("queue_batch_operation_id"),
        Link("queue_remote_fetch_batch_operation_id"),
        Status("status", CallStatus.CREATED, CALL_STATUSES),
        Msisdn("msisdn", optional=True),
        Field("remote_call_id"),
        Field("remote_status"),
        Field("remote_direction"),
        Field("remote_error_message"),
        MetadataWithMemory("metadata", {}),
        Field("remote_response", {}),
        RequestParams("remote_request_params", {}),
        Field("remote_queue_response", {}),
        CallFlowLogic("call_flow_logic"),
        Time("remotely_queued_at"),
        Time("created_at"),
        Time("updated_at"),
        Field("answered_by"),
        Number("duration"),
        Field("error_code"),
    )
    references = (
        Reference("callout_participation_id", "callout_participations", "callout_participation"),
        Reference("contact_id", "contacts", "contact"),
        Reference("callout_id", "callouts", "callout"),
    )
    guards = (Guard("remote_phone_call_events", "phone_call_id"),)
    filters = {
        **COMMON_FILTERS,
        **filters.time_fields("remotely_queued_at"),
        "callout_participation_id": filters.id_field("callout_participation_id"),
        "contact_id": filters.id_field("contact_id"),
        "msisdn": filters.msisdn_field("msisdn"),
        **{
            name: filters.text_field(name)
            for name in (
                "status",
                "call_flow_logic",
                "remote_call_id",
                "remote_status",
                "remote_direction",
                "remote_error_message",
                "answered_by",
                "error_code",
            )
        },
        **{
            name: filters.json_field(name)
            for name in ("remote_response", "remote_queue_response", "remote_request_params")
        },
    }
    parents = {
        "callout_participation": children_by("phone_calls", "callout_participation_id"),
        "contact": children_by("phone_calls", "contact_id"),
        "callout": children_by("phone_calls", "callout_id"),
        "batch_operation": operation_links.phone_calls,
    }
    machine = CALL_MACHINE
    required = ("remote_request_params",)
    counted = CountedFields(
        kind,
        fields=frozenset(
            {"_id", "account_id", "created_at", "msisdn", "contact_id", "callout_id", "callout_participation_id"}
        ),
        objects=frozenset({"metadata"}),
        uncounted=frozenset({MEMORY_PATH}),
    )
    indexes = (
        Index("account_id", "_id"),
        Index("account_id", "status", "_id"),
        Index("callout_participation_id", "_id"),
        Index("contact_id", "_id"),
        Index("callout_id", "_id"),
        Index(
            "account_id",
            "create_batch_operation_id",
            "callout_participation_id",
            name="unique_account_id_create_batch_operation_id_callout_participation_id",
            unique=True,
            only={"create_batch_operation_id": {"$gt": 0}},
        ),
        *(Index(link, "_id", only={link: {"$gt": 0}}) for link in operation_links.LINKS.values()),
        Index("remote_call_id", "_id", only={"remote_call_id": {"$gt": ""}}),
        Index(LEASE, name="leases", only={LEASE: EXISTS}),
        Index("msisdn", name="under_way", only={LEASE: EXISTS}),
        Index(HELD, "callout_id", name="held", only={HELD: True}),
        Index(CHECK, only={CHECK: EXISTS}),
        HANG_UP_INDEX,
        # Two reports of one inbound call that arrive together make one call.
        Index(
            "account_id",
            "remote_call_id",
            name="unique_inbound",
            unique=True,
            only={"remote_direction": "inbound"},
        ),
        Index("status", "account_id", LANE, RANK, DUE, name=WAITING_INDEX, only={DUE: EXISTS}),
        MARK_INDEX,
        NAMED_FLOW_INDEX,
        # However often an attempt of a plan is made, there is one call of it.
        Index(
            "account_id",
            "callout_participation_id",
            ATTEMPT_NUMBER,
            name="unique_attempt",
            unique=True,
            only={ATTEMPT_NUMBER: EXISTS},
        ),
    )

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """A new call needs its parameters, and goes to its participation's number, unless the client gave another."""
        if draft.new:
            draft.document |= mark_of(draft.document)
        if draft.new and not draft.document["remote_request_params"] and "remote_request_params" not in draft.errors:
            draft.errors.add("remote_request_params", BLANK)
        check_waiting_call(scope, draft)
        if draft.new and draft.document["msisdn"] is None:
            await self._copy_msisdn(scope, draft)
        elif draft.document["contact_id"] is not None and (
            draft.old is None or draft.document["msisdn"] != draft.old["msisdn"]
        ):
            given, contact = draft.document["msisdn"], draft.document["contact_id"]
            draft.document[renumbering.MSISDN_KIND] = await renumbering.msisdn_kind(scope.view, contact, given)

    async def _copy_msisdn(self, scope: Scope, draft: Draft) -> None:
        """Copy the number of the call's participation."""
        participation_id = draft.document["callout_participation_id"]
        participation = await scope.view.get(PARTICIPATIONS, participation_id)
        if participation.get(renumbering.MSISDN_KIND) == renumbering.SET_ASIDE:
            draft.errors.add("msisdn", NUMBER_IS_TAKEN)
        elif participation.get(renumbering.MSISDN_KIND):
            draft.document[renumbering.MSISDN_KIND] = renumbering.OWN
        draft.document["msisdn"] = participation["msisdn"]

    async def insert(self, view: TenantView, document: Document, beside: Beside | None = None) -> Document:
        """Store it; its contact's number may have been corrected since that was read."""
        return await renumbering.with_current_msisdn(
            view, self.collection, await super().insert(view, document, beside)
        )

    async def present(self, view: TenantView, documents: Sequence[Document]) -> list[Document]:
        """A phone call shows its own call flow, its participation's or its callout's."""
        flows = await inherited_flows(view, documents)
        return [self.show({**call, "call_flow_logic": flows[call["_id"]]}) for call in documents]

    async def check_delete(self, scope: Scope, document: Document) -> None:
        if document["status"] != CallStatus.CREATED:
            message = f"Cannot delete record because status is {document['status']}"
            raise Invalid({"base": [message]})

    def delete_condition(self) -> Document:
        return {"status": CallStatus.CREATED}

    async def fire(self, scope: Scope, document_id: int, event: Any, more: Document | None = None) -> Document:
        """Of the calls of one person in a callout that carries its plan out, one at the most is open."""
        try:
            return await super().fire(scope, document_id, event, more)
        except DuplicateKey:
            raise Invalid({"callout_participation": [ANOTHER_IS_OPEN]}) from None

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        """What the event's transition sets; its condition is not used, as ``fire`` compares the status itself."""
        call = cast(PhoneCallDocument, document)
        if event == "queue_remote_fetch":
            if call["remote_call_id"] is None:
                raise Invalid({"event": [NOT_AN_EVENT]})
            transition = queue_remote_fetch(call)
        elif event == "cancel":
            transition = want_end(call)
        else:
            if call["callout_id"] is not None:  # that of a recording has none
                refuse_without_approval(scope)
            callouts = await read_callouts(scope.view, [call["callout_id"]])
            ordinals = await attempt_ordinals(scope.view, [call], callouts)
            place = queue_place(callouts.get(call["callout_id"] or 0))
            if call["_id"] in ordinals:
                place[ATTEMPT_NUMBER] = ordinals[call["_id"]]
            transition = queue(call, place)
        change: Document = transition.update["$set"]
        return change


async def inherited_flows(view: TenantView, calls: Sequence[Mapping[str, Any]]) -> dict[int, str | None]:
    """By the call's id: its own call flow, else its participation's, else its callout's."""
    without_flow = [call for call in calls if not call["call_flow_logic"]]
    links = sorted({call["callout_participation_id"] for call in without_flow if call["callout_participation_id"]})
    of_participations: dict[int, str | None] = {}
    if links:
        condition = {"_id": {"$in": links}}
        for participation in await view.find(PARTICIPATIONS, condition, fields=["call_flow_logic"], sort=()):
            of_participations[participation["_id"]] = participation.get("call_flow_logic")
    flows = {
        call["_id"]: call["call_flow_logic"] or of_participations.get(call["callout_participation_id"])
        for call in calls
    }
    of_callouts = await callout_flows(view, [call for call in without_flow if not flows[call["_id"]]])
    return {call["_id"]: flows[call["_id"]] or of_callouts.get(call["callout_id"]) for call in calls}


PHONE_CALLS = PhoneCalls()
