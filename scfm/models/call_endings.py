"""What is kept of how a call went, as its provider tells: who answered, for how long, and why it reached nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scfm.models.call_lifecycle import FINAL, CallStatus
from scfm.models.call_work import PERSON, REFUSAL
from scfm.models.plan import Plan
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.call_facts import CallFacts, call_facts, is_machine
from scfm.storage.query import Document

# The statuses of a call that did not take place.
DID_NOT_TAKE_PLACE = (CallStatus.FAILED, CallStatus.BUSY, CallStatus.NOT_ANSWERED, CallStatus.CANCELED)
# Those in which the provider may have refused the number.
MAY_BE_REFUSED = (CallStatus.FAILED, CallStatus.ERRORED)
# What is known of who answers as long as nobody can tell: it gives way to any other word.
UNKNOWN_ANSWERER = "unknown"


def ending_fields(facts: CallFacts, status: str | None) -> Document:
    """The fields that a call gets from FACTS that come with a STATUS; none while it goes on.

    Twilio gives a call that was not answered no duration, or 0 seconds: that is null.
    """
    fields: Document = {}
    if status in FINAL and facts.duration is not None and (facts.duration or status == CallStatus.COMPLETED):
        fields["duration"] = facts.duration
    if status in (*DID_NOT_TAKE_PLACE, CallStatus.ERRORED) and facts.error_code is not None:
        fields["error_code"] = facts.error_code
    if status in MAY_BE_REFUSED and facts.refusal is not None:
        fields[REFUSAL] = facts.refusal.value
    return fields


def answerer_fields(call: Mapping[str, Any], facts: CallFacts) -> Document:
    """``answered_by``, if FACTS tell more of it than the call knows."""
    known, told = call.get("answered_by"), facts.answered_by
    return {"answered_by": told} if told not in (None, known) and known in (None, UNKNOWN_ANSWERER) else {}


def answered_by_machine(call: Mapping[str, Any]) -> bool:
    """Whether a machine answered, and nobody has pressed a key since."""
    return is_machine(call.get("answered_by")) and not call.get(PERSON)


def ends_for_machine(call: Mapping[str, Any], callout: Mapping[str, Any] | None, told: Mapping[str, Any]) -> bool:
    """Whether a call is to be ended: a machine has answered, and its plan says so.

    TOLD is the form of a webhook, which may tell who answered before the call knows it.
    """
    plan = None if callout is None else Plan.of(callout)
    if plan is None or plan.answering_machine == "play":
        return False
    return answered_by_machine({**call, **answerer_fields(call, call_facts(told))})


def unreached_reason(call: PhoneCallDocument) -> str:
    """Why a call that has ended without being answered reached nobody: an ``outcome_reason`` of a participation.

    ``busy``, ``not_answered``, ``canceled``, ``failed`` or ``errored``, or in place of the last two
    ``invalid_number`` or ``forbidden``, if the provider has refused the number.
    """
    status = str(call["status"])
    return str(call.get(REFUSAL) or status) if status in MAY_BE_REFUSED else status
