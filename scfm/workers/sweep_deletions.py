"""Looks once more for references to what was deleted: a process may have died before it took its own back."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.clock import now
from scfm.models.references import DELETIONS, DeletionRecord, live_ids, remove_dangling
from scfm.models.registry import RESOURCES
from scfm.storage.store import Store
from scfm.workers.runner import Job

BY_COLLECTION = {resource.collection: resource for resource in RESOURCES}


class SweepDeletions(Job):
    """Done twice, or by two processes at once, a sweep does no more than once, so it needs no lease."""

    name = "sweep after deletions"
    slots = 4

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, limit: int) -> Sequence[DeletionRecord]:
        due = {"due": {"$lte": now()}}
        return await self._store.all_tenants.find(DELETIONS, due, sort=[("due", 1)], limit=limit)

    async def process(self, item: DeletionRecord) -> None:
        owner, collection, document_id = item["account_id"], item["collection"], item["number"]
        view = self._store.all_tenants if owner is None else self._store.for_account(owner)
        # Takes the mark of a deletion that never ended away, so that it cannot end after all.
        await live_ids(view, collection, [document_id])
        if not await view.exists(collection, {"_id": document_id}):
            await remove_dangling(BY_COLLECTION[collection], view, document_id)
        await view.remove(DELETIONS, {"account_id": owner, "_id": item["_id"]})
