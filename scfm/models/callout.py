"""Callouts: a set of contacts to be called for one purpose."""

from __future__ import annotations

from scfm.models import filters
from scfm.models.fields import CallFlowLogic, Id, Link, Metadata, Status, Time
from scfm.models.machine import Machine
from scfm.models.resource import COMMON_FILTERS, Guard, Resource, by, through
from scfm.models.store import Index

MACHINE = Machine(
    "initialized",
    {
        "start": {"initialized": "running"},
        "pause": {"running": "paused"},
        "resume": {"paused": "running", "stopped": "running"},
        "stop": {"running": "stopped", "paused": "stopped"},
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
        "status": filters.one_of("status"),
        "call_flow_logic": filters.one_of("call_flow_logic"),
    }
    parents = {"contact": through("callouts", "callout_id", by("callout_participations", "contact_id"))}
    machine = MACHINE
    indexes = (Index("account_id", "_id"),)


CALLOUTS = Callouts()
