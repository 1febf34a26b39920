"""TTL cache with single-flight loading: the database is not asked the same for every call and every request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

CacheKey = TypeVar("CacheKey")
Value = TypeVar("Value")

MAX_ENTRIES = 10_000


@dataclass
class _Entry(Generic[Value]):
    """One load of a value, the monotonic time until which its result is valid, and what it weighs once loaded."""

    until: float
    task: asyncio.Future[Value]
    weight: int = 0


class TTLCache(Generic[CacheKey, Value]):
    """Values by key, each at most SECONDS old; those who want the same at the same time share one load.

    LOAD gets a key and gives its value; what it raises is raised to all who share the load, and not remembered. Those
    that were loaded longest ago are forgotten where there are more than MAX_ENTRIES keys, or all of them together
    weigh more than MAX_BYTES: WEIGH gives about how many bytes a value takes. The newest is kept in any case.
    """

    def __init__(
        self,
        load: Callable[[CacheKey], Awaitable[Value]],
        seconds: float,
        *,
        max_entries: int = MAX_ENTRIES,
        weigh: Callable[[Value], int] = lambda value: 0,
        max_bytes: int = 0,
    ) -> None:
        self._load = load
        self._seconds = seconds
        self._max_entries = max_entries
        self._weigh = weigh
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: dict[CacheKey, _Entry[Value]] = {}

    async def get(self, key: CacheKey) -> Value:
        """The value, as it was after the last ``forget`` and at most SECONDS ago."""
        while True:
            entry = self._entries.get(key)
            if entry is None or (entry.until < time.monotonic() and entry.task.done()):
                entry = self._begin_load(key)
            if not entry.task.done():
                await asyncio.wait([entry.task])
            current = self._entries.get(key) is entry
            if entry.task.exception() is not None:
                if current:
                    self._drop(key)
                return entry.task.result()  # raises
            if current:
                return entry.task.result()

    def peek(self, key: CacheKey) -> Value | None:
        """The value as it was loaded last, however long ago that is; None where it is not remembered."""
        entry = self._entries.get(key)
        if entry is None or not entry.task.done() or entry.task.cancelled() or entry.task.exception() is not None:
            return None
        return entry.task.result()

    def forget(self, key: CacheKey | None = None) -> None:
        """The value of KEY, or every value, has changed: load it again, and do not trust a load under way."""
        if key is None:
            self._entries.clear()
            self._bytes = 0
        else:
            self._drop(key)

    def _begin_load(self, key: CacheKey) -> _Entry[Value]:
        self._drop(key)
        if len(self._entries) >= self._max_entries:
            self._drop(next(iter(self._entries)))  # the oldest
        entry = _Entry(time.monotonic() + self._seconds, asyncio.ensure_future(self._load(key)))
        self._entries[key] = entry
        if self._max_bytes:
            entry.task.add_done_callback(lambda task: self._weigh_loaded(key, entry))
        return entry

    def _weigh_loaded(self, key: CacheKey, entry: _Entry[Value]) -> None:
        """A load has ended: forget the oldest values where there is too much with it."""
        if entry.task.cancelled() or entry.task.exception() is not None or self._entries.get(key) is not entry:
            return
        entry.weight = self._weigh(entry.task.result())
        self._bytes += entry.weight
        for oldest in list(self._entries):
            if self._bytes <= self._max_bytes:
                break
            if oldest != key and self._entries[oldest].task.done():
                self._drop(oldest)

    def _drop(self, key: CacheKey) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.weight
