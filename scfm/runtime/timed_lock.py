"""A lock that is waited for no longer than a given time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class TimedLock:
    """``async with`` it: LOCK is held. A caller that waits longer than SECONDS, if that is not None, gets LATE()."""

    __slots__ = ("_late", "_lock", "_seconds")

    def __init__(
        self, lock: asyncio.Lock | asyncio.Semaphore, seconds: float | None, late: Callable[[], Exception]
    ) -> None:
        self._lock = lock
        self._seconds = seconds
        self._late = late

    async def __aenter__(self) -> None:
        if not self._lock.locked():  # no timer is needed
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise self._late() from None

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
