"""How many documents a query has, and where its pages begin, without walking over all of them each time."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import orjson

from scfm.storage.block_watch import END, Remembered, Span, spans_of
from scfm.storage.change_log import BLOCK, ChangeLog
from scfm.storage.counted_fields import CountedFields
from scfm.storage.counter_state import CounterState
from scfm.storage.counters import Counters
from scfm.storage.database import Database
from scfm.storage.driver import Collection
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document, Query

# How many queries are remembered. Each takes twelve bytes a block.
MAX_QUERIES = 200


def _names(condition: Any) -> list[str]:
    """The fields and paths in a condition; an expression counts as a name of its own."""
    if isinstance(condition, list):
        return [name for one in condition for name in _names(one)]
    found: list[str] = []
    for name, value in condition.items():
        found += _names(value) if name in ("$and", "$or", "$nor") else [name]
    return found


@dataclass(frozen=True)
class Totals:
    """How many documents a query has.

    ``running``: up to the end of each block, for the blocks below the id ``tail_from``; ``beyond``: from that id on.
    """

    running: Sequence[int]
    tail_from: int
    beyond: int

    @property
    def total(self) -> int:
        return (self.running[-1] if self.running else 0) + self.beyond

    def spans_of_page(self, skip: int, limit: int) -> tuple[list[Span], int]:
        """The ids where the LIMIT documents after the first SKIP are, and how many are to be skipped there."""
        first = bisect_right(self.running, skip)
        last = bisect_left(self.running, skip + limit, first)
        running = [self.running[first - 1] if first else 0, *self.running[first : last + 1]]
        spans = spans_of([block for block, (one, next_) in enumerate(pairwise(running), first) if next_ > one])
        if running[-1] < skip + limit:
            spans.append((self.tail_from, END))
        return spans, skip - running[0]


class BlockCounts:
    """What is remembered of every query, the latest MAX_QUERIES of them."""

    def __init__(self, database: Database, counters: Counters, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self._database = database
        self._counters = counters
        self._counted = counted
        self._known: dict[bytes, _KnownQuery] = {}

    def remembers(self, query: Query) -> bool:
        """Whether all that the query asks of a document changes only with an announcement."""
        counted = self._counted.get(query.collection)
        if counted is None or not query.plain or query.limit is not None:
            return False
        return all(map(counted.announced, _names(list(query.where))))

    async def totals(self, query: Query) -> Totals:
        """The totals of a query that is remembered, as they are now; raises Unavailable."""
        key = orjson.dumps([query.collection, query.account_id, query.where], default=repr)
        known = self._known.pop(key, None)
        if known is None:
            changes = self._counters.changes(self._counted[query.collection].kind)
            known = _KnownQuery(query, self._database.collection(query.collection), changes)
        self._known[key] = known
        if len(self._known) > MAX_QUERIES:
            del self._known[next(iter(self._known))]
        return await known.requests.submit(None)


class _KnownQuery(Remembered[Totals]):
    """What a query has in each block from the first on, but for the unknown ones."""

    def __init__(self, query: Query, collection: Collection, changes: ChangeLog) -> None:
        super().__init__(changes)
        self._query, self._collection = query, collection
        self._blocks = array("I")
        self._sums = array("Q")

    async def _count(self, state: CounterState, joined: CounterState | None) -> Totals:
        del self._blocks[self.watch.full :]
        self._blocks.extend([0] * (self.watch.full - len(self._blocks)))
        if state.floor >= state.since:  # any document may be changing
            return Totals((), 0, await self._count_span((0, END)))
        sums = await self._running_totals(self.watch.changing(state))
        tail_from = self.watch.tail_from
        return Totals(sums, tail_from, await self._count_span((tail_from, END)))

    async def _running_totals(self, changing: set[int]) -> Sequence[int]:
        """How many there are up to the end of each block."""
        looked_for = self.watch.unknown | changing
        if looked_for:
            found = await self._count_blocks(spans_of(sorted(looked_for)))
            for block in looked_for:
                self._blocks[block] = found.get(block, 0)
            self.watch.unknown = changing
        if looked_for or len(self._sums) != len(self._blocks):
            self._sums = array("Q", accumulate(self._blocks))
        return self._sums

    async def _count_span(self, span: Span) -> int:
        """How many documents of the query have ids in the span."""
        with map_driver_errors():
            return int(await self._collection.count_documents(self._query.within([span])))

    async def _count_blocks(self, spans: Sequence[Span]) -> dict[int, int]:
        """The same of each block in the spans that has any."""
        block: Document = {"$floor": {"$divide": ["$_id", BLOCK]}}
        pipeline = [{"$match": self._query.within(spans)}, {"$group": {"_id": block, "total": {"$sum": 1}}}]
        with map_driver_errors():
            cursor = await self._collection.aggregate(pipeline, allowDiskUse=True)
            found = await cursor.to_list(None)
        return {int(one["_id"]): one["total"] for one in found}
