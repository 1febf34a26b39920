"""Ids of a kind of resource: whole numbers from 1 on, in the order in which they are given."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.storage.counter import HOLD_SECONDS, Counter, CounterRequest, boot_seconds


class IdAllocator:
    """The ids of one kind. ``commit`` or ``release`` what ``allocate`` gave, when it is known what became of it."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def allocate(self, count: int) -> range:
        """The next COUNT ids; raises Unavailable.

        They are not on disk yet: a MongoDB that dies may give them again, until a document that has one of them is
        stored, since what it writes goes to disk in order. The second to store one is refused by the index of ids.
        Neither holds between shards: on a sharded cluster they are on disk (docs/decisions/0012).
        """
        ids: range = await self._counter.requests.submit(CounterRequest(count=count))
        return ids

    def holds(self, document_ids: Sequence[int]) -> bool:
        """Whether documents may still be stored under these ids of ``allocate``."""
        latest = boot_seconds() - HOLD_SECONDS
        others = set(document_ids)
        for ids in self._counter.open_ids:
            if ids.at > latest:
                others = others - ids.left  # unlike -=, this does not walk over all that are left
        return not others

    def commit(self, document_ids: Sequence[int]) -> None:
        """Documents have been stored under these ids, or never will be."""
        self._counter.decide(document_ids)

    async def release(self, document_id: int) -> None:
        """No document took the id: the next gets it, if it is still the following."""
        await self._counter.requests.submit(CounterRequest(released=document_id))
