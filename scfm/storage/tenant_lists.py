"""Pages, totals and walks over the documents of a query."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scfm.storage import driver
from scfm.storage.block_counts import END
from scfm.storage.change_log import BLOCK
from scfm.storage.codec import restore_document
from scfm.storage.errors import map_driver_errors
from scfm.storage.large_page import LARGE_BATCH, MAX_PIECE, LargePage, Page
from scfm.storage.lookup import MAX_NAMED
from scfm.storage.query import Document, Newest, Query, all_of
from scfm.storage.tenant_reads import TenantReads

# How many documents are asked for as long as their size is not known.
MIN_PIECE = 8
CURSOR_SECONDS = 60.0


class TenantLists(TenantReads):
    """Lists within one account, or within all of them."""

    async def page_with_total(self, query: Query, skip: int, limit: int) -> tuple[Page, int]:
        """The ``page``, and the ``count``."""
        query = self._query(query)
        if not self._backend.counts.remembers(query):
            total = await self.count(query)
            return (await self.page(query, skip, limit) if skip < total else []), total
        if not query.where and skip < BLOCK:  # they are where they would be looked for
            sizes, found = await asyncio.gather(self._backend.counts.sizes(query), self.page(query, skip, limit))
            return found, sizes.total
        sizes = await self._backend.counts.sizes(query)
        spans, left = sizes.window(skip, limit)
        found = await self._window(query, query.within(spans), left, limit) if spans else []
        if spans and spans[-1][1] != END and not (isinstance(found, list) and len(found) == limit):
            # Some of them have just been deleted; of a large page it would be too late when that is seen.
            found = await self._window(query, query.within([(spans[0][0], END)]), left, limit)
        return found, sizes.total

    async def _window(self, query: Query, condition: Document, skip: int, limit: int) -> Page:
        # With a batch that is larger than the page, MongoDB sees that these are all.
        command = {"find": query.collection, "filter": condition, "sort": {"_id": 1}, "skip": skip, "limit": limit}
        command["batchSize"] = limit + 1
        async with self._backend.reads.slot(self.account_id):
            with map_driver_errors():
                found = await self._database.run_at_once(query.collection, command)
        if found is not None:
            return [restore_document(document) for document in found]

        async def opened() -> Any:
            collection = self._database.raw_collection(query.collection)
            return collection.find(condition, batch_size=LARGE_BATCH).sort("_id", 1).skip(skip).limit(limit)

        return LargePage(opened)

    async def page(self, query: Query, skip: int, limit: int) -> Page:
        """LIMIT documents of the query, after the first SKIP, in order of id."""
        query = self._query(query)
        if query.limit is not None:
            limit = max(0, min(limit, query.limit - skip))
        if limit == 0:
            return []
        if query.plain:
            return await self._window(query, query.condition, skip, limit)
        source, stages = self._source(query), query.page(skip, limit)
        command = {"aggregate": source, "pipeline": stages, "allowDiskUse": True, "cursor": {"batchSize": limit + 1}}
        async with self._backend.reads.slot(self.account_id):
            with map_driver_errors():
                found = await self._database.run_at_once(source, command)
        if found is not None:
            return [restore_document(document) for document in found]
        collection = self._database.raw_collection(source)
        return LargePage(partial(collection.aggregate, stages, allowDiskUse=True, batchSize=LARGE_BATCH))

    async def count(self, query: Query) -> int:
        """How many documents the query has."""
        query = self._query(query)
        if self._backend.counts.remembers(query):
            return (await self._backend.counts.sizes(query)).total
        collection = self._database.collection(query.collection)
        with map_driver_errors():
            if query.limit == 0:
                return 0
            if query.plain:
                most: dict[str, Any] = {"limit": query.limit} if query.limit else {}
                return int(await collection.count_documents(query.condition, **most))
            counting = await self._database.collection(self._source(query)).aggregate(
                query.counting(), allowDiskUse=True
            )
            counted = await counting.to_list(1)
        return int(counted[0]["total"]) if counted else 0

    async def pieces(self, query: Query, fields: Sequence[str] | None = None) -> AsyncGenerator[list[Document], None]:
        """All documents of the query, by id, in lists of about MAX_PIECE bytes; only FIELDS of them when named.

        Nothing but the list is held while the caller uses it, however long that takes. How many documents are asked
        for follows from the size of those before: what MongoDB sends at once has 16 MB at most, and most of the time
        little more than a list. The query's own limit is not applied. Times are without a zone, as in a page.
        """
        query, last, count = self._query(query), 0, MIN_PIECE
        while True:
            found, size = await self._piece(query, last, fields, count)
            if not found:
                return
            last = found[-1]["_id"]
            count = max(1, min(4 * count, len(found) * MAX_PIECE // size, MAX_NAMED))
            yield found

    async def _piece(
        self, query: Query, last: int, fields: Sequence[str] | None, count: int
    ) -> tuple[list[Document], int]:
        """Up to COUNT documents beyond LAST and about MAX_PIECE bytes, and how many bytes these are."""
        found: list[Document] = []
        size = 0
        async with self._backend.reads.slot(self.account_id):
            with map_driver_errors():
                cursor = await self._beyond(query, last, fields, count, count, self._database.raw_collection)
                try:
                    async for raw in cursor:
                        found.append(restore_document(driver.decoded(raw)))
                        size += len(raw.raw)
                        if size >= MAX_PIECE:
                            break
                finally:
                    await cursor.close()
        return found, size

    def _source(self, query: Query) -> str:
        while query.through is not None:
            query = query.through
        return query.collection

    async def batches(
        self, query: Query, last: int, size: int, fields: Sequence[str] | None = None
    ) -> AsyncGenerator[list[Document], None]:
        """All documents of the query beyond LAST, by id, SIZE at a time; its own limit is not applied.

        One cursor reads them, as MongoDB looks ahead in a join much farther than a thousand documents. What a cursor
        gives may be as old as the cursor, so none gets old: see ``recently_deleted_ids``. What is asked of their
        newest, though, is looked for beside it: in the pipeline the join would cost several times as much.
        """
        joined, query = query.newest, self._query(replace(query, newest=()))
        fit: list[Document] = []
        while True:
            with map_driver_errors():
                cursor, until = await self._beyond(query, last, fields, size), time.monotonic() + CURSOR_SECONDS
            try:
                while found := await self._some(cursor, size):
                    last = found[-1]["_id"]
                    fit += await self._fitting(joined, found)
                    while len(fit) >= size:
                        yield fit[:size]
                        fit = fit[size:]
                    if time.monotonic() >= until:
                        break
            finally:
                await cursor.close()
            if fit:
                yield fit
                fit = []
            if not found:
                return

    @staticmethod
    async def _some(cursor: Any, size: int) -> list[Document]:
        with map_driver_errors():
            return [restore_document(document) for document in await cursor.to_list(size)]

    async def _fitting(self, joined: Sequence[Newest], documents: list[Document]) -> list[Document]:
        """Those of the documents whose newest are as asked."""
        for newest in joined:
            pipeline = newest.deciding([document["_id"] for document in documents])
            with map_driver_errors():
                cursor = await self._database.collection(newest.collection).aggregate(
                    pipeline, batchSize=len(documents) + 1
                )
                decided = {one["_id"] for one in await cursor.to_list(None)}
            documents = newest.leaves(documents, decided)
        return documents

    async def _beyond(
        self,
        query: Query,
        last: int,
        fields: Sequence[str] | None,
        size: int,
        limit: int = 0,
        collection: Callable[[str], driver.Collection] | None = None,
    ) -> Any:
        """A cursor on the documents beyond LAST, by id, that reads SIZE at a time."""
        collection = collection or self._database.collection
        if query.plain:
            condition = all_of([query.condition, {"_id": {"$gt": last}}])
            found = collection(query.collection).find(condition, fields, batch_size=size)
            return found.sort("_id", 1).limit(limit)
        pipeline = query.pipeline(after=last)
        if limit:
            pipeline.append({"$limit": limit})
        if fields is not None:
            pipeline.append({"$project": dict.fromkeys(["_id", *fields], 1)})
        return await collection(self._source(query)).aggregate(pipeline, allowDiskUse=True, batchSize=size)
