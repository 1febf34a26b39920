"""Where the provider's reports move a call: never backwards, in whatever order they come."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scfm.clock import now
from scfm.models.call_checks import STATUS_BY_WORD
from scfm.models.call_endings import (
    DID_NOT_TAKE_PLACE,
    UNKNOWN_ANSWERER,
    answerer_fields,
    ending_fields,
)
from scfm.models.call_lifecycle import FINAL, UNDER_WAY, CallStatus, Transition
from scfm.models.call_work import ATTEMPT, DUE, ENDED_AT, EXISTS, FETCH_FROM, LEASE, PERSON, SEQUENCE, same_call
from scfm.models.outcome import mark_of
from scfm.providers.call_facts import CallFacts, call_facts
from scfm.providers.errors import FETCH_FAILED
from scfm.storage.query import Document

MAX_REPORTED_REASON = 1000
# The provider's words for a call that goes on, in the order in which they come; any other says that it is over.
GOING_ON = ("queued", "initiated", "ringing", "in-progress")
_SEQUENCE_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)
# ``Digits`` of a Gather or a Record; ``hangup`` of a Record is no key.
_KEYS = re.compile(r"[0-9*#A-D]+\Z", re.ASCII)


@dataclass(frozen=True)
class ReportedStatus:
    """What a report says of its call's status, and beside it.

    ``word`` is the form field ``CallStatus``, '' if absent, ``status`` our status for it, None where the word changes
    nothing; ``sequence`` is the form field ``SequenceNumber``, ``reason`` why the call did not take place.
    ``fields``: all that as the call's fields. ``ending``: the fields that tell how the call ended. ``facts``: what is
    told beside the status. ``key_pressed``: whether somebody has pressed a key.
    """

    word: str
    status: CallStatus | None
    sequence: int | None
    reason: str | None
    fields: Document
    ending: Document
    facts: CallFacts
    key_pressed: bool


def reported_status(details: Mapping[str, str]) -> ReportedStatus:
    """What a report with these DETAILS, as the provider sent them, says of its call's status."""
    word, written = details.get("CallStatus", ""), details.get("SequenceNumber", "")
    status = STATUS_BY_WORD.get(word)
    sequence = int(written) if _SEQUENCE_NUMBER.match(written) else None
    reason = _why_failed(details) if status in DID_NOT_TAKE_PLACE else None
    fields: Document = {"remote_status": word} if word else {}
    if word and sequence is not None:
        fields[SEQUENCE] = sequence
    if status is not None:
        fields["status"] = str(status)
    if reason is not None:
        fields["remote_error_message"] = reason
    facts = call_facts(details)
    key_pressed = _KEYS.match(details.get("Digits", "")) is not None
    return ReportedStatus(word, status, sequence, reason, fields, ending_fields(facts, status), facts, key_pressed)


def _why_failed(details: Mapping[str, str]) -> str | None:
    """Why a call failed, as its report tells: ``32005: Some words (SIP 503)``, or what there is of it; else None."""
    words = [details[name].strip() for name in ("ErrorCode", "ErrorMessage") if details.get(name, "").strip(" 0")]
    told, sip = ": ".join(words), details.get("SipResponseCode", "").strip()
    if sip:
        told = f"{told} (SIP {sip})" if told else f"SIP {sip}"
    return told[:MAX_REPORTED_REASON] or None


def being_placed(msisdns: Sequence[str]) -> Document:
    """The calls to any of MSISDNS whose request may have left, and of which the provider's id is not known yet."""
    return {
        "status": CallStatus.QUEUED,
        LEASE: EXISTS,
        ATTEMPT: EXISTS,
        "msisdn": {"$in": list(msisdns)},
        "remote_call_id": None,
    }


def match_attempt(call: Mapping[str, Any], msisdns: Sequence[str], sid: str, direction: str) -> Transition:
    """A report that came before the answer to its call's request names that call: SID and DIRECTION are known now."""
    condition = {**same_call(call), **being_placed(msisdns)}
    return Transition(condition, {"$set": {"remote_call_id": sid, "remote_direction": direction}})


