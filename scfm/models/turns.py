"""How much of a kind of work each account may have under way at once; the rest of it waits its turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from scfm.errors import Overloaded


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

    @asynccontextmanager
    async def turn(self, account_id: int | None) -> AsyncIterator[None]:
        """As long as this lasts, it is one of the account's turns; raises Overloaded."""
        semaphore = self._semaphores.get(account_id)
        if semaphore is None:
            semaphore = self._semaphores[account_id] = asyncio.Semaphore(self._max_at_once)
        if semaphore.locked():
            try:
                async with asyncio.timeout(self._max_wait):
                    await semaphore.acquire()
            except TimeoutError:
                raise Overloaded(f"too many {self._what} at once; try again") from None
        else:
            await semaphore.acquire()  # at once
        try:
            yield
        finally:
            semaphore.release()
