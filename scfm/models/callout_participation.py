"""Callout participations: one contact in one callout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scfm.errors import NotFound
from scfm.models import filters, hints, renumbering
from scfm.models.batch_operations import operation_links
from scfm.models.declaration import COMMON_FILTERS, Guard, Reference, Unique, children_by
from scfm.models.draft import Draft
from scfm.models.erasable_fields import ErasableLink, ErasableMsisdn
from scfm.models.fields import CallFlowLogic, Field, Id, Link, Metadata, Status, Time
from scfm.models.flow_names import NAMED_FLOW_INDEX
from scfm.models.joining import JoinedCallout
from scfm.models.outcome import (
    ATTEMPT_DUE,
    ATTEMPT_NUMBER,
    CALL_FIGURES,
    FIRST_ATTEMPT_AT,
    MARK,
    MARK_INDEX,
    OUTCOMES,
    Outcome,
    new_mark,
)
from scfm.models.references import MUST_EXIST
from scfm.models.resource import Beside, Resource
from scfm.models.scope import Scope
from scfm.models.stored_documents import CALLOUT_COLLECTION, CONTACT_COLLECTION, ContactDocument
from scfm.models.webhook_event import TO_TELL_INDEX
from scfm.storage.counted_fields import CountedFields
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class CalloutParticipations(Resource):
    kind = "callout_participation"
    collection = "callout_participations"
    fields = (
        Id("id"),
        Link("callout_id"),
        ErasableLink("contact_id"),
        Link("callout_population_id"),
        ErasableMsisdn("msisdn", optional=True),
        CallFlowLogic("call_flow_logic"),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Status("outcome", Outcome.PENDING.value, OUTCOMES),
        Field("outcome_reason"),
        Field("attempts", 0),
        Time("next_attempt_at"),
        Time("last_attempt_at"),
        Field("answers", {}),
    )
    unique = (
        Unique(("account_id", "callout_id", "contact_id"), "contact_id"),
        Unique(("account_id", "callout_id", "msisdn"), "msisdn"),
    )
    references = (
        Reference("callout_id", "callouts", "callout"),
        Reference("contact_id", "contacts", "contact"),
    )
    guards = (Guard("phone_calls", "callout_participation_id"),)
    filters = {
        **COMMON_FILTERS,
        "callout_id": filters.id_field("callout_id"),
        "contact_id": filters.id_field("contact_id"),
        "callout_population_id": filters.id_field("callout_population_id"),
        "call_flow_logic": filters.text_field("call_flow_logic"),
        "msisdn": filters.msisdn_field("msisdn"),
        "has_phone_calls": filters.has_phone_calls,
        "last_phone_call_attempt": filters.last_phone_call_attempt,
        "no_phone_calls_or_last_attempt": filters.no_phone_calls_or_last_attempt,
        "outcome": filters.text_field("outcome", absent=Outcome.PENDING),
        "outcome_reason": filters.text_field("outcome_reason"),
        "attempts": filters.count_field("attempts"),
        "next_attempt_at": filters.time_field("next_attempt_at"),
        **filters.time_fields("next_attempt_at"),
        "last_attempt_at": filters.time_field("last_attempt_at"),
        **filters.time_fields("last_attempt_at"),
        "answers": filters.json_field("answers"),
    }
    accepts_new = {"contact_id": {"type": ["integer", "string"]}}
    required = ("contact_id",)
    parents = {
        "callout": children_by("callout_participations", "callout_id"),
        "contact": children_by("callout_participations", "contact_id"),
        "batch_operation": operation_links.participations,
    }
    counted = CountedFields(
        kind,
        fields=frozenset(
            {
                "_id",
                "account_id",
                "created_at",
                "msisdn",
                "contact_id",
                "callout_id",
                "outcome",
                "outcome_reason",
                "attempts",
                "next_attempt_at",
                "last_attempt_at",
                FIRST_ATTEMPT_AT,
                CALL_FIGURES,
                renumbering.MSISDN_KIND,
            }
        ),
        objects=frozenset({"metadata", "answers"}),
    )
    indexes = (
        Index("account_id", "_id"),
        Index("callout_id", "_id"),
        Index("contact_id", "_id"),
        renumbering.STRAYS_INDEX,
        Index("callout_population_id", "_id", only={"callout_population_id": {"$gt": 0}}),
        MARK_INDEX,
        NAMED_FLOW_INDEX,
        TO_TELL_INDEX,
        Index("callout_id", ATTEMPT_DUE, name="unsettled_by_plan", only={ATTEMPT_NUMBER: {"$exists": True}}),
    )

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """A new participation takes its number from its contact, unless the client gave another."""
        if draft.old is not None:
            await self._change_msisdn(scope, draft, draft.old)
            return
        contact = await _contact(scope.view, draft.given.get("contact_id"))
        if contact is None:
            draft.errors.add("contact", MUST_EXIST, hint=hints.KNOWN_CONTACT)
            return
        draft.document["contact_id"] = contact["_id"]
        if draft.document["msisdn"] is None:
            draft.document["msisdn"] = contact["msisdn"]
        elif draft.document["msisdn"] != contact["msisdn"]:
            draft.document[renumbering.MSISDN_KIND] = renumbering.OWN

    async def _change_msisdn(self, scope: Scope, draft: Draft, old: Document) -> None:
        """Note that the number was given by a client: it stays when the contact's changes."""
        msisdn = draft.document["msisdn"]
        if msisdn == old["msisdn"]:
            return
        draft.document[MARK] = new_mark()  # it may have been excluded for its number
        draft.document[renumbering.MSISDN_KIND] = await renumbering.msisdn_kind(scope.view, old["contact_id"], msisdn)
        if old.get(renumbering.MSISDN_KIND) == renumbering.SET_ASIDE:
            metadata = draft.document["metadata"]
            draft.document["metadata"] = {key: metadata[key] for key in metadata if key != renumbering.NUMBER_TAKEN}

    async def insert(self, view: TenantView, document: Document, beside: Beside | None = None) -> Document:
        """Store it, unless its callout is completed; its contact's number may have been corrected meanwhile."""
        callout = await JoinedCallout.read(view, document["callout_id"])
        stored = await super().insert(view, {**document, **callout.new_fields()}, beside)
        await callout.confirm(view, [document["contact_id"]])
        return await renumbering.with_current_msisdn(view, self.collection, stored)

    async def present(self, view: TenantView, documents: Sequence[Document]) -> list[Document]:
        """A participation shows its own call flow or its callout's."""
        flows = await callout_flows(view, documents)
        return [
            self.show(
                {**document, "call_flow_logic": document["call_flow_logic"] or flows.get(document["callout_id"])}
            )
            for document in documents
        ]


async def callout_flows(view: TenantView, documents: Sequence[Mapping[str, Any]]) -> dict[int, str | None]:
    """By the callout's id, the call flows of the callouts of those documents that have none of their own."""
    without_flow = (document for document in documents if not document["call_flow_logic"])
    callout_ids = {document["callout_id"] for document in without_flow if document["callout_id"]}
    if not callout_ids:
        return {}
    condition = {"_id": {"$in": sorted(callout_ids)}}
    callouts = await view.find(CALLOUT_COLLECTION, condition, fields=["call_flow_logic"], sort=())
    return {callout["_id"]: callout["call_flow_logic"] for callout in callouts}


async def _contact(view: TenantView, contact_id: Any) -> ContactDocument | None:
    """The contact with the id that a client gave, however it is written."""
    try:
        return await view.get(CONTACT_COLLECTION, filters.as_id(filters.text(contact_id) or ""))
    except NotFound:
        return None


CALLOUT_PARTICIPATIONS = CalloutParticipations()
