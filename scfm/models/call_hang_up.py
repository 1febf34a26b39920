"""Ending a phone call because a client wants it: transitions like those of ``call_lifecycle``.

The wish, ``HANG_UP_WISH``, is stored in the call first, whatever its status. Then a job that finds it cancels a call
that has not left, and has the provider hang up one that it has; what becomes of that one is told by the provider's
report. See ``workers/hang_ups.py``.
"""

from __future__ import annotations

from datetime import datetime

from scfm.clock import now
from scfm.models.call_lifecycle import AT_PROVIDER, UNDER_WAY, CallStatus, Transition
from scfm.models.call_work import (
    CANCELED_FOR,
    CHECK,
    HANG_UP_DUE,
    HANG_UP_WISH,
    CancelReason,
    HangUp,
    new_hang_up,
    same_call,
)
from scfm.models.stored_documents import PhoneCallDocument
from scfm.storage.query import Document

# Of a call that has not left: it can be canceled.
NOT_LEFT = (CallStatus.CREATED, CallStatus.QUEUED)
# The provider has it, and may be asked to end it.
RINGS_OR_TALKS = (*AT_PROVIDER, CallStatus.REMOTE_FETCH_QUEUED)


def want_end(call: PhoneCallDocument) -> Transition:
    """A client wants the call to end."""
    condition = {**same_call(call), "status": call["status"]}
    return Transition(condition, {"$set": {**_wish("request"), "updated_at": now()}})


def want_end_of_callout(account_id: int, callout_id: int) -> Transition:
    """Everybody who is called for a callout is to be left alone."""
    calls = {"account_id": account_id, "callout_id": callout_id, "status": {"$in": list(UNDER_WAY)}}
    return Transition({**calls, HANG_UP_WISH: None}, {"$set": _wish("stopped")})


def want_end_of_account(account_id: int) -> Transition:
    """Whatever rings or talks for an account is to end, but for inbound calls."""
    calls = {
        "account_id": account_id,
        "status": {"$in": list(RINGS_OR_TALKS)},
        "remote_direction": {"$ne": "inbound"},
    }
    return Transition({**calls, HANG_UP_WISH: None}, {"$set": _wish("stopped")})


def _wish(reason: CancelReason) -> Document:
    """The fields of a call that is to end for REASON; that counts if nobody has answered."""
    return {HANG_UP_WISH: new_hang_up(), CANCELED_FOR: reason}


# By the job that carries it out: see workers/hang_ups.


def claim_hang_up(call: PhoneCallDocument, moment: datetime, lease: datetime) -> Transition:
    """A call that was to end by MOMENT is ended by the process that has it until LEASE."""
    return Transition({**same_call(call), HANG_UP_DUE: {"$lte": moment}}, {"$set": {HANG_UP_DUE: lease}})


def hang_up_later(call: PhoneCallDocument, due: datetime, message: str | None) -> Transition:
    """The call could not be ended: it is tried again from DUE on. MESSAGE is shown, if the provider gave one."""
    shown = {} if message is None else {"remote_error_message": message, "updated_at": now()}
    later: HangUp = {"due": due, "tries": call[HANG_UP_WISH]["tries"] + 1}
    return Transition(_same_hang_up(call), {"$set": {HANG_UP_WISH: later, **shown}})


def hung_up(call: PhoneCallDocument, check: datetime) -> Transition:
    """The provider has been asked to end the call; if it does not report what became of it, it is asked at CHECK."""
    asked: HangUp = {"asked": now()}
    return Transition(_same_hang_up(call), {"$set": {CHECK: check, HANG_UP_WISH: asked}})


def has_ended(call: PhoneCallDocument) -> Transition:
    """There is nothing to be ended any more."""
    return Transition(_same_hang_up(call), {"$unset": {HANG_UP_WISH: ""}})


def _same_hang_up(call: PhoneCallDocument) -> Document:
    return {**same_call(call), HANG_UP_DUE: call[HANG_UP_WISH]["due"]}
