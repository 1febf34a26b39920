"""How much of a kind of work each account may have under way at the same time."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from scfm.errors import Overloaded
from scfm.runtime.timed_lock import TimedLock


class AccountConcurrency:
    """A semaphore for each account: MAX_AT_ONCE slots, taken in the order in which they are asked for.

    A caller that waits for longer than MAX_WAIT seconds, if that is not None, gets Overloaded, whose text names WORK.
    No slot may be taken within another one of the same kind: the account's others may all be waiting there too.
    """

    def __init__(self, work: str, max_at_once: int, max_wait: float | None = None) -> None:
        self._work = work
        self._max_at_once = max_at_once
        self._max_wait = max_wait
        # An account's semaphore lasts as long as somebody uses it.
        self._semaphores: WeakValueDictionary[int | None, asyncio.Semaphore] = WeakValueDictionary()

    def slot(self, account_id: int | None) -> TimedLock:
        """``async with`` it: one of the account's slots is held. Raises Overloaded."""
        semaphore = self._semaphores.get(account_id)
        if semaphore is None:
            semaphore = self._semaphores[account_id] = asyncio.Semaphore(self._max_at_once)
        return TimedLock(semaphore, self._max_wait, lambda: Overloaded(f"too many {self._work} at once; try again"))
