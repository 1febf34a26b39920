"""The life of a phone call: its statuses, every transition until it has left, and those that queue a remote fetch.

The status is the queue: a ``queued`` call waits to be sent, a ``remote_fetch_queued`` one to be asked about. What the
background does with a call meanwhile is in ``_work`` (``CallWork``), which is never shown::

    created -> queued: waiting -> claimed -> remotely_queued -> in_progress -> a final status
                       held       unknown

A transition is a function that reads the call, the clock, and for what is queued the id of the request that had it
queued (``log_context``), and nothing else. It gives the condition under which the
call may be changed, as MongoDB compares it at that moment, and the update. What cancels a call before it leaves is in
``call_cancellations``; what the provider's answers and reports make of one in ``call_placement``, ``call_checks`` and
``call_reports``. docs/architecture.md draws all of it ("The life of a phone call").
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from scfm.clock import later, now
from scfm.models.call_work import (
    ATTEMPT,
    ATTEMPT_ID,
    ATTEMPT_LOG,
    DUE,
    EXISTS,
    FETCH_FROM,
    HELD,
    LEASE,
    WORK,
    Attempt,
    same_call,
    tries_of,
)
from scfm.models.outcome import MARK, mark_of, new_mark
from scfm.models.state_machine import StateMachine
from scfm.models.stored_documents import PhoneCallDocument
from scfm.runtime import log_context
from scfm.storage.query import Document


class CallStatus(StrEnum):
    """The statuses, in the order in which the API's document lists them."""

    CREATED = "created"
    QUEUED = "queued"
    REMOTELY_QUEUED = "remotely_queued"
    ERRORED = "errored"
    REMOTE_FETCH_QUEUED = "remote_fetch_queued"
    FAILED = "failed"
    IN_PROGRESS = "in_progress"
    BUSY = "busy"
    NOT_ANSWERED = "not_answered"
    CANCELED = "canceled"
    COMPLETED = "completed"


CALL_STATUSES = tuple(status.value for status in CallStatus)
# The provider has it, and may still report another status.
AT_PROVIDER = (CallStatus.REMOTELY_QUEUED, CallStatus.IN_PROGRESS)
# Waiting to be sent, at the provider, or going on.
UNDER_WAY = (
    CallStatus.QUEUED,
    CallStatus.REMOTELY_QUEUED,
    CallStatus.REMOTE_FETCH_QUEUED,
    CallStatus.IN_PROGRESS,
)
# What has become of a call that the provider has taken.
TAKEN_BY_PROVIDER = tuple(
    status for status in CallStatus if status not in (CallStatus.CREATED, CallStatus.QUEUED, CallStatus.ERRORED)
)
FINAL = (
    CallStatus.ERRORED,
    CallStatus.FAILED,
    CallStatus.BUSY,
    CallStatus.NOT_ANSWERED,
    CallStatus.CANCELED,
    CallStatus.COMPLETED,
)

# What a client may do by an event.
CALL_MACHINE = StateMachine(
    CallStatus.CREATED,
    {
        "queue": {CallStatus.CREATED: CallStatus.QUEUED},
        "queue_remote_fetch": dict.fromkeys(AT_PROVIDER, CallStatus.REMOTE_FETCH_QUEUED),
        # That it is to end is noted whatever its status is, and then carried out: see call_hang_up.
        "cancel": {status: status for status in (CallStatus.CREATED, *UNDER_WAY)},
    },
)


class Transition(NamedTuple):
    """A MongoDB condition on the call, or calls, and the update of what fits it."""

    condition: Document
    update: Document


# Conditions that several transitions share, or by which calls are looked for.


def claimed(call: PhoneCallDocument) -> Document:
    """The call, if it is still queued, and claimed by the attempt that it was read with."""
    return {
        "account_id": call["account_id"],
        "_id": call["_id"],
        "status": CallStatus.QUEUED,
        ATTEMPT_ID: call[WORK]["attempt"]["id"],
    }


def leased(call: PhoneCallDocument) -> Document:
    """The call, if it is still had under the lease that it was read with."""
    return {**same_call(call), LEASE: call[WORK]["lease"]}


def due(status: str, moment: datetime) -> Document:
    """The calls of a status that may be claimed at MOMENT."""
    return {"status": status, DUE: {"$lte": moment}}


def expired(moment: datetime) -> Document:
    """The calls that somebody had until MOMENT, and did not finish."""
    return {LEASE: {"$lt": moment}}


def claimed_under(log_id: str) -> Document:
    """The calls that the process with this send journal has, or had."""
    return {LEASE: EXISTS, ATTEMPT_LOG: log_id}


# By a client's event, or by a batch operation for many.


def queue(call: PhoneCallDocument, place: Document) -> Transition:
    """A new call is to be sent; PLACE is where it waits: see ``queue_place``."""
    change = {"status": CallStatus.QUEUED, WORK: {"due": now()}, **place, "updated_at": now(), **mark_of(call)}
    return Transition({**same_call(call), "status": CallStatus.CREATED}, {"$set": change})


def queued_fields(place: Document) -> Document:
    """The fields of a call that is to be sent as soon as it is created; see ``queue``."""
    return {"status": CallStatus.QUEUED, WORK: {"due": now()}, **place, **log_context.stored()}


