"""The stored counter of a kind of resource: the ids that were given, and which documents may be about to change.

It is one document of the collection ``counters``. A process that is about to make, change or delete documents writes
it first, so a process that reads it knows which of its earlier counts still hold: see ``block_counts``.
What is stored, and what it says, is in ``counter_state``.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, cast

from pymongo import ReturnDocument

from scfm.errors import Unavailable
from scfm.storage.batching import Batcher
from scfm.storage.counter_state import CounterState, StoredCounter
from scfm.storage.database import COUNTERS, Database
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document

# Of more dirty blocks than these, the half that were announced last is told apart.
MAX_DIRTY_BLOCKS = 1000
# How long after its announcement a document may be stored; how much later we take it for certain that it was not;
# and after how much longer than that a process that has said nothing is dead.
HOLD_SECONDS, FORGET_SECONDS, ABANDONED_SECONDS = 60.0, 180.0, 300.0
# The end of a change is told with the next one, or after so long.
QUIESCENT_SECONDS = 0.05
CLEAN_SECONDS = 30.0


@dataclass(frozen=True)
class CounterRequest:
    """One request to the counter: COUNT new ids, to release one, or to announce a change of ``blocks``."""

    count: int = 0
    released: int | None = None
    change: bool = False
    blocks: Sequence[int] | None = ()
    """None for all of them."""


def boot_seconds() -> float:
    """Seconds that go by also while the machine sleeps, as they do for others."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


@dataclass
class OpenIds:
    """Ids that were given together, from FIRST on, and which of them are neither committed nor released."""

    first: int
    left: set[int]
    at: float = field(default_factory=boot_seconds)


@dataclass
class OpenChanges:
    """How many of the changes that were announced under one number have not ended."""

    left: int
    at: float = field(default_factory=boot_seconds)


