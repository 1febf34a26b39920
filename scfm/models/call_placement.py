"""How the placement of a phone call, the request to ring, ends: transitions like those of ``call_lifecycle``.

They go by the provider's answer. One that never came leaves the call unknown: it is still ``queued`` and has a lease,
and is settled by asking the provider. A report may come before the answer to the request: then the answer adds what
it knows, and no more.
"""

from __future__ import annotations

from datetime import datetime

from scfm.clock import later, now
from scfm.models.call_endings import ending_fields
from scfm.models.call_lifecycle import CallStatus, Transition, claimed, claimed_under, leased
from scfm.models.call_work import (
    ASKED,
    ATTEMPT,
    ATTEMPT_LOG,
    CHECK,
    ENDED_AT,
    EXISTS,
    FAILURES,
    LEASE,
    MAY_HAVE_RUNG_FIELD,
    REASON,
    SETTLING,
    WORK,
    same_call,
    work_of,
)
from scfm.models.outcome import mark_of
from scfm.models.stored_documents import PhoneCallDocument
from scfm.providers.answers import RemoteCall
from scfm.providers.call_facts import call_facts
from scfm.storage.query import Document

UNKNOWN = "It is not known whether this call was placed; the provider is being asked. "

# The status of a claimed call whose report came before the answer to its request.
MOVED_ON: Document = {"$ne": CallStatus.QUEUED}

# By the dispatcher and the reconciler: the answer to the request that places a call. Where two transitions are given,
# the second is of a call that a report has moved on before.


def accept(call: PhoneCallDocument, response: RemoteCall, check: datetime | None) -> tuple[Transition, Transition]:
    """The provider has taken a claimed call: RESPONSE. CHECK is when to ask how it ended, if nobody has told."""
    moment = now()
    answer = {
        "remote_call_id": response["sid"],
        "remote_direction": response.get("direction"),
        "remote_queue_response": response,
        "remotely_queued_at": moment,
        "updated_at": moment,
        **mark_of(call),
    }
    if check is not None:
        answer[CHECK] = check
    placed = {
        **answer,
        "status": CallStatus.REMOTELY_QUEUED,
        "remote_status": response.get("status"),
        "remote_error_message": None,
    }
    mine = claimed(call)
    return (
        Transition(mine, {"$set": placed, "$unset": {WORK: ""}}),
        Transition({**mine, "status": MOVED_ON}, {"$set": answer, "$unset": {WORK: ""}}),
    )


def reject(call: PhoneCallDocument, message: str, error_code: int | None = None) -> Transition:
    """The provider will not place a claimed call, for ERROR_CODE if it gave one, or it is given up."""
    refused = {} if error_code is None else ending_fields(call_facts({"error_code": error_code}), CallStatus.ERRORED)
    return Transition(claimed(call), _errored(call, message, refused))


def give_up_unanswered(call: PhoneCallDocument, message: str) -> Transition:
    """A claimed call may have rung, and the provider could not be asked for long enough."""
    return Transition(claimed(call), _errored(call, message, {MAY_HAVE_RUNG_FIELD: True}))


def mark_unknown(
    call: PhoneCallDocument, reason: str, lease: datetime, check: datetime | None
) -> tuple[Transition, Transition]:
    """It is not known whether a claimed call has left; the provider is asked from LEASE on."""
    change = {
        "remote_error_message": UNKNOWN + reason,
        LEASE: lease,
        REASON: reason,
        "updated_at": now(),
    }
    mine = claimed(call)
    return Transition(mine, {"$set": change}), Transition({**mine, "status": MOVED_ON}, _placed(call, check))


def _errored(call: PhoneCallDocument, message: str, why: Document | None = None) -> Document:
    """The update of a call that is not placed, or given up; WHY are the fields that tell more."""
    moment = now()
    change = {
        "status": CallStatus.ERRORED,
        "remote_error_message": message,
        "remotely_queued_at": moment,
        "updated_at": moment,
        ENDED_AT: moment,
        **(why or {}),
        **mark_of(call),
    }
    return {"$set": change, "$unset": {WORK: ""}}


def _placed(call: PhoneCallDocument, check: datetime | None) -> Document:
    """The update of a call that a report has shown to be placed, and whose answer will not come any more."""
    change = {"remotely_queued_at": work_of(call)["attempt"]["at"], "updated_at": now(), **mark_of(call)}
    if check is not None:
        change[CHECK] = check
    return {"$set": change, "$unset": {WORK: ""}}