def report(call: Mapping[str, Any], reported: ReportedStatus) -> Transition | None:
    """Move the call to what was reported, never backwards; None where the report says nothing new.

    While the call goes on, a report is passed over if its word comes before the one that is known, or if its
    ``SequenceNumber`` is not higher. A call that has ended stays as it ended, unless a report of a later number says
    that it ended otherwise. Why it failed, and how long it took, is kept even if that it ended so is known.
    """
    word, target, sequence, reason = reported.word, reported.status, reported.sequence, reported.reason
    if not word:
        return None
    counted = sequence is None or sequence <= call.get(SEQUENCE, -1)
    known = counted and call["remote_status"] == word and (target is None or call["status"] == target)
    ending = _new_of_ending(call, reported)
    if known and reason in (None, call["remote_error_message"]) and not ending:
        return None
    fields = {**reported.fields, **ending, "updated_at": now()}
    # A report with a lower number may still tell why.
    latest = {"$max": {SEQUENCE: fields.pop(SEQUENCE)}} if sequence is not None else {}
    if call["status"] == CallStatus.QUEUED and target is not None:
        fields.setdefault("remote_error_message", None)  # it said that it is not known whether the call was placed
    if target in FINAL and str(call["remote_error_message"]).startswith(FETCH_FAILED):
        fields.setdefault("remote_error_message", None)  # it was asked about in vain, which matters no more
    if target is not None:
        fields |= mark_of(call)
        if target in FINAL and call["status"] not in FINAL:
            fields[ENDED_AT] = fields["updated_at"]
    update: Document = {"$set": fields, **latest}
    if target is not None and call["status"] in UNDER_WAY:
        # The process that is placing the call, or settles it, still has it: the answer may come after the report.
        update["$unset"] = {DUE: "", FETCH_FROM: ""}
    allowed: list[Document] = [{"status": {"$in": list(UNDER_WAY)}, **_in_order(word, sequence)}]
    if target in FINAL and sequence is not None:
        allowed.append({"status": {"$in": list(FINAL)}, SEQUENCE: {"$lt": sequence}})
    if reason is not None or ending:
        allowed.append({"status": target})
    return Transition({**same_call(call), "$or": allowed}, update)


def _new_of_ending(call: Mapping[str, Any], reported: ReportedStatus) -> Document:
    """Of how the call ended, what it does not know yet; all of it if it has not ended so."""
    if call["status"] != reported.status:
        return reported.ending
    return {name: value for name, value in reported.ending.items() if call.get(name) is None}


def learn(call: Mapping[str, Any], reported: ReportedStatus) -> Transition | None:
    """Keep who has answered, and that a person has, whatever the call's status is, and whenever that is told.

    None where the report tells nothing new of that. A machine stays a machine; ``unknown`` gives way.
    """
    told = answerer_fields(call, reported.facts)
    condition = {"answered_by": {"$in": [None, UNKNOWN_ANSWERER]}} if told else {}
    if reported.key_pressed and not call.get(PERSON):
        told, condition = {**told, PERSON: True}, {}
    if not told:
        return None
    return Transition({**same_call(call), **condition}, {"$set": {**told, "updated_at": now(), **mark_of(call)}})


def _in_order(word: str, sequence: int | None) -> Document:
    """The condition that nothing later than this report has been said of a call that goes on."""
    rank = GOING_ON.index(word) if word in GOING_ON else len(GOING_ON)
    # Also of a report with a number: what came without one, Twilio's request for TwiML above all, may be later.
    no_later: Document = {"remote_status": {"$nin": list(GOING_ON[rank + 1 :])}}
    if sequence is None:
        return no_later
    return {**no_later, "$or": [{SEQUENCE: {"$lt": sequence}}, {SEQUENCE: None}]}