class Counter:
    """The counter of one kind, as this process sees and writes it: what IdAllocator and ChangeLog stand on.

    What this process has begun is stored as one entry of its own (``open.PROCESS``), so all ``requests`` of the same
    time go together, and one write is under way at a time.
    """

    def __init__(self, database: Database, kind: str) -> None:
        self.requests: Batcher[CounterRequest, Any] = Batcher(self._carry_out)
        self.reads: Batcher[None, CounterState] = Batcher(self._read)
        self.open_ids: list[OpenIds] = []
        self.open_changes: dict[int, OpenChanges] = {}
        self._database = database
        self._kind = kind
        self._process = secrets.token_hex(6)
        # Whether the document has, or may have, an entry of ours; and when those of dead processes were last removed.
        self._told = False
        self._cleaned = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    def decide(self, document_ids: Sequence[int]) -> None:
        """Documents have been stored under these ids, or never will be."""
        others = set(document_ids)
        for ids in self.open_ids:  # a database that has died may have given some of them twice
            decided = ids.left & others
            ids.left -= decided
            others -= decided
        self.open_ids = [ids for ids in self.open_ids if ids.left]
        self.tell_soon()

    def tell_soon(self) -> None:
        """When nothing is under way any more, say so, unless something begins."""
        if self._to_tell and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(QUIESCENT_SECONDS, self._begin_to_tell)

    async def quiesce(self) -> None:
        """Say now that nothing is under way any more, if that is so; returns when it is said."""
        if self._closing is not None:
            await asyncio.wait([self._closing])
        if self._to_tell:
            await self._tell()

    def close(self) -> None:
        """Write nothing more."""
        self.requests.close()
        for pending in (self._timer, self._closing):
            if pending is not None:
                pending.cancel()

    async def _carry_out(self, requests: list[CounterRequest]) -> Sequence[Any]:
        """Write them as one update; for each the range of its ids, or the number of its change."""
        released = sorted((one.released for one in requests if one.released is not None), reverse=True)
        counts = [one.count for one in requests]
        changes = [one for one in requests if one.change]
        until = boot_seconds() - FORGET_SECONDS  # what was begun earlier has come to nothing
        self.open_ids = [ids for ids in self.open_ids if ids.at > until]
        self.open_changes = {number: one for number, one in self.open_changes.items() if one.at > until}
        pipeline = [*map(_taken_back, released)]
        if changes:
            pipeline += _dirtied(changes)
        pipeline.append({"$set": {"last": {"$add": [_or_zero("$last"), sum(counts)]}, **self._entry(requests)}})
        if not any(counts) and not changes:
            pipeline.append({"$set": {"open": _alive()}})
        try:
            last, number = await self._write(pipeline, durable=bool(changes or released))
        except BaseException:
            # For all we know it will be carried out, and later than the next: that must not touch the same entry.
            self._told, self._process = True, secrets.token_hex(6)
            raise
        self.decide(released)
        return self._begun(requests, counts, last, number)

    async def _write(self, pipeline: list[Document], *, durable: bool) -> tuple[int, int]:
        """Apply PIPELINE to the stored document; its last id and its last change number then."""
        with map_driver_errors():
            counters = self._database.durable_counters if durable else self._database.collection(COUNTERS)
            written = await counters.find_one_and_update(
                {"_id": self._kind},
                pipeline,
                {"last": 1, "seq": 1},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return int(written["last"]), int(written.get("seq", 0))

    def _entry(self, requests: list[CounterRequest]) -> Document:
        """What this process may still do, once these have been carried out."""
        path = f"open.{self._process}"
        following = {"$add": [_or_zero("$last"), 1]}
        begun: list[Any] = [ids.first for ids in self.open_ids]
        if any(one.count for one in requests):
            begun.append(following)
        since: list[Any] = [*self.open_changes]
        if any(one.change for one in requests):
            since.append("$seq")
        self._told = bool(begun or since)
        if not self._told:
            # A token that was never there: a MongoDB that dies may forget the last ids, and give them again.
            return {path: "$$REMOVE", "rest": secrets.token_hex(6)}
        return {
            path: {"low": {"$min": begun or [following]}, "since": {"$min": since} if since else None, "at": "$$NOW"}
        }

    def _begun(self, requests: list[CounterRequest], counts: list[int], last: int, number: int) -> Sequence[Any]:
        first = last - sum(counts) + 1
        ends = accumulate(counts, initial=first)
        answers: list[Any] = []
        for request, (begin, end) in zip(requests, pairwise(ends), strict=True):
            answers.append(number if request.change else range(begin, end))
        if first <= last:
            self.open_ids.append(OpenIds(first, set(range(first, last + 1))))
        if changes := sum(request.change for request in requests):
            self.open_changes[number] = OpenChanges(changes)
        return answers

    @property
    def _to_tell(self) -> bool:
        """Whether nothing of ours is under way any more, and the document does not know it yet."""
        return self._told and not self.open_ids and not self.open_changes

    def _begin_to_tell(self) -> None:
        self._timer = None
        if self._to_tell:
            self._closing = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        """Write our entry as it is, and remove those of dead processes."""
        self._cleaned = time.monotonic()
        with suppress(Unavailable):  # the next write says it, too
            await self.requests.submit(CounterRequest())

    async def _read(self, asked: list[None]) -> Sequence[CounterState]:
        with map_driver_errors():
            found = await self._database.collection(COUNTERS).find_one({"_id": self._kind})
        stored = cast(StoredCounter, found or {})
        if stored.get("open") and self._cleaned + CLEAN_SECONDS < time.monotonic():
            self._closing = asyncio.create_task(self._tell())
        return [CounterState.of(stored)] * len(asked)


def _or_zero(name: str) -> Document:
    return {"$ifNull": [name, 0]}


def _taken_back(document_id: int) -> Document:
    """The stage that takes an id back, if it is still the last."""
    return {"$set": {"last": {"$cond": [{"$eq": ["$last", document_id]}, document_id - 1, "$last"]}}}


def _dirtied(changes: list[CounterRequest]) -> list[Document]:
    """The stages that give these changes the next number, and their blocks with it."""
    # The time makes a number that no other change has, even one that a primary had not told of when it died.
    number = {"$max": [{"$add": [_or_zero("$seq"), 1]}, {"$toLong": "$$NOW"}]}
    numbered: Document = {"$set": {"seq": number, "touched": {"$ifNull": ["$touched", {}]}}}
    if any(change.blocks is None for change in changes):
        return [numbered, {"$set": {"floor": "$seq", "touched": {"$literal": {}}}}]
    blocks = {block for change in changes for block in change.blocks or ()}
    touched: Document = {"$set": {f"touched.{block}": "$seq" for block in sorted(blocks)}}
    return [numbered, *([touched] if blocks else []), *_forgotten()]


def _forgotten() -> list[Document]:
    """The stages that, of too many dirty blocks, forget the half that was announced longest ago."""
    known: Document = {"$objectToArray": "$touched"}
    newest_first: Document = {"$sortArray": {"input": known, "sortBy": {"v": -1}}}
    many: Document = {"$gt": [{"$size": known}, MAX_DIRTY_BLOCKS]}
    kept = MAX_DIRTY_BLOCKS // 2
    floor: Document = {"$max": [_or_zero("$floor"), {"$arrayElemAt": ["$_known.v", kept]}]}
    touched: Document = {"$arrayToObject": {"$slice": ["$_known", kept]}}
    return [
        {"$set": {"_known": {"$cond": [many, newest_first, None]}}},
        {
            "$set": {
                "floor": {"$cond": ["$_known", floor, _or_zero("$floor")]},
                "touched": {"$cond": ["$_known", touched, "$touched"]},
            }
        },
        {"$unset": "_known"},
    ]


def _alive() -> Document:
    """The entries of processes that have said something of late."""
    until = {"$subtract": ["$$NOW", int(ABANDONED_SECONDS * 1000)]}
    entries = {"$objectToArray": {"$ifNull": ["$open", {}]}}
    kept = {"$filter": {"input": entries, "cond": {"$gt": ["$$this.v.at", until]}}}
    return {"$arrayToObject": kept}
