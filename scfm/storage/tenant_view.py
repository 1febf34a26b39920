"""How the rest of the program reads and writes: the documents of one account, or of all of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from scfm.clock import now
from scfm.errors import NotFound, Unavailable
from scfm.storage.query import Document
from scfm.storage.tenant_lists import TenantLists
from scfm.storage.tenant_writes import TenantWrites

# Where each deletion is written down before it is done: see deletions.
DELETIONS = "deletions"
# How long a delete may take between its mark and its end before others take it for abandoned.
DELETE_LEASE = timedelta(seconds=10)
# How often, and how many seconds apart, we look whether the deletion of another has ended: longer than its lease.
DELETE_LOOKS, DELETE_LOOK_SECONDS = 1000, 0.02


def unmarked() -> Document:
    """The condition that nobody is deleting a document; who has begun and not ended in time is forgotten."""
    return {"$or": [{"_deleting": None}, {"_deleting.until": {"$lt": now()}}]}


class TenantView(TenantLists, TenantWrites):
    """Reads and writes within one account, or, for ``account_id`` None, within all of them."""

    # What follows keeps references whole without transactions, which a standalone MongoDB lacks. Who deletes
    # marks the document first and looks for what refers to it second; who refers to it stores its reference
    # first and looks for the mark second. Whichever comes first, one of the two sees the other.

    async def mark_deleting(self, collection: str, number: int) -> str:
        """Announce that a document is to be deleted, when no other deletion of it is under way; the token that
        ends it. Raises NotFound, Unavailable.
        """
        token = secrets.token_hex(8)
        for _ in range(DELETE_LOOKS):
            mark = {"token": token, "until": now() + DELETE_LEASE}
            if await self.apply(collection, {"_id": number, **unmarked()}, {"$set": {"_deleting": mark}}):
                return token
            if not await self.exists(collection, {"_id": number}):
                raise NotFound
            await asyncio.sleep(DELETE_LOOK_SECONDS)
        raise Unavailable(f"the deletion of {collection} {number} does not end")

    async def unmark(self, collection: str, number: int, token: str) -> None:
        """Take the announcement back."""
        await self.apply(collection, {"_id": number, "_deleting.token": token}, {"$unset": {"_deleting": ""}})

    async def live_ids(self, collection: str, numbers: Sequence[int]) -> set[int]:
        """Which of the documents are there and are not being deleted."""
        found = await self._marks(collection, numbers)
        if any(document.get("_deleting") for document in found):
            abandoned = {"_id": {"$in": list(numbers)}, "_deleting.until": {"$lt": now()}}
            await self.update_many(collection, abandoned, {"$unset": {"_deleting": ""}})
            found = await self._marks(collection, numbers)
        return {document["_id"] for document in found if not document.get("_deleting")}

    async def recently_deleted_ids(self, named: Mapping[str, set[int]]) -> dict[str, set[int]]:
        """Which of the documents, by their collections, may be being deleted, or have been; they were there of late.

        It costs the same for a thousand as for one: deletions are few, and each is written down before it is done.
        """
        all_tenants, named = self.store.all_tenants, {name: numbers for name, numbers in named.items() if numbers}
        if not named:
            return {}
        # In this order: whose mark is gone with it by now has been written down before.
        marked = {"_deleting.until": {"$exists": True}}
        marks = await asyncio.gather(*(all_tenants.find(name, marked, fields=["_id"], sort=()) for name in named))
        leaving = {name: {one["_id"] for one in found} for name, found in zip(named, marks, strict=True)}
        deleted = [
            {"collection": name, "number": {"$gte": min(numbers), "$lte": max(numbers)}}
            for name, numbers in named.items()
        ]
        for one in await all_tenants.find(DELETIONS, {"$or": deleted}, fields=["collection", "number"], sort=()):
            leaving[one["collection"]].add(one["number"])
        return {name: numbers & leaving[name] for name, numbers in named.items()}

    async def _marks(self, collection: str, numbers: Sequence[int]) -> list[Document]:
        if len(numbers) == 1:
            found = await self.first_by(collection, "_id", numbers[0])
            return [] if found is None else [found]
        return await self.find(collection, {"_id": {"$in": list(numbers)}}, fields=["_id", "_deleting"], sort=())
