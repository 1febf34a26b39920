"""The register of a kind of resource: it gives the ids, and knows which documents may be about to change.

It is one document, beside the resource's collection, that whoever is about to make, change or delete documents writes
first. So whoever has read it knows of which documents what he counted before still holds: see ``counts`` and
docs/decisions/0006.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Protocol

from scfm.errors import Unavailable
from scfm.storage.batching import Batcher
from scfm.storage.query import Document

# So many ids are a block: what changes is announced by block.
BLOCK = 1024
# More changed blocks than these are not told apart any more.
MAX_TOUCHED = 1000
# How long after its announcement a document may be stored; how much later we take it for certain that it was not;
# and after how much longer than that a process that has said nothing is dead.
HOLD_SECONDS, FORGET_SECONDS, ABANDONED_SECONDS = 60.0, 180.0, 300.0
# The end of a change is told with the next one, or after so long.
REST_SECONDS = 0.05
CLEAN_SECONDS = 30.0


def blocks_of(conditions: Iterable[Document]) -> Sequence[int] | None:
    """The blocks of the ids that these conditions name; None where one names none, so that all may be meant."""
    blocks: set[int] = set()
    for condition in conditions:
        named = condition.get("_id")
        if isinstance(named, int):
            blocks.add(named // BLOCK)
        elif isinstance(named, dict) and "$in" in named:
            blocks.update(number // BLOCK for number in named["$in"])
        else:
            return None
    return sorted(blocks)


@dataclass(frozen=True)
class State:
    """What the register said at a moment.

    Documents with ids below ``settled`` are there or will never be. Block B has last been announced as number
    ``touched[B]``, or at the latest as ``floor``; announcements from number ``since`` on may not be carried out yet.
    With a ``rest``, nothing at all is under way; and whoever finds the same rest again knows that nothing was since.
    """

    settled: int
    floor: int
    since: float
    touched: Mapping[int, int]
    rest: str | None

    @classmethod
    def of(cls, register: Document) -> State:
        """What the document says; an empty one for a kind of which nothing was ever made."""
        processes = list((register.get("open") or {}).values())
        return cls(
            settled=min([register.get("last", 0) + 1, *(one["low"] for one in processes)]),
            floor=register.get("floor", 0),
            since=min((one["since"] for one in processes if one["since"] is not None), default=math.inf),
            touched={int(block): number for block, number in (register.get("touched") or {}).items()},
            rest=None if processes else f"{register.get('rest')} {register.get('last')} {register.get('seq')}",
        )


@dataclass(frozen=True)
class Entry:
    """What somebody asks of the register: new ids, to take an id back, or that a change be announced."""

    ids: int = 0
    returned: int | None = None
    changes: bool = False
    blocks: Sequence[int] | None = ()
    """None for all of them."""


def _moment() -> float:
    """Seconds that go by also while the machine sleeps, as they do for others."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Writer(Protocol):
    """Carries out a pipeline on the register's document; what PROJECTION leaves of it afterwards."""

    def __call__(self, pipeline: list[Document], projection: Document, durable: bool) -> Awaitable[Document]: ...


@dataclass
class _Ids:
    """Ids that were taken together, from FIRST on, and which of them are not settled."""

    first: int
    left: set[int]
    at: float = field(default_factory=_moment)


@dataclass
class _Changes:
    """How many of the changes that were announced under one number are not done."""

    left: int
    at: float = field(default_factory=_moment)


