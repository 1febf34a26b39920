"""Cancels a call that is to end before it leaves: at once where nobody has it, or this process has."""

from __future__ import annotations

from scfm.models.call_cancellations import cancel_wanted, cancel_wanted_claimed
from scfm.models.call_hang_up import NOT_LEFT
from scfm.models.call_work import attempt_of
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.storage.store import Store
from scfm.workers.callout_hold import CalloutHold
from scfm.workers.send_journal import SendJournal

# A call may be claimed, or queued again, between a look at it and the update.
MAX_WITHDRAWAL_TRIES = 5


class CallWithdrawal:
    """What another process has claimed is left to the job ``HangUps``: it may leave, and then it is hung up."""

    def __init__(self, store: Store, callout_hold: CalloutHold, send_journal: SendJournal) -> None:
        self._all_tenants = store.all_tenants
        self._callout_hold = callout_hold
        self._send_journal = send_journal

    async def withdraw(self, call: PhoneCallDocument) -> PhoneCallDocument:
        """The call as it is after that; canceled, unless it has left or may have. Raises Unavailable.

        That it is to end has been stored before: from now on it does not leave this process.
        """
        self._callout_hold.on_withdrawn(call["_id"])
        for _ in range(MAX_WITHDRAWAL_TRIES):
            if call["status"] not in NOT_LEFT or self._may_leave(call):
                return call
            transition = cancel_wanted_claimed(call) if self._is_claimed(call) else cancel_wanted(call)
            canceled = await self._all_tenants.update_one(CALLS, *transition)
            if canceled is not None:
                return canceled
            call = await self._all_tenants.get(CALLS, call["_id"])
        return call

    def _is_claimed(self, call: PhoneCallDocument) -> bool:
        return "lease" in call.get("_work", {})

    def _may_leave(self, call: PhoneCallDocument) -> bool:
        """Whether it is claimed, and has left this process, or is another's."""
        if not self._is_claimed(call):
            return False
        attempt = call["_work"].get("attempt")
        mine = attempt is not None and attempt["log"] is not None and attempt["log"] == self._send_journal.id
        return not mine or self._send_journal.has_sent(*attempt_of(call))
