"""The documents of a query as a list: its pages, its total, its tallies, and walks over all of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from scfm.storage import driver
from scfm.storage.backend import Backend
from scfm.storage.block_tallies import Tallied, Tally
from scfm.storage.block_watch import END
from scfm.storage.change_log import BLOCK
from scfm.storage.codec import restore_document
from scfm.storage.document_batches import FIRST_BATCH
from scfm.storage.errors import map_driver_errors
from scfm.storage.large_page import LARGE_BATCH, MAX_PIECE, LargePage, Page, next_piece
from scfm.storage.query import Document, Newest, Query, all_of

# Documents that ``pieces`` asks for as long as their size is not known.
MIN_PIECE = 8
# For so long ``batches`` reads by one cursor.
CURSOR_SECONDS = 60.0


class TenantList:
    """What QUERY finds, which names the account. A view gives it: ``list_of``."""

    def __init__(self, backend: Backend, query: Query) -> None:
        self._backend = backend
        self._database = backend.database
        self._query = query

    async def page_with_total(self, skip: int, limit: int) -> tuple[Page, int]:
        """The ``page``, and the ``count``; raises Unavailable, Overloaded."""
        query = self._query
        if not self._backend.counts.remembers(query):
            total = await self.count()
            return (await self.page(skip, limit) if skip < total else []), total
        if not query.where and skip < BLOCK:  # the totals would not shorten the way to the page
            totals, found = await asyncio.gather(self._backend.counts.totals(query), self.page(skip, limit))
            return found, totals.total
        totals = await self._backend.counts.totals(query)
        spans, left = totals.spans_of_page(skip, limit)
        found = await self._plain_page(query.within(spans), left, limit) if spans else []
        if spans and spans[-1][1] != END and not (isinstance(found, list) and len(found) == limit):
            # Some of them have just been deleted; of a large page it would be too late when that is seen.
            found = await self._plain_page(query.within([(spans[0][0], END)]), left, limit)
        return found, totals.total

    async def _plain_page(self, condition: Document, skip: int, limit: int) -> Page:
        """LIMIT documents of the query's collection that fit CONDITION, after the first SKIP, in order of id."""
        source = self._query.collection
        # With a batch that is larger than the page, MongoDB sees that these are all.
        command = {"find": source, "filter": condition, "sort": {"_id": 1}, "skip": skip, "limit": limit}
        command["batchSize"] = limit + 1
        async with self._backend.reads.slot(self._query.account_id):
            with map_driver_errors():
                found = await self._database.run_at_once(source, command)
        if found is not None:
            return [restore_document(document) for document in found]

        async def opened() -> Any:
            collection = self._database.raw_collection(source)
            return collection.find(condition, batch_size=LARGE_BATCH).sort("_id", 1).skip(skip).limit(limit)

        return LargePage(opened)

    async def page(self, skip: int, limit: int) -> Page:
        """LIMIT of the documents, after the first SKIP, in order of id."""
        query = self._query
        if query.limit is not None:
            limit = max(0, min(limit, query.limit - skip))
        if limit == 0:
            return []
        if query.plain:
            return await self._plain_page(query.condition, skip, limit)
        source, stages = query.source, query.page(skip, limit)
        command = {"aggregate": source, "pipeline": stages, "allowDiskUse": True, "cursor": {"batchSize": limit + 1}}
        async with self._backend.reads.slot(query.account_id):
            with map_driver_errors():
                found = await self._database.run_at_once(source, command)
        if found is not None:
            return [restore_document(document) for document in found]
        collection = self._database.raw_collection(source)
        return LargePage(partial(collection.aggregate, stages, allowDiskUse=True, batchSize=LARGE_BATCH))

    async def count(self) -> int:
        """How many documents there are."""
        query = self._query
        if self._backend.counts.remembers(query):
            return (await self._backend.counts.totals(query)).total
        collection = self._database.collection(query.collection)
        with map_driver_errors():
            if query.limit == 0:
                return 0
            if query.plain:
                most: dict[str, Any] = {"limit": query.limit} if query.limit else {}
                return int(await collection.count_documents(query.condition, **most))
            source = self._database.collection(query.source)
            counting = await source.aggregate(query.counting(), allowDiskUse=True)
            counted = await counting.to_list(1)
        return int(counted[0]["total"]) if counted else 0

    @property
    def is_counted(self) -> bool:
        """Whether all that the query asks changes only with an announcement, so that it may be ``tallied``."""
        return self._backend.counts.remembers(self._query)

    async def tallied(self, tally: Tally) -> Tallied:
        """What the documents of a plain query hold, counted; not to be changed. Raises TooManyKeys, Unavailable."""
        return await self._backend.tallies.tallied(self._query, tally)

    async def pieces(
        self, fields: Sequence[str] | None = None, after: int | str = 0
    ) -> AsyncGenerator[list[Document], None]:
        """All with ids beyond AFTER, by id, in lists of about MAX_PIECE bytes; only FIELDS of them when named.

        Nothing but the list is held while the caller uses it, however long that takes. How many documents are asked
        for follows from the size of those before: what MongoDB sends at once has 16 MB at most, and most of the time
        little more than a list. The query's own limit is not applied. Times are without a zone, as in a page.
        """
        last, count = after, MIN_PIECE
        while True:
            found, size = await self._piece(last, fields, count)
            if not found:
                return
            last = found[-1]["_id"]
            count = max(1, min(4 * count, len(found) * MAX_PIECE // size, FIRST_BATCH))
            yield found

    async def _piece(self, last: int | str, fields: Sequence[str] | None, count: int) -> tuple[list[Document], int]:
        """Up to COUNT documents beyond the id LAST, of about MAX_PIECE bytes in all; they, and their bytes."""
        raw = self._database.raw_collection
        async with self._backend.reads.slot(self._query.account_id):
            with map_driver_errors():
                cursor = await self._open_cursor(self._query, last, fields, count, count, raw)
                try:
                    return await next_piece(cursor)
                finally:
                    await cursor.close()

    async def batches(
        self, last: int, size: int, fields: Sequence[str] | None = None
    ) -> AsyncGenerator[list[Document], None]:
        """All of them with ids beyond LAST, by id, SIZE at a time; the query's own limit is not applied.

        One cursor reads them, as MongoDB looks ahead in a join much farther than a thousand documents. What a cursor
        gives may be as old as the cursor, so none gets old: see ``recently_deleted_ids``. What is asked of their
        newest, though, is looked for beside it: in the pipeline the join would cost several times as much.
        """
        joined, query = self._query.newest, replace(self._query, newest=())
        fitting: list[Document] = []
        while True:
            with map_driver_errors():
                cursor, until = await self._open_cursor(query, last, fields, size), time.monotonic() + CURSOR_SECONDS
            try:
                while found := await self._next_batch(cursor, size):
                    last = found[-1]["_id"]
                    fitting += await self._filter_by_newest(joined, found)
                    while len(fitting) >= size:
                        yield fitting[:size]
                        fitting = fitting[size:]
                    if time.monotonic() >= until:
                        break
            finally:
                await cursor.close()
            if fitting:
                yield fitting
                fitting = []
            if not found:
                return

    @staticmethod
    async def _next_batch(cursor: Any, size: int) -> list[Document]:
        with map_driver_errors():
            return [restore_document(document) for document in await cursor.to_list(size)]

    async def _filter_by_newest(self, joined: Sequence[Newest], documents: list[Document]) -> list[Document]:
        """Those of the documents whose newest are as asked."""
        for newest in joined:
            pipeline = newest.deciding_pipeline([document["_id"] for document in documents])
            with map_driver_errors():
                cursor = await self._database.collection(newest.collection).aggregate(
                    pipeline, batchSize=len(documents) + 1
                )
                decided = {one["_id"] for one in await cursor.to_list(None)}
            documents = newest.select(documents, decided)
        return documents

    async def _open_cursor(
        self,
        query: Query,
        last: int | str,
        fields: Sequence[str] | None,
        size: int,
        limit: int = 0,
        collection: Callable[[str], driver.Collection] | None = None,
    ) -> Any:
        """A cursor on the documents with ids beyond LAST, by id, that reads SIZE at a time."""
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
        return await collection(query.source).aggregate(pipeline, allowDiskUse=True, batchSize=size)
