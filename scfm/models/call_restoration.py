"""What becomes of phone calls that a backup held when it is restored: transitions like those of ``call_lifecycle``.

Whatever the backup says, the call may have gone on since. So what had been claimed is unknown, and is settled by
asking the provider; what the provider had is asked about at once; and what waited does not leave by itself.
"""

from __future__ import annotations

from datetime import datetime

from scfm.models.call_lifecycle import AT_PROVIDER, CallStatus, Transition
from scfm.models.call_work import ATTEMPT, ATTEMPT_LOG, CHECK, DUE, EXISTS, LEASE, WORK
from scfm.storage.query import Document

# Calls that wait, and that no paused callout holds back.
WAITING: Document = {"status": CallStatus.QUEUED, DUE: EXISTS}


def doubt_restored(account_id: int, moment: datetime) -> Transition:
    """Claimed calls may have left: the provider is asked from MOMENT on, whatever the send journals here say.

    A journal forgets what is stored; so what it does not have may have left just as well.
    """
    claimed = {"account_id": account_id, LEASE: EXISTS, ATTEMPT: EXISTS}
    return Transition(claimed, {"$set": {ATTEMPT_LOG: None, LEASE: moment}})


def check_restored(account_id: int, moment: datetime) -> Transition:
    """The provider is asked at MOMENT about calls that it had: what it has reported since is lost."""
    statuses = [*AT_PROVIDER, CallStatus.REMOTE_FETCH_QUEUED]
    at_provider = {"account_id": account_id, "status": {"$in": statuses}, "remote_call_id": {"$ne": None}}
    return Transition(at_provider, {"$set": {CHECK: moment}})


def hold_restored(account_id: int, callout_ids: list[int]) -> Transition:
    """The calls of these callouts, which are paused, are held back."""
    waiting: Document = {"account_id": account_id, **WAITING, "callout_id": {"$in": callout_ids}}
    return Transition(waiting, {"$set": {WORK: {"held": True}}})
