"""Callouts: a set of contacts to be called for one purpose."""

from __future__ import annotations

from scfm.errors import Invalid
from scfm.models import filters, renumbering
from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.declaration import COMMON_FILTERS, Guard, children_by, children_through
from scfm.models.draft import Draft
from scfm.models.fields import CallFlowLogic, Id, Link, Metadata, Status, Time
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.state_machine import NOT_AN_EVENT, StateMachine
from scfm.storage.index import Index
from scfm.storage.query import Document

MACHINE = StateMachine(
    "initialized",
    {
        "start": {"initialized": "running"},
        "pause": {"running": "paused"},
        "resume": {"paused": "running", "stopped": "running"},
        # From initialized only while calls of it wait or go on: see check_event.
        "stop": {"running": "stopped", "paused": "stopped", "initialized": "stopped"},
    },
)
STATUSES = ("initialized", "running", "paused", "stopped")


class Callouts(Resource):
    kind = "callout"
    collection = "callouts"
    fields = (
        Id("id"),
        Status("status", MACHINE.initial, STATUSES),
        CallFlowLogic("call_flow_logic"),
        Metadata("metadata", {}),
        Time("created_at"),
        Time("updated_at"),
        Link("account_id"),
    )
    guards = (Guard("callout_participations", "callout_id"), Guard("batch_operations", "callout_id"))
    filters = {
        **COMMON_FILTERS,
        "status": filters.text_field("status"),
        "call_flow_logic": filters.text_field("call_flow_logic"),
    }
    parents = {
        "contact": children_through("callouts", "callout_id", children_by("callout_participations", "contact_id"))
    }
    machine = MACHINE
    indexes = (Index("account_id", "_id"), renumbering.CALLOUT_MARK_INDEX)

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """The participations of a new callout say from the start whether they have their contact's number."""
        if draft.new:
            draft.document[renumbering.CALLOUT_KNOWN] = True

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        """A callout that was never started can be stopped only while there is something to stop."""
        if event == "stop" and document["status"] == MACHINE.initial:
            under_way = {"callout_id": document["_id"], "status": {"$in": list(UNDER_WAY)}}
            if not await scope.view.exists("phone_calls", under_way):
                raise Invalid({"event": [NOT_AN_EVENT]})
        return {}


CALLOUTS = Callouts()