class Register:
    """The register of one kind, as this process sees and writes it.

    WRITE and READ reach its document. What this process has begun is written as one entry of its own, so all that is
    asked at the same time goes together, and one write is under way at a time.
    """

    def __init__(self, write: Writer, read: Callable[[], Awaitable[Document | None]]) -> None:
        self._write = write
        self._read = read
        self._process = secrets.token_hex(6)
        self._asked: Batcher[Entry, Any] = Batcher(self._carry_out)
        self._looks: Batcher[None, State] = Batcher(self._look)
        self._ids: list[_Ids] = []
        self._changes: dict[int, _Changes] = {}
        # Whether the document has, or may have, an entry of ours; and when those of the dead were last looked for.
        self._told = False
        self._cleaned = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def new_ids(self, count: int) -> range:
        """The next COUNT ids. Say ``settle`` when they are stored, or will not be."""
        ids: range = await self._asked.submit(Entry(ids=count))
        return ids

    def holds(self, numbers: Sequence[int]) -> bool:
        """Whether documents may still be stored under these ids of ``new_ids``."""
        latest = _moment() - HOLD_SECONDS
        others = set(numbers)
        for one in self._ids:
            if one.at > latest:
                others = others - one.left  # unlike -=, this does not walk over all that are left
        return not others

    def settle(self, numbers: Sequence[int]) -> None:
        """These ids have been stored, or never will be."""
        others = set(numbers)
        for one in self._ids:  # a database that has died may have given some of them twice
            settled = one.left & others
            one.left -= settled
            others -= settled
        self._ids = [one for one in self._ids if one.left]
        self._rest()

    async def give_back(self, number: int) -> None:
        """No document took the id: the next gets it, if it is still the following."""
        await self._asked.submit(Entry(returned=number))

    async def announce(self, blocks: Sequence[int] | None) -> int:
        """Documents of these blocks, for None of any, are about to change. Say ``changed`` with what this gives."""
        while True:
            began = _moment()
            number: int = await self._asked.submit(Entry(changes=True, blocks=blocks))
            if _moment() < began + HOLD_SECONDS:
                return number

    def changed(self, number: int) -> None:
        """What has been announced has been done."""
        if (ours := self._changes.get(number)) is not None:
            ours.left -= 1
            if not ours.left:
                del self._changes[number]
        self._rest()

    async def state(self) -> State:
        """What the register says now."""
        return await self._looks.submit(None)

    async def rest(self) -> None:
        """Say now that nothing is under way any more, if that is so; returns when it is said."""
        if self._closing is not None:
            await asyncio.wait([self._closing])
        if self._to_say:
            await self._say()

    def close(self) -> None:
        """Write nothing more."""
        self._asked.close()
        for pending in (self._timer, self._closing):
            if pending is not None:
                pending.cancel()

    async def _carry_out(self, entries: list[Entry]) -> Sequence[Any]:
        returned = sorted((one.returned for one in entries if one.returned is not None), reverse=True)
        counts = [one.ids for one in entries]
        changes = [one for one in entries if one.changes]
        self._forget()
        pipeline = [*map(_take_back, returned)]
        if changes:
            pipeline += _touch(changes)
        pipeline.append({"$set": {"last": {"$add": [_or_zero("$last"), sum(counts)]}, **self._entry(entries)}})
        if not any(counts) and not changes:
            pipeline.append({"$set": {"open": _alive()}})
        try:
            written = await self._write(pipeline, {"last": 1, "seq": 1}, durable=bool(changes or returned))
        except BaseException:
            # For all we know it will be carried out, and later than the next: that must not touch the same entry.
            self._told, self._process = True, secrets.token_hex(6)
            raise
        self.settle(returned)
        return self._take(entries, counts, int(written["last"]), int(written.get("seq", 0)))

    def _entry(self, entries: list[Entry]) -> Document:
        """What this process may still do, once these have been carried out."""
        path = f"open.{self._process}"
        following = {"$add": [_or_zero("$last"), 1]}
        begun: list[Any] = [one.first for one in self._ids]
        if any(one.ids for one in entries):
            begun.append(following)
        since: list[Any] = [*self._changes]
        if any(one.changes for one in entries):
            since.append("$seq")
        self._told = bool(begun or since)
        if not self._told:
            # A name that no other rest has: a MongoDB that dies may forget the last ids, and give them again.
            return {path: "$$REMOVE", "rest": secrets.token_hex(6)}
        return {
            path: {"low": {"$min": begun or [following]}, "since": {"$min": since} if since else None, "at": "$$NOW"}
        }

    def _take(self, entries: list[Entry], counts: list[int], last: int, number: int) -> Sequence[Any]:
        first = last - sum(counts) + 1
        ends = accumulate(counts, initial=first)
        found: list[Any] = []
        for entry, (begin, end) in zip(entries, pairwise(ends), strict=True):
            found.append(number if entry.changes else range(begin, end))
        if first <= last:
            self._ids.append(_Ids(first, set(range(first, last + 1))))
        if changes := sum(entry.changes for entry in entries):
            self._changes[number] = _Changes(changes)
        return found

    def _forget(self) -> None:
        """What was begun too long ago has come to nothing."""
        until = _moment() - FORGET_SECONDS
        self._ids = [one for one in self._ids if one.at > until]
        self._changes = {number: one for number, one in self._changes.items() if one.at > until}

    @property
    def _to_say(self) -> bool:
        """Whether nothing of ours is under way any more, and the document does not know it yet."""
        return self._told and not self._ids and not self._changes

    def _rest(self) -> None:
        """When nothing is under way any more, say so, unless something begins."""
        if self._to_say and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._begin_to_rest)

    def _begin_to_rest(self) -> None:
        self._timer = None
        if self._to_say:
            self._closing = asyncio.create_task(self._say())

    async def _say(self) -> None:
        """Write our entry as it is, and remove those of the dead."""
        self._cleaned = time.monotonic()
        with suppress(Unavailable):  # the next who writes says it, too
            await self._asked.submit(Entry())

    async def _look(self, asked: list[None]) -> Sequence[State]:
        found = await self._read() or {}
        if found.get("open") and self._cleaned + CLEAN_SECONDS < time.monotonic():
            self._closing = asyncio.create_task(self._say())
        return [State.of(found)] * len(asked)


def _or_zero(name: str) -> Document:
    return {"$ifNull": [name, 0]}


def _take_back(number: int) -> Document:
    return {"$set": {"last": {"$cond": [{"$eq": ["$last", number]}, number - 1, "$last"]}}}


def _touch(changes: list[Entry]) -> list[Document]:
    blocks: set[int] = set()
    for change in changes:
        blocks.update(change.blocks or ())
    everything = any(change.blocks is None for change in changes)
    many: Document = {"$gt": [{"$size": {"$objectToArray": {"$ifNull": ["$touched", {}]}}}, MAX_TOUCHED]}
    # The time makes a number that no other announcement has, even one that a primary had not told of when it died.
    number = {"$max": [{"$add": [_or_zero("$seq"), 1]}, {"$toLong": "$$NOW"}]}
    return [
        {"$set": {"seq": number}},
        {"$set": {"_all": everything or many, **{f"touched.{block}": "$seq" for block in sorted(blocks)}}},
        {
            "$set": {
                "floor": {"$cond": ["$_all", "$seq", _or_zero("$floor")]},
                "touched": {"$cond": ["$_all", {}, {"$ifNull": ["$touched", {}]}]},
            }
        },
        {"$unset": "_all"},
    ]


def _alive() -> Document:
    """The entries of processes that have said something of late."""
    until = {"$subtract": ["$$NOW", int(ABANDONED_SECONDS * 1000)]}
    entries = {"$objectToArray": {"$ifNull": ["$open", {}]}}
    kept = {"$filter": {"input": entries, "cond": {"$gt": ["$$this.v.at", until]}}}
    return {"$arrayToObject": kept}
