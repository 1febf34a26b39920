"""Whose turn it is: locks that are waited for no longer than a time, and how many turns each account may have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from scfm.errors import Overloaded


class Turn:
    """``async with`` it: LOCK is held. Whoever waits for longer than SECONDS, if that is not None, gets LATE()."""

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


class AccountTurns:
    """At most MAX_AT_ONCE turns of each account at the same time, in the order in which they are asked for.

    Whoever waits for longer than MAX_WAIT seconds, if that is not None, gets Overloaded. A turn must not be taken
    within another one of the same kind: the account's other turns may all be in the same place.
    """

    def __init__(self, what: str, max_at_once: int, max_wait: float | None = None) -> None:
        self._what = what
        self._max_at_once = max_at_once
        self._max_wait = max_wait
        # An account's semaphore lasts as long as somebody uses it.
        self._semaphores: WeakValueDictionary[int | None, asyncio.Semaphore] = WeakValueDictionary()

    def turn(self, account_id: int | None) -> Turn:
        """As long as this lasts, it is one of the account's turns; raises Overloaded."""
        semaphore = self._semaphores.get(account_id)
        if semaphore is None:
            semaphore = self._semaphores[account_id] = asyncio.Semaphore(self._max_at_once)
        return Turn(semaphore, self._max_wait, self._overloaded)

    def _overloaded(self) -> Overloaded:
        return Overloaded(f"too many {self._what} at once; try again")
