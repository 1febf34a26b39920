"""Callouts: a set of contacts to be called for one purpose."""

from __future__ import annotations

from typing import Any

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import filters, hints, renumbering
from scfm.models.call_lifecycle import UNDER_WAY
from scfm.models.call_work import HANG_UP_INDEX
from scfm.models.callout_run import RUN, RUN_INDEX, STARTED_AT, has_started, review_run, start_run, started_at
from scfm.models.callout_status import MACHINE, STATUSES
from scfm.models.declaration import COMMON_FILTERS, Guard, children_by, children_through
from scfm.models.draft import Draft
from scfm.models.excluded_contacts import CALLOUT_KNOWN
from scfm.models.fields import BLANK, CallFlowLogic, FieldError, Id, Link, Metadata, Status, Time
from scfm.models.plan_approval import (
    APPROVAL,
    APPROVAL_MACHINE,
    APPROVE,
    REJECT,
    SUBMIT,
    WITHDRAW,
    ApprovalField,
    approval_changes,
    check_approved,
    check_narrower,
    refuse_without_approval,
    same_approval,
    written_by,
)
from scfm.models.plan_check import check_change, read_plan
from scfm.models.plan_field import PlanField
from scfm.models.references import MUST_EXIST
from scfm.models.resource import Resource
from scfm.models.scope import Scope
from scfm.models.state_machine import NOT_AN_EVENT
from scfm.models.stored_documents import CALLOUT_COLLECTION, CALLS, CalloutDocument
from scfm.models.webhook_event import CALLOUT_PAUSED, CALLOUT_STARTED, CALLOUT_STOPPED, TO_TELL_INDEX
from scfm.storage.index import Index
from scfm.storage.query import Document

# The events that may start a plan.
STARTING = ("start", "resume", SUBMIT, APPROVE)


def _same_status(callout: Document) -> Document:
    """The condition that no event has moved a callout since it was read."""
    return {"status": callout["status"]}


def _emergency(callout: Document) -> Document:
    """Why a plan that is started, or is to be, goes over its window and over opt-outs."""
    emergency = (callout.get("plan") or {}).get("emergency")
    return {"emergency": [None, emergency]} if emergency else {}


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
        PlanField("plan"),
        Time("completed_at"),
        ApprovalField(APPROVAL),
    )
    guards = (Guard("callout_participations", "callout_id"), Guard("batch_operations", "callout_id"))
    filters = {
        **COMMON_FILTERS,
        "status": filters.text_field("status"),
        "call_flow_logic": filters.text_field("call_flow_logic"),
        APPROVAL: filters.parts_of({"status": filters.text_field(f"{APPROVAL}.status")}),
    }
    parents = {
        "contact": children_through("callouts", "callout_id", children_by("callout_participations", "contact_id"))
    }
    machine = MACHINE
    told_statuses = {"running": CALLOUT_STARTED, "paused": CALLOUT_PAUSED, "stopped": CALLOUT_STOPPED}
    audit_notes = dict.fromkeys(STARTING, _emergency)
    conditions = {"plan": _same_status, APPROVAL: same_approval}
    indexes = (Index("account_id", "_id"), renumbering.CALLOUT_MARK_INDEX, HANG_UP_INDEX, RUN_INDEX, TO_TELL_INDEX)

    async def complete(self, scope: Scope, draft: Draft) -> None:
        """Read the plan; participations of a new callout say from the start whether their number is the contact's."""
        if draft.new:
            draft.document[CALLOUT_KNOWN] = True
        if "plan" in draft.given:
            try:
                draft.document["plan"] = await _read_plan(scope, draft.given["plan"])
                if draft.old is not None:
                    check_change(draft.old, draft.document["plan"])
                    check_narrower(scope, draft.old, draft.document["plan"])
            except FieldError as error:
                draft.errors.add("plan", *error.args, hint=error.hint)
            if draft.old is not None and RUN in draft.old and draft.document["plan"] != draft.old["plan"]:
                draft.document |= review_run(now())
        check_approved(scope, draft)
        draft.document |= written_by(scope, draft.document, draft.old)

    async def event_changes(self, scope: Scope, document: Document, event: str) -> Document:
        """A callout that was never started can be stopped only while there is something to stop."""
        if event == "stop" and document["status"] == MACHINE.initial:
            under_way = {"callout_id": document["_id"], "status": {"$in": list(UNDER_WAY)}}
            if not await scope.view.exists(CALLS, under_way):
                raise Invalid({"event": [NOT_AN_EVENT]})
        approval = await approval_changes(scope, document, event) if event in APPROVAL_MACHINE.events else {}
        if event in (SUBMIT, WITHDRAW, REJECT):
            return approval
        if event == "start" or (event == "resume" and not has_started(document) and started_at(document) is None):
            refuse_without_approval(scope, planned=document.get("plan") is not None)
        moment = now()
        first_start = {STARTED_AT: moment} if event in STARTING and started_at(document) is None else {}
        if document.get("plan") is None or event == "pause":
            return first_start
        if event == APPROVE:
            return {**approval, **first_start, **start_run(moment)}
        # What was stopped before it was ever started is started by its resume.
        if event != "stop" and not has_started(document):
            if blockers := await scope.plan_blockers(scope.view, document):
                raise Invalid({"plan": blockers})
            return {**first_start, **start_run(moment)}
        return {**first_start, **review_run(moment)}


async def with_plan(scope: Scope, callout: CalloutDocument, given: Document) -> Document:
    """CALLOUT with the plan that a client gives among its parameters, else with its own. Raises Invalid."""
    try:
        plan = await _read_plan(scope, given["plan"]) if "plan" in given else callout.get("plan")
        if plan is None:
            raise FieldError(BLANK, hint=hints.PLAN)
    except FieldError as error:
        raise Invalid({"plan": list(error.args)}, {"plan": error.hint} if error.hint else {}) from None
    return {**callout, "plan": plan}


async def _read_plan(scope: Scope, given: Any) -> Document | None:
    """A client's plan with its defaults; raises FieldError with all that is wrong with it."""
    plan = await read_plan(given, scope.rules.country, form=scope.form)
    follow_up = plan["audience"].get("follow_up") if plan else None
    if follow_up and not await scope.view.exists(CALLOUT_COLLECTION, {"_id": follow_up["callout_id"]}):
        raise FieldError(f"/audience/follow_up/callout_id: {MUST_EXIST}")
    return plan


CALLOUTS = Callouts()
