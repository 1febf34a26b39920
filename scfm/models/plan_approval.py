"""Approval: where an account wants it (``approval_required``), an approver starts plans that others have written.

What is submitted is kept as a digest of the plan, the metadata, the call flow's newest version and the audio files
that the metadata name. It is made anew when the plan is approved, and compared in the write that starts it; from then
on the calls of the callout stay on that version, and what was approved cannot be changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from scfm.clock import iso, now
from scfm.errors import Forbidden, Invalid
from scfm.models import hints
from scfm.models.audio_use import AUDIO_COLLECTION
from scfm.models.call_flow_version import VERSION_COLLECTION, VERSIONS
from scfm.models.callout_status import COMPLETED, MACHINE
from scfm.models.draft import Draft
from scfm.models.fields import BLANK, Field, FieldError
from scfm.models.flow_names import FLOW_COLLECTION, NAMING_FIELD, PUBLISHED
from scfm.models.plan import Plan
from scfm.models.scope import Scope
from scfm.models.state_machine import NOT_AN_EVENT, StateMachine
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.twiml.message import message_audio

NONE, SUBMITTED, APPROVED, REJECTED = "none", "submitted", "approved", "rejected"
SUBMIT, WITHDRAW, APPROVE, REJECT = "submit", "withdraw", "approve", "reject"
# Where an approval stands; NONE is shown as null.
APPROVAL_MACHINE = StateMachine(
    NONE,
    {
        SUBMIT: {NONE: SUBMITTED, SUBMITTED: SUBMITTED, REJECTED: SUBMITTED},
        WITHDRAW: {SUBMITTED: NONE},
        APPROVE: {SUBMITTED: APPROVED},
        REJECT: {SUBMITTED: REJECTED},
    },
)
APPROVAL: Final = "approval"
# Hidden, of a callout: the names of all who have written what is approved; the one who submitted it.
WRITERS, SUBMITTER = "_writers", "_submitter"
# Hidden: what was approved of the flow, ``{flow, version}``, the latter None for a flow in Python.
PINNED: Final = "_approved"
# What an approval is of.
COVERED = ("plan", NAMING_FIELD, "metadata")
MAX_WRITERS = 100

NOT_BY_ITSELF = "approval is required: submit the plan, and another person approves it"
NOT_WITHOUT_PLAN = "approval is required: only calls of a plan that was approved may leave"
OWN_PLAN = "a plan is approved by somebody who has neither written nor submitted it"
NOT_AS_SUBMITTED = "is not what was submitted any more"
SUBMIT_AGAIN = "submit it again, and look at it before it is approved"
IS_APPROVED = "cannot be changed any more: approval is required"
WIDER = "of an approved plan only what narrows it can be changed: stop it, and submit a follow-up"


@dataclass(frozen=True)
class ApprovalField(Field):
    """Who has submitted the plan, and who has decided; null where nobody has submitted it."""

    schema = {
        "type": ["object", "null"],
        "properties": {
            "status": {"enum": [SUBMITTED, APPROVED, REJECTED]},
            "submitted_by": {"type": "string", "examples": ["alice@example.org", "access token 3"]},
            "submitted_at": {"type": "string", "format": "date-time"},
            "decided_by": {"type": ["string", "null"]},
            "decided_at": {"type": ["string", "null"], "format": "date-time"},
            "digest": {"type": "string", "description": "Of what was submitted (SHA-256)."},
        },
    }

    def show(self, document: Document) -> Any:
        approval = document.get(self.name)
        if approval is None:
            return None
        times = {name: iso(approval[name]) for name in ("submitted_at", "decided_at")}
        return {**approval, **times}


def written_by(scope: Scope, document: Document, old: Document | None) -> Document:
    """By field, what DOCUMENT keeps of who has written it; OLD is how it was, None for a new one."""
    if old is not None and all(document.get(name) == old.get(name) for name in COVERED):
        return {}
    writers = [name for name in (old or {}).get(WRITERS, ()) if name != scope.client.name]
    return {WRITERS: [*writers, scope.client.name][-MAX_WRITERS:]}


def refuse_without_approval(scope: Scope, *, planned: bool = False) -> None:
    """Raise Forbidden where what is asked for would make calls leave that nobody has approved."""
    if scope.client.approval_required:
        raise Forbidden(NOT_BY_ITSELF if planned else NOT_WITHOUT_PLAN)


async def approval_changes(scope: Scope, callout: Document, event: str) -> Document:
    """By field, what an EVENT of APPROVAL_MACHINE changes in a callout. Raises Invalid, Forbidden."""
    if not scope.client.approval_required:
        raise Invalid({"event": [NOT_AN_EVENT]})
    approval = callout.get(APPROVAL)
    status = APPROVAL_MACHINE.target(event, NONE if approval is None else approval["status"])
    who = scope.client.email or scope.client.name
    if event == WITHDRAW:
        return {APPROVAL: None, SUBMITTER: None}
    if event == REJECT:
        return {APPROVAL: {**(approval or {}), "status": status, "decided_by": who, "decided_at": now()}}
    if callout.get("plan") is None:
        raise Invalid({"plan": [BLANK]}, {"plan": hints.PLAN})
    if blockers := await scope.plan_blockers(scope.view, callout):
        raise Invalid({"plan": blockers})
    pinned, digest = await _covered(scope.view, callout)
    if event == SUBMIT:
        asked = {"submitted_by": who, "submitted_at": now(), "decided_by": None, "decided_at": None}
        return {APPROVAL: {"status": status, **asked, "digest": digest}, SUBMITTER: scope.client.name}
    if scope.client.name in (callout.get(SUBMITTER), *callout.get(WRITERS, ())):
        raise Forbidden(OWN_PLAN)
    assert approval is not None
    if approval["digest"] != digest:
        raise Invalid({"plan": [NOT_AS_SUBMITTED]}, {"plan": SUBMIT_AGAIN})
    return {APPROVAL: {**approval, "status": status, "decided_by": who, "decided_at": now()}, PINNED: pinned}


def same_approval(callout: Document) -> Document:
    """The condition that the approval is as it was read: what was submitted, and that nobody has decided."""
    approval = callout.get(APPROVAL)
    if approval is None:
        return {APPROVAL: None}
    return {f"{APPROVAL}.{name}": approval[name] for name in ("status", "digest")}


async def _covered(view: TenantView, callout: Document) -> tuple[Document, str]:
    """What the callout's calls are to stay on, for PINNED, and the digest of all that is approved."""
    name = callout[NAMING_FIELD]
    version = await _newest_version(view, name) if name else {}
    named = sorted(message_audio(callout["metadata"]))
    among: Document = {"name": {"$in": named}}
    found = await view.find(AUDIO_COLLECTION, among, fields=["name", "sha256"], sort=()) if named else []
    covered = {
        **{field: callout.get(field) for field in COVERED},
        "version": version,
        "audio": {one["name"]: one["sha256"] for one in found},
    }
    digest = hashlib.sha256(orjson.dumps(covered, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return {"flow": name, "version": version.get("version")}, digest


async def _newest_version(view: TenantView, name: str) -> Document:
    """The number and the id of the newest version of the flow NAME, and the audio files that it plays by their paths.

    Nothing for a flow that is not stored: a registered one.
    """
    flows = await view.find(FLOW_COLLECTION, {"name": name, "status": PUBLISHED}, fields=[VERSIONS], sort=(), limit=1)
    if not flows:
        return {}
    newest = max(flows[0][VERSIONS], key=lambda one: int(one["version"]))
    stored = await view.find_one(VERSION_COLLECTION, {"_id": newest["document"]})
    return {**newest, "audio": (stored or {}).get("audio", {})}


# What was approved stays as it is.


def pinned_flow(callout: Mapping[str, Any] | None) -> tuple[str | None, int | None] | None:
    """The flow that was approved for a callout, and its version, None for one in Python; None where none was."""
    pinned = (callout or {}).get(PINNED)
    return None if pinned is None else (pinned["flow"], pinned["version"])


def flow_heard(callout: Mapping[str, Any] | None, *nearest: Mapping[str, Any] | None) -> str | None:
    """The name of the flow of a callout's call: that which was approved, else the first that one of NEAREST names."""
    pinned = pinned_flow(callout)
    if pinned is not None:
        return pinned[0]
    return next((str(one[NAMING_FIELD]) for one in nearest if one and one[NAMING_FIELD]), None)


def check_approved(scope: Scope, draft: Draft) -> None:
    """Add to the draft's errors what of an approved callout may not be changed, beside its plan."""
    old = draft.old
    if old is None or not _is_fixed(scope, old):
        return
    for name in (NAMING_FIELD, "metadata"):
        if draft.document.get(name) != old.get(name):
            draft.errors.add(name, IS_APPROVED, hint=WIDER)


def _is_fixed(scope: Scope, callout: Document) -> bool:
    """Whether a callout that is started, and not completed, was approved, or its account requires approval now."""
    if callout["status"] in (MACHINE.initial, COMPLETED):
        return False
    return PINNED in callout or scope.client.approval_required


def check_waiting_call(scope: Scope, draft: Draft) -> None:
    """Add to the draft's errors what may not be changed where approval is required: number, flow and parameters.

    They are fixed once a call was queued. That of a recording (without a callout) may always be queued, so there they
    are fixed from the start.
    """
    old = draft.old
    if not scope.client.approval_required or old is None:
        return
    if old["callout_id"] is not None and old["status"] == "created":  # while its ``queue`` is refused
        return
    for name in ("msisdn", NAMING_FIELD, "remote_request_params"):
        if draft.document.get(name) != old.get(name):
            draft.errors.add(name, IS_APPROVED)


def check_narrower(scope: Scope, old: Document, plan: Document | None) -> None:
    """Raise FieldError where PLAN, to which the plan of an approved callout is changed, reaches further than that."""
    own = old.get("plan")
    if plan is None or own is None or not _is_fixed(scope, old):
        return
    wider = [f"/{name}: {IS_APPROVED}" for name in _WIDER if _WIDER[name](own, plan)]
    if wider:
        raise FieldError(*wider, hint=WIDER)


def _calls_more(own: Document, plan: Document) -> bool:
    before, after = own["retry"], plan["retry"]
    longest = max(len(before["delays"]), len(after["delays"]))
    earlier = any(_at(after["delays"], index) < _at(before["delays"], index) for index in range(longest))
    return after["max_attempts"] > before["max_attempts"] or not {*after["on"]} <= {*before["on"]} or earlier


def _at(delays: list[int], index: int) -> int:
    """A delay, of which the last one repeats."""
    return delays[min(index, len(delays) - 1)]


def _ends_later(own: Document, plan: Document) -> bool:
    before, after = Plan.of({"plan": own}), Plan.of({"plan": plan})
    assert before is not None and after is not None
    if before.not_after is None:
        return False
    return after.not_after is None or after.not_after > before.not_after


# By the name of what may be changed of a plan that runs, whether it reaches further: of a window nobody can tell.
_WIDER = {
    "retry": _calls_more,
    "window": lambda own, plan: plan["window"] != own["window"],
    "not_after": _ends_later,
}
