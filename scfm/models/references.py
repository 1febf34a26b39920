"""References stay whole without transactions, which a standalone MongoDB lacks.

Who deletes a document marks it first (``_deleting``) and looks for what refers to it second. Who refers to it stores
the reference first and looks for the mark second. Whichever comes first, one of the two sees the other. See
docs/decisions/0001.

A process that dies between storing a reference and looking for the mark may have stored it after the deletion looked
for such. So each deletion is written down (collection ``deletions``) before it is done; when its record is ``due``,
no request of that time is under way, and what still refers to the document is removed.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

from scfm.clock import now
from scfm.errors import NotFound, Unavailable
from scfm.storage.index import Index
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# ``{_id: token of the mark, account_id, collection, number: id of the document, due}`` of each deletion.
DELETIONS = "deletions"
DELETIONS_INDEXES = (Index("due"), Index("collection", "number"))
# A document with a mark, ``_deleting: {token, until}``, is looked for among many.
MARKED = Index("_deleting.until", name="deleting", only={"_deleting.until": {"$exists": True}})
# How long a deletion may take between its mark and its end before others take it for abandoned.
DELETION_LEASE = timedelta(seconds=10)
# How often, and how many seconds apart, we look whether the deletion of another has ended: longer than its lease.
MAX_DELETION_LOOKS, DELETION_LOOK_SECONDS = 1000, 0.02
# When the record of a deletion is due: far longer than a request takes, even where the database answers at the last
# moment.
SWEEP_DELAY = timedelta(minutes=5)
# So long after a document was read, a deletion of it since is surely still written down.
REMEMBERED_SECONDS = 120.0


def not_being_deleted() -> Document:
    """The condition that nobody is deleting a document; a mark whose lease has run out does not count."""
    return {"$or": [{"_deleting": None}, {"_deleting.until": {"$lt": now()}}]}


async def mark_deleting(view: TenantView, collection: str, document_id: int) -> str:
    """Mark a document that is to be deleted, once no other deletion of it is under way; the token of the mark.

    Raises NotFound; Unavailable where the other deletion does not end.
    """
    token = secrets.token_hex(8)
    for _ in range(MAX_DELETION_LOOKS):
        mark = {"token": token, "until": now() + DELETION_LEASE}
        if await view.apply(collection, {"_id": document_id, **not_being_deleted()}, {"$set": {"_deleting": mark}}):
            return token
        if not await view.exists(collection, {"_id": document_id}):
            raise NotFound
        await asyncio.sleep(DELETION_LOOK_SECONDS)
    raise Unavailable(f"the deletion of {collection} {document_id} does not end")


async def unmark(view: TenantView, collection: str, document_id: int, token: str) -> None:
    """Take back the mark that has this token."""
    await view.apply(collection, {"_id": document_id, "_deleting.token": token}, {"$unset": {"_deleting": ""}})


async def record_deletion(view: TenantView, token: str, collection: str, document_id: int) -> None:
    """Write down that a document is about to be deleted; ``token`` is that of its mark."""
    deletion = {"account_id": view.account_id, "collection": collection, "number": document_id}
    await view.add(DELETIONS, {"_id": token, **deletion, "due": now() + SWEEP_DELAY})


async def live_ids(view: TenantView, collection: str, ids: Sequence[int]) -> set[int]:
    """Which of the documents are there and are not being deleted. Marks whose lease has run out are removed."""
    found = await _with_marks(view, collection, ids)
    if any(document.get("_deleting") for document in found):
        abandoned = {"_id": {"$in": list(ids)}, "_deleting.until": {"$lt": now()}}
        await view.update_many(collection, abandoned, {"$unset": {"_deleting": ""}})
        found = await _with_marks(view, collection, ids)
    return {document["_id"] for document in found if not document.get("_deleting")}


async def _with_marks(view: TenantView, collection: str, ids: Sequence[int]) -> list[Document]:
    if len(ids) == 1:
        found = await view.first_by(collection, "_id", ids[0])
        return [] if found is None else [found]
    return await view.find(collection, {"_id": {"$in": list(ids)}}, fields=["_id", "_deleting"], sort=())


async def recently_deleted_ids(view: TenantView, ids: Mapping[str, set[int]]) -> dict[str, set[int]]:
    """Which of the documents (ids by collection) may be being deleted, or have been.

    They must have been read less than REMEMBERED_SECONDS ago. It costs the same for a thousand as for one: deletions
    are few, and each is written down before it is done.
    """
    all_tenants, ids = view.all_tenants, {collection: some for collection, some in ids.items() if some}
    if not ids:
        return {}
    # In this order: whose mark is gone with it by now has been written down before.
    marked = {"_deleting.until": {"$exists": True}}
    found = await asyncio.gather(*(all_tenants.find(name, marked, fields=["_id"], sort=()) for name in ids))
    deleted = {name: {document["_id"] for document in marks} for name, marks in zip(ids, found, strict=True)}
    conditions = [
        {"collection": name, "number": {"$gte": min(some), "$lte": max(some)}} for name, some in ids.items()
    ]
    for deletion in await all_tenants.find(DELETIONS, {"$or": conditions}, fields=["collection", "number"], sort=()):
        deleted[deletion["collection"]].add(deletion["number"])
    return {name: some & deleted[name] for name, some in ids.items()}
