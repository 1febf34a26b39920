"""Ends the calls that a client wants to end: cancels what has not left, has the provider hang up what has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from scfm.clock import later, now
from scfm.models import call_hang_up
from scfm.models.call_hang_up import NOT_LEFT
from scfm.models.call_lifecycle import FINAL, Transition
from scfm.models.call_work import HANG_UP_DUE, HANG_UP_WISH
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.client import Provider
from scfm.providers.errors import AccountRefused, CallRejected, NotSent, ProviderError
from scfm.runtime.backoff import Backoff
from scfm.storage.store import Store
from scfm.workers.call_withdrawal import CallWithdrawal
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.claims import claim_each
from scfm.workers.runner import Job

log = logging.getLogger("scfm.work")

HANG_UP_BACKOFF = Backoff(first=1.0, longest=60.0)
# When the provider is asked what became of a call that was ended, if it has not told; and of one that it calls over.
TOLD_SECONDS, OVER_SECONDS = 60.0, 1.0
# No call lasts longer than a day; what is not over by then is not ended any more.
MAX_WISH_AGE = timedelta(hours=25)


class HangUps(Job):
    """Processes calls that are to end. What is asked of the provider twice does no more than once."""

    name = "end calls"
    slots = 20

    def __init__(
        self, store: Store, provider: Provider, accounts: CallingAccounts, withdrawal: CallWithdrawal, *, lease: float
    ) -> None:
        """``lease`` is in seconds."""
        self._all_tenants = store.all_tenants
        self._provider = provider
        self._accounts = accounts
        self._withdrawal = withdrawal
        self._lease = lease

    async def claim(self, limit: int) -> Sequence[PhoneCallDocument]:
        moment = now()
        return await claim_each(
            self._all_tenants,
            CALLS,
            {HANG_UP_DUE: {"$lte": moment}},
            HANG_UP_DUE,
            limit,
            lambda call: call_hang_up.claim_hang_up(call, moment, later(self._lease)),
        )

    async def process(self, item: PhoneCallDocument) -> None:
        if item["status"] in NOT_LEFT:
            withdrawn = await self._withdrawal.withdraw(item)
            if withdrawn["status"] in NOT_LEFT:  # it is unknown whether it has left, or is about to be known
                await self._try_later(item)
        elif item["status"] in FINAL or now() - item["created_at"] > MAX_WISH_AGE:
            await self._update(call_hang_up.has_ended(item))
        elif (sid := item["remote_call_id"]) is None:
            await self._try_later(item)
        else:
            await self._hang_up(item, sid)

    async def _hang_up(self, call: PhoneCallDocument, sid: str) -> None:
        try:
            await self._accounts.ask(call["account_id"], lambda own: self._provider.hang_up(own, sid))
        except AccountRefused as refused:
            await self._try_later(call, refused.message)
        except CallRejected as rejected:
            log.warning("phone call %d cannot be ended: %s", call["_id"], rejected.message)
            await self._update(call_hang_up.hung_up(call, later(OVER_SECONDS)))
        except ProviderError as error:
            wait = error.retry_after if isinstance(error, NotSent) else None
            await self._try_later(call, error.message, wait or 0.0)
        else:
            await self._update(call_hang_up.hung_up(call, later(TOLD_SECONDS)))

    async def _try_later(self, call: PhoneCallDocument, message: str | None = None, wait: float = 0.0) -> None:
        seconds = max(HANG_UP_BACKOFF.seconds(call[HANG_UP_WISH]["tries"] + 1), wait)
        await self._update(call_hang_up.hang_up_later(call, later(seconds), message))

    async def _update(self, transition: Transition) -> None:
        await self._all_tenants.update_one(CALLS, *transition)

    async def on_error(self, item: PhoneCallDocument, error: Exception) -> None:
        await self._try_later(item)
