"""What was found a moment ago, so that the database is not asked the same for every call and every request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")

MAX_ENTRIES = 10_000


@dataclass(frozen=True)
class _Look(Generic[Value]):
    """One look for a value, and the monotonic time until which what it finds will do."""

    until: float
    task: asyncio.Future[Value]


class TTLCache(Generic[Key, Value]):
    """Values by key, each at most SECONDS old; those who want the same at the same time share one look.

    FIND looks for the value of a key; what it raises is raised to all who share the look, and not remembered.
    """

    def __init__(self, find: Callable[[Key], Awaitable[Value]], seconds: float, most: int = MAX_ENTRIES) -> None:
        self._find = find
        self._seconds = seconds
        self._most = most
        self._looks: dict[Key, _Look[Value]] = {}

    async def get(self, key: Key) -> Value:
        """The value, as it was after the last ``forget`` and at most SECONDS ago."""
        while True:
            look = self._looks.get(key)
            if look is None or (look.until < time.monotonic() and look.task.done()):
                look = self._begin(key)
            if not look.task.done():
                await asyncio.wait([look.task])
            remembered = self._looks.get(key) is look
            if look.task.exception() is not None:
                if remembered:
                    del self._looks[key]
                return look.task.result()  # raises
            if remembered:
                return look.task.result()

    def forget(self, key: Key | None = None) -> None:
        """The value of KEY, or every value, has changed: look again, and do not trust a look under way."""
        if key is None:
            self._looks.clear()
        else:
            self._looks.pop(key, None)

    def _begin(self, key: Key) -> _Look[Value]:
        self._looks.pop(key, None)
        if len(self._looks) >= self._most:
            del self._looks[next(iter(self._looks))]  # the oldest
        look = _Look(time.monotonic() + self._seconds, asyncio.ensure_future(self._find(key)))
        self._looks[key] = look
        return look
