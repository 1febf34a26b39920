"""What cancels a phone call before it leaves: transitions like those of ``call_lifecycle``."""

from __future__ import annotations

from scfm.clock import now
from scfm.models.call_lifecycle import CallStatus, Transition, claimed, unclaimed
from scfm.models.call_work import CANCELED_FOR, DUE, EXISTS, HANG_UP_WISH, HELD, LEASE, WORK, CancelReason, same_call
from scfm.models.outcome import MARK, new_mark
from scfm.models.stored_documents import PhoneCallDocument
from scfm.storage.query import Document

# What is shown of a call whose number is opted out.
OPTED_OUT_MESSAGE = "opted out"
# And of one whose person is erased.
ERASED_MESSAGE = "not called: the person's data are erased"


def _canceled(reason: CancelReason, message: str | None = None) -> Document:
    """The update of a call that is not sent, for REASON; MESSAGE is shown."""
    shown = {} if message is None else {"remote_error_message": message}
    change = {"status": CallStatus.CANCELED, **shown, CANCELED_FOR: reason, "updated_at": now(), MARK: new_mark()}
    return {"$set": change, "$unset": {WORK: ""}}


# By its callout, which is stopped.


def cancel(call: PhoneCallDocument) -> Transition:
    """A claimed call is not sent: its callout was stopped."""
    return Transition(claimed(call), _canceled("stopped"))


def cancel_callout(account_id: int, callout_id: int) -> Transition:
    """No call of a callout is sent that waits or is held back."""
    calls = {"account_id": account_id, "callout_id": callout_id, "status": CallStatus.QUEUED}
    return Transition({**calls, "$or": [{DUE: EXISTS}, {HELD: True}]}, _canceled("stopped"))


# By its callout's plan.


def cancel_shut(call: PhoneCallDocument, *, too_late: bool) -> Transition:
    """A claimed call is not sent: its plan's window is closed, or its ``not_after`` has passed, if it is TOO_LATE."""
    if too_late:
        return Transition(claimed(call), _canceled("too_late", "not called: not_after of the plan has passed"))
    return Transition(claimed(call), _canceled("not_now", "not called: the plan lets no call leave at this time"))


# By an opt-out: no call is sent to its number.


def cancel_opted_out(call: PhoneCallDocument) -> Transition:
    """A claimed call is not sent: its number is opted out."""
    return Transition(claimed(call), _canceled("opted_out", OPTED_OUT_MESSAGE))


def cancel_opted_out_many(participation_ids: list[int], msisdn: str) -> Transition:
    """No call of these participations that waits or is held back is sent to MSISDN, which is opted out."""
    return Transition(
        {**waiting_to(participation_ids, msisdn), LEASE: None}, _canceled("opted_out", OPTED_OUT_MESSAGE)
    )


def waiting_to(participation_ids: list[int], msisdn: str) -> Document:
    """The calls of these participations to MSISDN that are queued, whether or not somebody has claimed them."""
    return {"callout_participation_id": {"$in": participation_ids}, "msisdn": msisdn, "status": CallStatus.QUEUED}


# By the erasure of its person: see scfm/privacy/erasure.py.


def cancel_erased_many(calls: Document) -> Transition:
    """No call of CALLS (a condition) leaves that nobody has: who was to be called is erased."""
    condition = {**calls, "status": {"$in": [CallStatus.CREATED, CallStatus.QUEUED]}, LEASE: None}
    return Transition(condition, _canceled("opted_out", ERASED_MESSAGE))


# By a client: see call_hang_up.


def cancel_wanted(call: PhoneCallDocument) -> Transition:
    """A call that is to end, and that nobody has, does not leave."""
    condition = {**same_call(call), "status": {"$in": [CallStatus.CREATED, CallStatus.QUEUED]}, LEASE: None}
    return Transition(condition, _as_wanted())


def cancel_wanted_claimed(call: PhoneCallDocument) -> Transition:
    """A claimed call that is to end, and has not left, does not."""
    return Transition(claimed(call), _as_wanted())


def _as_wanted() -> Document:
    """Why it is canceled has been stored with the wish."""
    update = _canceled("request")
    del update["$set"][CANCELED_FOR]
    return {**update, "$unset": {**update["$unset"], HANG_UP_WISH: ""}}


# By a change of its contact's number: see renumbering.


def cancel_renumbered(call: PhoneCallDocument, msisdn: str) -> Transition:
    """A claimed call is not sent: its contact's new number is another participation's in the callout."""
    return Transition(claimed(call), _canceled_as_taken(msisdn))


def cancel_renumbered_many(condition: Document, call_ids: list[int], msisdn: str) -> Transition:
    """``cancel_renumbered`` for those of the calls that are unclaimed, and fit a condition."""
    update = {**_canceled_as_taken(msisdn), "$inc": {"_version": 1}}
    return Transition({**unclaimed(condition), "_id": {"$in": call_ids}}, update)


def _canceled_as_taken(msisdn: str) -> Document:
    words = f"Not called: the contact's number is {msisdn} now, which another participation has"
    return _canceled("renumbered", words)
