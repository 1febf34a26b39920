"""The counters of every kind of resource, as one process sees them."""

from __future__ import annotations

from scfm.storage.change_log import ChangeLog
from scfm.storage.counter import Counter
from scfm.storage.database import Database
from scfm.storage.id_allocator import IdAllocator


class Counters:
    """One IdAllocator and one ChangeLog a kind, on one stored counter."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counters: dict[str, Counter] = {}
        self._ids: dict[str, IdAllocator] = {}
        self._changes: dict[str, ChangeLog] = {}

    def ids(self, kind: str) -> IdAllocator:
        """The ids of a kind of resource."""
        if kind not in self._ids:
            self._ids[kind] = IdAllocator(self._counter(kind))
        return self._ids[kind]

    def changes(self, kind: str) -> ChangeLog:
        """The changes of the documents of a kind."""
        if kind not in self._changes:
            self._changes[kind] = ChangeLog(self._counter(kind))
        return self._changes[kind]

    def _counter(self, kind: str) -> Counter:
        if kind not in self._counters:
            self._counters[kind] = Counter(self._database, kind)
        return self._counters[kind]

    async def quiesce(self) -> None:
        """Leave word that this process has nothing under way: see CounterState."""
        for counter in self._counters.values():
            await counter.quiesce()

    def close(self) -> None:
        """Write nothing more."""
        for counter in self._counters.values():
            counter.close()