# By the reconciler, of calls that somebody had and did not finish.


def take_over(call: PhoneCallDocument, log_id: str, *, may_have_left: bool, grace: float) -> Transition:
    """A call of a dead process, whose send journal is LOG_ID: waits again, or is settled after GRACE seconds."""
    if call["status"] != CallStatus.QUEUED:
        change: Document = {ATTEMPT_LOG: None, LEASE: now()}
    elif may_have_left:
        # The provider, too, may need a moment until it lists what it got just then.
        change = {ATTEMPT_LOG: None, LEASE: later(grace)}
    else:
        change = {WORK: {"due": now()}}
    # Another process may be at it, too, or a report.
    same = {**claimed_under(log_id), **same_call(call), "status": call["status"]}
    return Transition(same, {"$set": change})


def claim_expired(call: PhoneCallDocument, moment: datetime, lease: datetime) -> Transition:
    """A call whose lease had run out at MOMENT is settled by the process that has it until LEASE."""
    return Transition({**same_call(call), LEASE: {"$lt": moment}}, {"$set": {LEASE: lease, SETTLING: True}})


def requeue_unsent(call: PhoneCallDocument) -> Transition:
    """A claimed call that provably never left waits again."""
    return Transition(claimed(call), {"$set": {WORK: {"due": now()}}})


def settle_later(call: PhoneCallDocument, lease: datetime) -> Transition:
    """Nothing can be told of a claimed call yet: look again from LEASE on."""
    return Transition(claimed(call), {"$set": {LEASE: lease}})


def mark_unlisted(call: PhoneCallDocument, reason: str, lease: datetime) -> Transition:
    """The provider does not list an unknown call; it is asked once more from LEASE on."""
    change = {
        ASKED: work_of(call).get("asked", 0) + 1,
        LEASE: lease,
        "remote_error_message": UNKNOWN + reason,
        "updated_at": now(),
    }
    return Transition(claimed(call), {"$set": change})


def reject_unlisted(call: PhoneCallDocument, message: str) -> Transition:
    """The provider has no such call, and no report has named one meanwhile."""
    return Transition({**claimed(call), "remote_call_id": None}, _errored(call, message))


def mark_unanswered(call: PhoneCallDocument, message: str, lease: datetime) -> Transition:
    """The provider could not be asked about an unknown call; it is asked from LEASE on."""
    change = {LEASE: lease, "remote_error_message": UNKNOWN + message, "updated_at": now()}
    return Transition(claimed(call), {"$set": change})


def settle_again(call: PhoneCallDocument, failures: int, lease: datetime) -> Transition:
    """Settling a call broke for the FAILURES-th time: look again from LEASE on."""
    return Transition(leased(call), {"$set": {FAILURES: failures, LEASE: lease}})


def give_up_settling(call: PhoneCallDocument, message: str) -> Transition:
    """Settling a call broke too often: its owner sees why. It may have rung."""
    update = _errored(call, message, {MAY_HAVE_RUNG_FIELD: True})
    return Transition({**leased(call), "status": CallStatus.QUEUED}, update)


def finish(call: PhoneCallDocument, check: datetime | None) -> Transition:
    """A report has moved a call on while it was under way, and nobody has heard the answer to its request."""
    update = _placed(call, check) if "attempt" in work_of(call) else {"$unset": {WORK: ""}}
    return Transition(leased(call), update)


def bring_back_settling(moment: datetime, late: datetime) -> Transition:
    """Calls are settled at MOMENT, by clock repair, whose lease runs until after LATE: longer than any.

    The wall clock was set back. Nobody is about to send them, so the lease is the time to ask.
    """
    settled = [{REASON: EXISTS}, {ASKED: EXISTS}]
    return Transition({LEASE: {"$gt": late}, "$or": settled}, {"$set": {LEASE: moment}})


def rivals_of(call: PhoneCallDocument) -> Document:
    """The other calls to the number that may have placed what the provider lists.

    Those that are settled go by their ids; those that are under way come first.
    """
    first = [{"_id": {"$lt": call["_id"]}}, {"_id": {"$gt": call["_id"]}, SETTLING: None}]
    return {"msisdn": call["msisdn"], "status": CallStatus.QUEUED, LEASE: EXISTS, ATTEMPT: EXISTS, "$or": first}
