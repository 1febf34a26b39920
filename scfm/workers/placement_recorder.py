"""Stores how the placement of a claimed call ended, or why there was none: see ``models/call_placement.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial

from scfm.clock import later
from scfm.models.call_cancellations import cancel, cancel_opted_out, cancel_shut, cancel_wanted_claimed
from scfm.models.call_lifecycle import Transition, hold, requeue
from scfm.models.call_placement import accept, mark_unknown, reject
from scfm.models.call_work import attempt_of, tries_of
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.answers import RemoteCall
from scfm.providers.errors import NotSent, ProviderError
from scfm.runtime.backoff import Backoff
from scfm.settings import Settings
from scfm.storage.query import Document
from scfm.storage.retrying_updates import RetryingUpdates
from scfm.storage.store import Store
from scfm.workers.callout_hold import HELD_BACK, NOT_NOW, OPTED_OUT, TOO_LATE, WITHDRAWN
from scfm.workers.remote_status import first_check
from scfm.workers.send_journal import SendJournal

# After a request that provably did not leave.
SEND_BACKOFF = Backoff(first=1.0, longest=60.0)


# What becomes of a claimed call, by what keeps it back: see CalloutHold.blocking_status.
BLOCKED: Mapping[str, Callable[[PhoneCallDocument], Transition]] = {
    HELD_BACK: lambda call: requeue(call, 0, tries_of(call)),
    OPTED_OUT: cancel_opted_out,
    NOT_NOW: partial(cancel_shut, too_late=False),
    TOO_LATE: partial(cancel_shut, too_late=True),
    WITHDRAWN: cancel_wanted_claimed,
    "paused": hold,
    "stopped": cancel,
}


class PlacementRecorder:
    """Each method returns when what it is told is stored, however long the database does not answer.

    A call that may have been in the send journal is acknowledged there after that.
    """

    def __init__(
        self,
        store: Store,
        send_journal: SendJournal,
        settings: Settings,
        params_of: Callable[[PhoneCallDocument], Document],
    ) -> None:
        """PARAMS_OF gives what a call is sent with."""
        self._params_of = params_of
        self._send_journal = send_journal
        self._settings = settings
        self._updates = RetryingUpdates(store.all_tenants, CALLS)

    async def record_requeued(
        self, call: PhoneCallDocument, delay: float, tries: int, change: Document | None = None
    ) -> None:
        """The call provably did not leave: it is due again in DELAY seconds. CHANGE is what is shown of why."""
        await self._updates.add(requeue(call, delay, tries, change))

    async def record_blocked(self, call: PhoneCallDocument, blocking: str) -> None:
        """BLOCKING (see CalloutHold.blocking_status) keeps the call back: it waits, is held, or is canceled."""
        await self._updates.add(BLOCKED[blocking](call))

    async def record_renumbered(self, transition: Transition) -> None:
        """The number of a call's contact has changed: TRANSITION is what CalloutHold.outdated gives."""
        await self._updates.add(transition)

    async def record_accepted(self, call: PhoneCallDocument, response: RemoteCall) -> None:
        """The provider has taken the call."""
        await self._updates.add(*accept(call, response, self._first_check(call)))
        self._send_journal.forget(*attempt_of(call))

    async def record_rejected(self, call: PhoneCallDocument, message: str, error_code: int | None = None) -> None:
        """The provider will not place the call, or it is given up. MESSAGE and its ERROR_CODE are shown."""
        await self._updates.add(reject(call, message, error_code))
        self._send_journal.forget(*attempt_of(call))

    async def record_put_back(self, call: PhoneCallDocument, change: Document) -> None:
        """The call left, and the provider did not take it: it is due again. CHANGE is what is shown of why."""
        await self._updates.add(requeue(call, 0, tries_of(call), change))
        self._send_journal.forget(*attempt_of(call))

    async def record_not_sent(self, call: PhoneCallDocument, reason: NotSent) -> None:
        """The request did not leave, or was answered that it comes too soon: it is sent again after a while."""
        tries = tries_of(call) + 1
        delay = max(SEND_BACKOFF.seconds(tries), reason.retry_after or 0)
        message = f"{reason.message} (not sent; it will be sent again)"
        await self._updates.add(requeue(call, delay, tries, {"remote_error_message": message}))
        self._send_journal.forget(*attempt_of(call))

    async def record_unknown(self, call: PhoneCallDocument, reason: ProviderError) -> None:
        """It is not known whether the provider has taken the call: the reconciler finds that out."""
        lease = later(self._settings.unknown_grace_seconds)
        await self._updates.add(*mark_unknown(call, reason.message, lease, self._first_check(call)))

    def _first_check(self, call: PhoneCallDocument) -> datetime | None:
        return first_check(self._params_of(call), self._settings.status_check, self._settings.status_check_seconds)
