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


@dataclass(frozen=True)
class _Entry(Generic[Value]):
    """One load of a value, and the monotonic time until which its result is valid."""

    until: float
    task: asyncio.Future[Value]


class TTLCache(Generic[CacheKey, Value]):
    """Values by key, each at most SECONDS old; those who want the same at the same time share one load.

    LOAD gets a key and gives its value; what it raises is raised to all who share the load, and not remembered. Of
    more than MAX_ENTRIES keys those that were loaded longest ago are forgotten.
    """

    def __init__(
        self, load: Callable[[CacheKey], Awaitable[Value]], seconds: float, max_entries: int = MAX_ENTRIES
    ) -> None:
        self._load = load
        self._seconds = seconds
        self._max_entries = max_entries
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
                    del self._entries[key]
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
        else:
            self._entries.pop(key, None)

    def _begin_load(self, key: CacheKey) -> _Entry[Value]:
        self._entries.pop(key, None)
        if len(self._entries) >= self._max_entries:
            del self._entries[next(iter(self._entries))]  # the oldest
        entry = _Entry(time.monotonic() + self._seconds, asyncio.ensure_future(self._load(key)))
        self._entries[key] = entry
        return entry
