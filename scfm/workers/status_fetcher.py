"""Fetches the remote status of the calls that are queued for it."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.clock import now
from scfm.models.phone_call import STATUSES, UNSETTLED
from scfm.providers.client import Provider
from scfm.providers.errors import FETCH, ProviderError
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.writes import Writes
from scfm.workers.claims import CALLS, Accounts, Waiting, later
from scfm.workers.runner import Job


class StatusFetcher(Job):
    name = "fetch remote statuses"

    def __init__(self, store: Store, provider: Provider, accounts: Accounts, *, slots: int, lease: float) -> None:
        self.slots = slots
        self._provider = provider
        self._accounts = accounts
        self._lease = lease
        self._waiting = Waiting(store, "remote_fetch_queued")
        self._writes = Writes(store.all_tenants, CALLS)

    async def claim(self, limit: int) -> Sequence[Document]:
        return await self._waiting.claim(limit, later(self._lease))

    async def process(self, item: Document) -> None:
        change: Document = {"status": item.get("_fetch_from", UNSETTLED[0]), "updated_at": now()}
        try:
            response = await self._accounts.ask(
                item["account_id"], lambda own: self._provider.fetch_call(own, item["remote_call_id"])
            )
        except ProviderError as error:
            change["remote_error_message"] = error.message
        else:
            said = response.get("status")
            change |= {"remote_response": response, "remote_status": said, "remote_error_message": None}
            change["status"] = STATUSES.get(str(said), change["status"])
        unset = {"_work": "", "_fetch_from": ""}
        await self._writes.add((_waits(item), {"$set": change, "$unset": unset}))

    async def on_error(self, item: Document, error: Exception) -> None:
        change = {
            "status": item.get("_fetch_from", UNSETTLED[0]),
            "remote_error_message": f"{FETCH}: {type(error).__name__}",
        }
        await self._writes.add((_waits(item), {"$set": change, "$unset": {"_work": "", "_fetch_from": ""}}))


def _waits(call: Document) -> Document:
    return {"_id": call["_id"], "status": "remote_fetch_queued"}