def queue_many(call_ids: list[int], operation_id: int, place: Document) -> Transition:
    """Those of the calls with these ids that are new are to be sent, says a batch operation; see ``queue``."""
    change = {
        "status": CallStatus.QUEUED,
        "queue_batch_operation_id": operation_id,
        "updated_at": now(),
        WORK: {"due": now()},
        **place,
        **log_context.stored(),
        MARK: new_mark(),
    }
    return Transition({"_id": {"$in": call_ids}, "status": CallStatus.CREATED}, {"$set": change})


def queue_remote_fetch(call: PhoneCallDocument) -> Transition:
    """The provider is to be asked about a call that it has."""
    change = {
        "status": CallStatus.REMOTE_FETCH_QUEUED,
        FETCH_FROM: call["status"],
        WORK: {"due": now()},
        "updated_at": now(),
        **mark_of(call),
    }
    return Transition({**same_call(call), "status": call["status"]}, {"$set": change})


def queue_remote_fetch_many(call_ids: list[int], operation_id: int) -> list[Transition]:
    """The provider is to be asked about those of the calls that it has: one transition for each status."""
    change = {
        "status": CallStatus.REMOTE_FETCH_QUEUED,
        "queue_remote_fetch_batch_operation_id": operation_id,
        "updated_at": now(),
        WORK: {"due": now()},
        **log_context.stored(),
        MARK: new_mark(),
    }
    return [
        Transition(
            {"_id": {"$in": call_ids}, "status": status, "remote_call_id": {"$ne": None}},
            {"$set": {**change, FETCH_FROM: status}},
        )
        for status in AT_PROVIDER
    ]


# By the jobs that take calls that wait: see workers/claims.


def claim(call_ids: list[int], status: str, moment: datetime, lease: datetime, attempt: Attempt | None) -> Transition:
    """The calls that are due at MOMENT are somebody's until LEASE; ATTEMPT is that of calls about to be sent."""
    change: dict[str, Any] = {LEASE: lease} | ({ATTEMPT: attempt} if attempt else {})
    return Transition({"_id": {"$in": call_ids}, **due(status, moment)}, {"$set": change, "$unset": {DUE: ""}})


def claimed_by(call_ids: list[int], status: str, lease: datetime, attempt: Attempt | None) -> Document:
    """Those of the calls that ``claim`` took, and not another process."""
    by = {LEASE: lease} | ({ATTEMPT_ID: attempt["id"]} if attempt else {})
    return {"_id": {"$in": call_ids}, "status": status, **by}


# By the callout: a call is held back while it is paused.


def hold(call: PhoneCallDocument) -> Transition:
    """A claimed call does not leave while its callout is paused."""
    return Transition(claimed(call), {"$set": {WORK: {"held": True}}})


def hold_callout(account_id: int, callout_id: int) -> Transition:
    """All calls of a callout that wait are held back."""
    waiting = {"account_id": account_id, "callout_id": callout_id, "status": CallStatus.QUEUED, DUE: EXISTS}
    return Transition(waiting, {"$set": {WORK: {"held": True}}})


def release_callout(account_id: int, callout_id: int) -> Transition:
    """All calls of a callout that were held back wait again."""
    held = {"account_id": account_id, HELD: True, "callout_id": callout_id, "status": CallStatus.QUEUED}
    return Transition(held, {"$set": {WORK: {"due": now()}}})


# By a change of its contact's number: see renumbering.


def renumber(call: PhoneCallDocument, msisdn: str) -> Transition:
    """A claimed call waits again, with its contact's new number."""
    change = {"msisdn": msisdn, "updated_at": now(), WORK: {"due": now(), "tries": tries_of(call)}}
    return Transition(claimed(call), {"$set": change})


def unclaimed(condition: Document) -> Document:
    """Those calls of a condition that have not left, and that nobody has."""
    return {**condition, "status": {"$in": [CallStatus.CREATED, CallStatus.QUEUED]}, LEASE: None}


def renumber_many(condition: Document, call_ids: list[int], msisdn: str) -> Transition:
    """``renumber`` for those of the calls that are unclaimed, and fit a condition."""
    update = {"$set": {"msisdn": msisdn, "updated_at": now()}, "$inc": {"_version": 1}}
    return Transition({**unclaimed(condition), "_id": {"$in": call_ids}}, update)


# By the dispatcher, of a call that has not left.


def requeue(call: PhoneCallDocument, delay: float, tries: int, change: Document | None = None) -> Transition:
    """A claimed call that provably did not leave, or that the provider did not take, is due again in DELAY seconds.

    CHANGE is what is shown of why.
    """
    work = {"due": later(delay), "tries": tries}
    return Transition(claimed(call), {"$set": {**(change or {}), WORK: work, "updated_at": now()}})


def requeue_unheard(attempt_id: str) -> Transition:
    """The calls wait again that the database gave to an attempt whose process did not hear of it."""
    mine = {"status": CallStatus.QUEUED, LEASE: EXISTS, ATTEMPT_ID: attempt_id}
    return Transition(mine, {"$set": {WORK: {"due": now()}}})


# By what keeps an account's calls back.


def explain_waiting(account_id: int, change: Document) -> Transition:
    """All calls of an account that wait, and do not say why yet, show it: CHANGE."""
    waiting = {"account_id": account_id, "status": CallStatus.QUEUED, DUE: EXISTS, "remote_error_message": None}
    return Transition(waiting, {"$set": {**change, "updated_at": now()}})


def try_now(account_id: int) -> Transition:
    """All calls of an account that were put off are due: its credentials are others."""
    put_off = {"account_id": account_id, "status": CallStatus.QUEUED, DUE: {"$gt": now()}}
    return Transition(put_off, {"$set": {DUE: now()}})
