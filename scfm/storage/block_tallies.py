"""What the documents of a query hold, counted by block of ids, without walking over all of them each time."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from scfm.runtime.time_slice import TimeSlice
from scfm.storage.block_watch import END, BlockWatch, ChangeWatch, Remembered, Span, changing_blocks, spans_of
from scfm.storage.change_log import BLOCK, ChangeLog
from scfm.storage.counted_fields import CountedFields
from scfm.storage.counter_state import CounterState
from scfm.storage.counters import Counters
from scfm.storage.database import Database
from scfm.storage.driver import Collection
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import MAX_SPANS, Document, Query

# How many tallies are remembered, and how many counts of blocks, of all of them: each takes eight bytes.
MAX_TALLIES, MAX_COUNTS = 200, 5_000_000
# How many different keys one tally may have: each takes some hundred bytes.
MAX_KEYS = 1_000_000
# Blocks that one aggregation counts, and rows of it that come at once.
MAX_BLOCKS_AT_ONCE, ROWS_AT_ONCE = 64, 500

TallyKey = tuple[Any, ...]
"""What is counted: ``("people", "unreached", "busy", 2)``."""


@dataclass(frozen=True)
class Tally:
    """How documents are tallied; ``name`` tells it from other tallies of the same documents.

    ``stages`` are those of a pipeline after which the documents, or parts of them, are grouped ``by`` expressions,
    and of each group ``values`` are accumulated. ``read`` makes counts of a group (its ``by`` and ``values``). Values
    called ``first`` and ``last`` are moments, of which the earliest and the latest of all are kept. ``index`` is
    walked: in it, a document must stay where it is, so that each is met once, whatever changes meanwhile.

    ``joined``: where the stages look into another collection, the name of it, and the field that names its documents.
    All that is read of these must change only with an announcement, as well.
    """

    name: str
    index: Mapping[str, int]
    stages: tuple[Document, ...]
    by: Mapping[str, Any]
    values: Mapping[str, Any]
    read: Callable[[Document], Iterable[tuple[TallyKey, int]]]
    joined: tuple[str, str] | None = None
    max_keys: int = MAX_KEYS


class TooManyKeys(Exception):
    """The documents hold too many different things."""


@dataclass
class Tallied:
    """Counts by what is counted, none of them 0, and the moments: of one block, or of all.

    ``joined``: of one block, the blocks of the documents that were joined.
    """

    counts: Counter[TallyKey] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    joined: set[int] = field(default_factory=set, compare=False, repr=False)

    def add(self, tally: Tally, group: Document) -> None:
        """Add a group of documents."""
        for key, count in tally.read(group):
            self.counts[key] += count
        self.extend(group.get("first"), group.get("last"))
        self.joined.update(map(int, group.get("joined", ())))

    def extend(self, first: datetime | None, last: datetime | None) -> None:
        """Take in the moments of a part."""
        self.first = min(filter(None, (self.first, first)), default=None)
        self.last = max(filter(None, (self.last, last)), default=None)


class BlockTallies:
    """The tallies that were asked for last, by query: MAX_TALLIES of them, and of MAX_COUNTS no more than one."""

    def __init__(self, database: Database, counters: Counters, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self._database = database
        self._counters = counters
        self._counted = counted
        self._known: dict[bytes, _KnownTally] = {}

    async def tallied(self, query: Query, tally: Tally) -> Tallied:
        """The tally of a plain query, as it is now; not to be changed. Raises TooManyKeys, Unavailable.

        All that the query asks of a document, and that the tally reads of it, must change only with an announcement
        (CountedFields).
        """
        key = orjson.dumps([tally.name, query.collection, query.account_id, query.where], default=repr)
        known = self._known.pop(key, None)
        if known is None:
            joined = self._changes(tally.joined[0]) if tally.joined else None
            collection = self._database.collection(query.collection)
            known = _KnownTally(query, tally, collection, self._changes(query.collection), joined)
        self._known[key] = known
        held = sum(known.held_counts for known in self._known.values())
        while len(self._known) > MAX_TALLIES or (held > MAX_COUNTS and len(self._known) > 1):
            held -= self._known.pop(next(iter(self._known))).held_counts
        return await known.requests.submit(None)

    def _changes(self, collection: str) -> ChangeLog:
        return self._counters.changes(self._counted[collection].kind)


class _Block(NamedTuple):
    """What was found in a block: its keys, by their numbers, and their counts; its moments; the blocks joined."""

    keys: array[int]
    counts: array[int]
    first: datetime | None
    last: datetime | None
    joined: frozenset[int]


class _KnownTally(Remembered[Tallied]):
    """The tally of each block that has documents of the query, and of all of them together."""

    def __init__(
        self, query: Query, tally: Tally, collection: Collection, changes: ChangeLog, joined: ChangeLog | None
    ) -> None:
        super().__init__(changes, joined)
        self._query, self._tally, self._collection = query, tally, collection
        self._begin()

    def _begin(self) -> None:
        """Nothing is known."""
        self.watch, self.joined_changes = BlockWatch(), ChangeWatch()
        # What is beyond the full blocks is counted under END.
        self._blocks: dict[int, _Block] = {}
        self._counts: Counter[TallyKey] = Counter()
        # Every key has a number, by which blocks have it.
        self._numbers: dict[TallyKey, int] = {}
        self._keys: list[TallyKey] = []
        self.held_counts = 0

    async def _count(self, state: CounterState, joined: CounterState | None) -> Tallied:
        try:
            return await self._count_changed(state, joined)
        except TooManyKeys:
            outdated = len(self._keys) - len(self._counts)
            self._begin()
            if outdated < self._tally.max_keys // 2:
                raise
        self.watch.take(state)
        return await self._count_changed(state, joined)

    async def _count_changed(self, state: CounterState, joined: CounterState | None) -> Tallied:
        for block in [block for block in self._blocks if block >= self.watch.full]:
            self._replace(block, None)
        changing = self.watch.changing(state)
        if joined is not None:
            self.watch.unknown |= self._joined_to(self.joined_changes.take(joined))
            changing |= self._joined_to(changing_blocks(joined))
        self.watch.unknown |= changing
        parts = [*_at_once(sorted(self.watch.unknown))] or [[]]
        for some in parts:
            # What is beyond the full blocks is counted with the last of them.
            beyond = [(self.watch.tail_from, END)] if some is parts[-1] else []
            found = await self._count_blocks([*spans_of(some), *beyond])
            for block in some:
                self._replace(block, found.pop(block, None))
            self.watch.unknown.difference_update({*some} - changing)
        self._replace(END, _together(found.values()))
        answer = Tallied(self._counts.copy())
        for known in self._blocks.values():
            answer.extend(known.first, known.last)
        return answer

    def _joined_to(self, changed: set[int] | None) -> set[int]:
        """The full blocks that have joined a document of one of these blocks, None for all."""
        if changed is None:
            return set(range(self.watch.full))
        known = ((number, block.joined) for number, block in self._blocks.items() if number != END)
        return {number for number, joined in known if not joined.isdisjoint(changed)} if changed else set()

    def _replace(self, block: int, tallied: Tallied | None) -> None:
        """Put what was found of a block in the place of what was known of it."""
        if (known := self._blocks.pop(block, None)) is not None:
            self.held_counts -= len(known.keys)
            for number, count in zip(known.keys, known.counts, strict=True):
                key = self._keys[number]
                self._counts[key] -= count
                if not self._counts[key]:
                    del self._counts[key]
        if tallied is None or not tallied.counts:
            return
        counts = {key: count for key, count in tallied.counts.items() if count}
        keys = array("I", map(self._number, counts))
        self._counts.update(counts)
        self.held_counts += len(keys)
        joined = frozenset(tallied.joined)
        self._blocks[block] = _Block(keys, array("I", counts.values()), tallied.first, tallied.last, joined)

    def _number(self, key: TallyKey) -> int:
        number = self._numbers.setdefault(key, len(self._keys))
        if number == len(self._keys):
            if number == self._tally.max_keys:
                raise TooManyKeys
            self._keys.append(key)
        return number

    async def _count_blocks(self, spans: list[Span]) -> dict[int, Tallied]:
        """The tally of each block in the spans that has documents of the query, and perhaps of others."""
        tally, values = self._tally, dict(self._tally.values)
        if tally.joined:
            values["joined"] = {"$addToSet": {"$floor": {"$divide": [f"${tally.joined[1]}", BLOCK]}}}
        pipeline = [
            {"$match": self._query.within(spans)},
            *tally.stages,
            {"$group": {"_id": {"block": {"$floor": {"$divide": ["$_id", BLOCK]}}, **tally.by}, **values}},
        ]
        found: dict[int, Tallied] = {}
        time_slice = TimeSlice()
        with map_driver_errors():
            cursor = await self._collection.aggregate(
                pipeline, hint=dict(tally.index), allowDiskUse=True, batchSize=ROWS_AT_ONCE
            )
            async for group in cursor:
                by = group.pop("_id")
                found.setdefault(int(by["block"]), Tallied()).add(tally, {**by, **group})
                await time_slice.pause()
        return found


def _together(tallies: Iterable[Tallied]) -> Tallied:
    """The sum of some tallies."""
    together = Tallied()
    for tallied in tallies:
        together.counts.update(tallied.counts)
        together.extend(tallied.first, tallied.last)
    return together


def _at_once(blocks: list[int]) -> Iterator[list[int]]:
    """The blocks, which are in order, in lists that one aggregation may be asked for, with one more piece."""
    some: list[int] = []
    pieces = 0
    for block in blocks:
        pieces += not some or some[-1] + 1 != block
        if pieces >= MAX_SPANS or len(some) == MAX_BLOCKS_AT_ONCE:
            yield some
            some, pieces = [], 1
        some.append(block)
    if some:
        yield some
