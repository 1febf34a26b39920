"""What asking the provider about a phone call makes of it: transitions like those of ``call_lifecycle``.

A client asks by ``queue_remote_fetch``; the background asks by itself where no report comes, from ``_check`` on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scfm.clock import now
from scfm.models.call_endings import answerer_fields, ending_fields
from scfm.models.call_lifecycle import AT_PROVIDER, FINAL, CallStatus, Transition
from scfm.models.call_work import CHECK, DUE, ENDED_AT, EXISTS, FETCH_FROM, TRIES, WORK, same_call
from scfm.models.outcome import ATTEMPT_NUMBER, mark_of
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.answers import RemoteCall
from scfm.providers.call_facts import call_facts
from scfm.storage.query import Document

# From the word of the provider for the status of a call to ours; its other words change nothing (docs/api.md).
STATUS_BY_WORD: Mapping[str, CallStatus] = {
    "ringing": CallStatus.IN_PROGRESS,
    "in-progress": CallStatus.IN_PROGRESS,
    "busy": CallStatus.BUSY,
    "failed": CallStatus.FAILED,
    "canceled": CallStatus.CANCELED,
    "completed": CallStatus.COMPLETED,
    "no-answer": CallStatus.NOT_ANSWERED,
}
# By the status fetcher: what was queued to be asked about.


def requeue_remote_fetch(call: PhoneCallDocument) -> Transition:
    """The process that was to ask about a call did not finish: it is due again."""
    return Transition(_to_be_fetched(call), {"$set": {WORK: {"due": now()}}})


def record_fetch(call: PhoneCallDocument, response: RemoteCall) -> Transition:
    """The provider has answered: the call is what it says, else what it was before."""
    word = response.get("status")
    status = STATUS_BY_WORD.get(str(word), _before_fetch(call))
    change = {
        "status": status,
        "updated_at": now(),
        "remote_response": response,
        "remote_status": word,
        "remote_error_message": None,
        **_facts(call, response, status),
        **mark_of(call),
    }
    return Transition(_to_be_fetched(call), {"$set": change, "$unset": {WORK: "", FETCH_FROM: ""}})


def record_fetch_error(call: PhoneCallDocument, message: str) -> Transition:
    """The provider could not be asked: the call is what it was before."""
    change = {"status": _before_fetch(call), "updated_at": now(), "remote_error_message": message, **mark_of(call)}
    return Transition(_to_be_fetched(call), {"$set": change, "$unset": {WORK: "", FETCH_FROM: ""}})


def abandon_fetch(call: PhoneCallDocument, message: str) -> Transition:
    """Asking broke: the call is what it was before, and does not count as updated."""
    change = {"status": _before_fetch(call), "remote_error_message": message, **mark_of(call)}
    return Transition(_to_be_fetched(call), {"$set": change, "$unset": {WORK: "", FETCH_FROM: ""}})


def _to_be_fetched(call: PhoneCallDocument) -> Document:
    return {**same_call(call), "status": CallStatus.REMOTE_FETCH_QUEUED}


def _before_fetch(call: PhoneCallDocument) -> str:
    return str(call.get(FETCH_FROM, AT_PROVIDER[0]))


# By the status poller: calls about which nobody has told anything for a while. AGAIN is when to ask next, if ever.


def claim_check(call: PhoneCallDocument, moment: datetime, lease: datetime) -> Transition:
    """A call that was to be asked about by MOMENT is asked about by the process that has it until LEASE."""
    return Transition({**same_call(call), CHECK: {"$lte": moment}}, {"$set": {CHECK: lease}})


def schedule_check(call: PhoneCallDocument, again: datetime | None) -> Transition:
    """A claimed call need not be asked about now."""
    return Transition(_same_check(call), _checked(again))


def schedule_check_after_failure(call: PhoneCallDocument, again: datetime | None) -> Transition:
    """Asking about a call broke."""
    return Transition(same_call(call), _checked(again))


def postpone_check(call: PhoneCallDocument, lease: datetime) -> Transition:
    """A report came while a call was asked about, and knows better."""
    return Transition(_same_check(call), {"$set": {CHECK: lease}})


def record_check(call: PhoneCallDocument, change: Document, again: datetime | None) -> Transition:
    """The provider has answered, or could not: CHANGE, see ``checked``. Only while no report has moved the call."""
    update = _checked(again)
    moved = mark_of(call) if change.get("status", call["status"]) != call["status"] else {}
    update["$set"] = {**update.get("$set", {}), **change, "updated_at": now(), **moved}
    return Transition({**_same_check(call), "status": call["status"]}, update)


def checked(call: PhoneCallDocument, response: RemoteCall) -> Document:
    """What changes of a call as the provider's answer says."""
    word = str(response.get("status"))
    status = STATUS_BY_WORD.get(word, call["status"])
    return {
        "remote_response": response,
        "remote_status": word,
        "remote_error_message": None,
        "status": status,
        **_facts(call, response, status),
    }


def _facts(call: PhoneCallDocument, response: RemoteCall, status: str) -> Document:
    """What the provider's answer tells beside the status, and when the call was over."""
    facts = call_facts(response)
    ended = {ENDED_AT: now()} if status in FINAL else {}
    return {**answerer_fields(call, facts), **ending_fields(facts, status), **ended}


def _same_check(call: PhoneCallDocument) -> Document:
    return {**same_call(call), CHECK: call[CHECK]}


def _checked(again: datetime | None) -> Document:
    return {"$unset": {CHECK: ""}} if again is None else {"$set": {CHECK: again}}


# By the job that looks for calls whose reports were lost.


def check_silent(moment: datetime, of_plans: datetime, of_all: datetime, oldest: datetime) -> Transition:
    """Calls at the provider of which nothing was heard for long are asked about at MOMENT.

    Of those that plans have made nothing was heard since OF_PLANS, of others since OF_ALL. Those that left, or came,
    before OLDEST are not asked about any more.
    """
    silent = [{ATTEMPT_NUMBER: EXISTS, "updated_at": {"$lt": of_plans}}, {"updated_at": {"$lt": of_all}}]
    young = [{"remotely_queued_at": {"$gte": oldest}}, {"remotely_queued_at": None, "created_at": {"$gte": oldest}}]
    at_provider = {"status": {"$in": list(AT_PROVIDER)}, "remote_call_id": {"$ne": None}}
    return Transition(
        {**at_provider, CHECK: None, "$and": [{"$or": silent}, {"$or": young}]}, {"$set": {CHECK: moment}}
    )


# By clock repair: the wall clock was set back, so what was planned by it would wait for as long as it went. MOMENT
# is now, LATE is how far off a time may be that was planned by a clock like ours.


def bring_back_due(moment: datetime, late: datetime, too_far: datetime) -> Transition:
    """Calls are due at MOMENT that wait until after LATE, though nothing but a wait that they were told explains it.

    None waits longer than until TOO_FAR.
    """
    waiting = {"status": {"$in": [CallStatus.QUEUED, CallStatus.REMOTE_FETCH_QUEUED]}, DUE: {"$gt": late}}
    explained = [{TRIES: {"$in": [None, 0]}}, {"updated_at": {"$gt": late}}, {DUE: {"$gt": too_far}}]
    return Transition({**waiting, "$or": explained}, {"$set": {DUE: moment}})


def bring_back_check(moment: datetime, late: datetime, too_far: datetime) -> Transition:
    """Calls are asked about now whose time to ask is too far off."""
    explained = [{"updated_at": {"$gt": late}}, {CHECK: {"$gt": too_far}}]
    return Transition({CHECK: {"$gt": late}, "$or": explained}, {"$set": {CHECK: moment}})
