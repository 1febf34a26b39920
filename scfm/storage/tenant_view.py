"""How the rest of the program reads and writes: the documents of one account, or of all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, overload

from pymongo import ReturnDocument, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from scfm.errors import Unavailable
from scfm.storage.change_log import blocks_of
from scfm.storage.codec import escape_document, escape_update, restore_document
from scfm.storage.document_batches import Update
from scfm.storage.errors import DUPLICATE, DuplicateKey, index_of, map_driver_errors
from scfm.storage.query import ACCOUNT_COLLECTION, CollectionName, Document, Stored, owner_field
from scfm.storage.status_log import log_changes
from scfm.storage.tenant_reads import TenantReads
from scfm.storage.write_watch import carried_out

# The change log takes a removal as a change of every field.
REMOVAL: Document = {"$unset": {"_id": ""}}


class TenantView(TenantReads):
    """Reads and writes within one account, or, for ``account_id`` None, within all of them."""

    async def insert(self, collection: str, document: Mapping[str, Any], kind: str | None = None) -> Document:
        """Store a new document under its ``_id``; the document. Raises DuplicateKey and stores nothing.

        One of a KIND of resource, whose ids are allocated, gets the next where it has none that is.
        """
        own = self._own(collection)
        new = {**own, **document, **own}
        if kind is None:
            with map_driver_errors():
                await self._database.collection(collection).insert_one(escape_document(new))
            return new
        ids = self.counters.ids(kind)
        document_id = document.get("_id")
        while True:
            if document_id is None or not ids.holds([document_id]):
                document_id = (await ids.allocate(1))[0]
            new = {**new, "_id": document_id}
            try:
                await self._backend.batches.insert_one(collection, new)
            except DuplicateKey as duplicate:
                if duplicate.index != "_id_":
                    await ids.release(document_id)
                    raise
                ids.commit([document_id])
                document_id = None  # MongoDB has died, and given this one again
            else:
                ids.commit([document_id])
                self._backend.written.tell(new)
                self._tell(collection, new, {"$set": new}, 1)
                return new

    async def insert_many(
        self, collection: str, documents: Sequence[Document], common: Document | None = None
    ) -> set[int]:
        """Store new documents, leaving out those a unique index refuses; the ids of those left out.

        The documents carry their ids already. What they have in COMMON is escaped once for all; with it, the rest of
        them must be plain values.
        """
        own = self._own(collection)
        if common is None:
            stored = [escape_document({**own, **document, **own}) for document in documents]
        else:
            shared = escape_document({**own, **common})
            stored = [{**shared, **document, **own} for document in documents]
        document_ids = [document["_id"] for document in stored]
        counted = self._backend.counted.get(collection)
        ids = None if counted is None else self.counters.ids(counted.kind)
        if ids is not None and not ids.holds(document_ids):
            raise Unavailable(f"new {collection} were not stored in time")
        refused = await self._insert_many(collection, stored)
        if ids is not None:
            ids.commit(document_ids)
        self._backend.written.tell(common or {}, *documents[:1])
        return refused

    async def _insert_many(self, collection: str, stored: list[Document]) -> set[int]:
        try:
            with map_driver_errors():
                await self._database.collection(collection).insert_many(stored, ordered=False)
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if any(failure["code"] != DUPLICATE for failure in failures):
                raise
            if any(index_of(failure) == "_id_" for failure in failures):
                raise Unavailable("MongoDB has died, and given ids again that it had given before") from None
            return {stored[failure["index"]]["_id"] for failure in failures}
        return set()

    @overload
    async def update_one(  # type: ignore[overload-overlap]
        self, collection: CollectionName[Stored], condition: Document, update: Document
    ) -> Stored | None: ...

    @overload
    async def update_one(self, collection: str, condition: Document, update: Document) -> Document | None: ...

    async def update_one(self, collection: str, condition: Document, update: Document) -> Any:
        """Apply MongoDB's UPDATE to one document that fits; it as it then is, or None. Raises DuplicateKey."""
        async with self._change(collection, [(condition, update)]):
            with map_driver_errors():
                document = await self._database.collection(collection).find_one_and_update(
                    self._scoped(collection, condition), escape_update(update), return_document=ReturnDocument.AFTER
                )
        if document is None:
            return None
        log_changes(collection, [(condition, update)], 1, self.account_id)
        self._tell(collection, document, update, 1)
        return restore_document(document)

    async def update_batched(
        self, collection: str, document_id: int, condition: Document | None = None, update: Document | None = None
    ) -> Document | None:
        """Apply UPDATE to the document of that id if it fits CONDITION; without an update, just look at it.

        Gives its BOOKKEEPING afterwards, None if it is gone; not whether it fitted. Cheaper than ``update_one`` under
        load. Raises Unavailable.
        """
        condition = {"_id": document_id, **(condition or {})}
        one = Update(document_id, self._scoped(collection, condition), escape_update(update) if update else None)
        async with self._change(collection, [(condition, update)] if update else []):
            bookkeeping, fitted = await self._backend.batches.update_one(collection, one)
        if fitted is None and (watcher := self._backend.watchers.get(collection)):
            fitted = carried_out(update or {}, bookkeeping, watcher.fields)
        if fitted and bookkeeping and update:
            self._tell(collection, bookkeeping, update, 1)
        if update:
            changed = None if fitted is None else int(fitted)
            log_changes(collection, [(condition, update)], changed, self.account_id)
        mine = bookkeeping and self.account_id in (None, bookkeeping.get(owner_field(collection)))
        return bookkeeping if mine else None

    async def update_many(self, collection: str, condition: Document, update: Document) -> int:
        """Apply MongoDB's UPDATE to all that fit; how many were changed."""
        async with self._change(collection, [(condition, update)]):
            with map_driver_errors():
                changed = self._database.collection(collection).update_many(
                    self._scoped(collection, condition), escape_update(update)
                )
                count = int((await changed).modified_count)
        self._tell(collection, condition, update, count)
        log_changes(collection, [(condition, update)], count, self.account_id)
        return count

    async def bulk_update(
        self,
        collection: str,
        updates: Iterable[tuple[Document, Document]],
        *,
        many: bool = False,
        logged: bool = True,
    ) -> int:
        """Apply each (condition, update) of UPDATES in one round trip; how many documents were changed.

        LOGGED: whether the log tells of them, at debug; else the caller does.
        """
        operation = UpdateMany if many else UpdateOne
        updates = list(updates)
        operations = [
            operation(self._scoped(collection, condition), escape_update(update)) for condition, update in updates
        ]
        if not operations:
            return 0
        async with self._change(collection, updates):
            with map_driver_errors():
                result = await self._database.collection(collection).bulk_write(operations, ordered=False)
        if collection in self._backend.watchers and not many:
            await self._tell_each(collection, updates, all_fitted=result.matched_count == len(updates))
        if logged:
            log_changes(collection, updates, int(result.modified_count), self.account_id)
        return int(result.modified_count)

    async def remove(self, collection: str, condition: Document) -> int:
        """Remove all that fit; how many there were."""
        async with self._change(collection, [(condition, REMOVAL)]):
            with map_driver_errors():
                condition = self._scoped(collection, condition)
                result = await self._database.collection(collection).delete_many(condition)
        return int(result.deleted_count)

    def _tell(self, collection: str, of: Mapping[str, Any], update: Document, count: int) -> None:
        """UPDATE has changed COUNT documents; OF, one of them or the condition, names the account."""
        watcher = self._backend.watchers.get(collection)
        if watcher is not None and count and watcher.notable(update):
            watcher.written(of.get("account_id", self.account_id), update, count)

    async def _tell_each(
        self, collection: str, updates: Sequence[tuple[Document, Document]], *, all_fitted: bool
    ) -> None:
        """The same of updates that went together; where some did not fit, the documents tell which."""
        watcher = self._backend.watchers[collection]
        notable = [(condition, update) for condition, update in updates if watcher.notable(update)]
        if notable and not all_fitted:
            among = {
                name: {"$in": [condition.get(name) for condition, _ in notable]} for name in ("account_id", "_id")
            }
            try:
                found = await self.find(collection, among, fields=["account_id", *watcher.fields])
            except Unavailable:  # the updates are on disk all the same
                return
            after = {document["_id"]: document for document in found}
            notable = [one for one in notable if carried_out(one[1], after.get(one[0].get("_id")), watcher.fields)]
        for condition, update in notable:
            self._tell(collection, condition, update, 1)

    def _own(self, collection: str) -> Document:
        """What makes a new document the account's; raises ValueError for an account, which no account makes."""
        if self.account_id is None:
            return {}
        if collection == ACCOUNT_COLLECTION:
            raise ValueError("an account is stored by the view of all of them")
        return {"account_id": self.account_id}

    @asynccontextmanager
    async def _change(self, collection: str, updates: Sequence[tuple[Document, Document]]) -> AsyncGenerator[None]:
        """Within it UPDATES, conditions with updates, are carried out; what counts depend on is in the change log.

        What fails may still be carried out, so then the change is not ended: see ChangeLog.
        """
        counted = self._backend.counted.get(collection)
        set_by = [update[name] for _, update in updates for name in ("$set", "$push") if name in update]
        conditions = [condition for condition, update in updates if counted is not None and counted.announces(update)]
        if counted is None or not conditions:
            yield
            self._backend.written.tell(*set_by)
            return
        changes = self.counters.changes(counted.kind)
        change_number = await changes.begin_change(blocks_of(conditions))
        try:
            yield
        except DuplicateKey:
            changes.end_change(change_number)
            raise
        changes.end_change(change_number)
        self._backend.written.tell(*set_by)
