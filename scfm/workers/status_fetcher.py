"""Asks the provider for the status of the calls that a client has queued for that."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.clock import later
from scfm.models.call_checks import abandon_fetch, record_fetch, record_fetch_error
from scfm.models.call_lifecycle import CallStatus
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.client import Provider
from scfm.providers.errors import FETCH_FAILED, ProviderError
from scfm.storage.retrying_updates import RetryingUpdates
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.fair_queue import FairQueue
from scfm.workers.remote_status import fetch_remote_call
from scfm.workers.runner import Job


class StatusFetcher(Job):
    """Processes calls of the status ``remote_fetch_queued``; ``lease`` is in seconds."""

    name = "fetch remote statuses"

    def __init__(
        self, store: Store, provider: Provider, accounts: CallingAccounts, *, slots: int, lease: float
    ) -> None:
        self.slots = slots
        self._provider = provider
        self._accounts = accounts
        self._lease = lease
        self._queue = FairQueue(store, CallStatus.REMOTE_FETCH_QUEUED)
        self._updates = RetryingUpdates(store.all_tenants, CALLS)

    async def claim(self, limit: int) -> Sequence[PhoneCallDocument]:
        return await self._queue.claim(limit, later(self._lease))

    async def process(self, item: PhoneCallDocument) -> None:
        try:
            response = await fetch_remote_call(self._provider, self._accounts, item)
        except ProviderError as error:
            await self._updates.add(record_fetch_error(item, error.message))
        else:
            await self._updates.add(record_fetch(item, response))

    async def on_error(self, item: PhoneCallDocument, error: Exception) -> None:
        await self._updates.add(abandon_fetch(item, f"{FETCH_FAILED}: {type(error).__name__}"))
