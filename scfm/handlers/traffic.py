"""The requests that are being answered: a server that stops waits for them, and calls let them go first."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from weakref import WeakSet

# A caller hears silence until the webhook answers, and the event loop is one for all. So a call that is about to go
# out waits while requests are under way and the loop is behind with its work, but no longer than this.
ASIDE_SECONDS = 0.05
STEP_SECONDS = 0.001
# So long after a webhook more of them are awaited: people are on the phone.
CALLERS_SECONDS = 10.0
# While they are, the loop is left alone for a moment before each call.
SPACING_SECONDS = 0.001


class Traffic:
    """The connections on which a request has begun and its answer has not been given."""

    def __init__(self) -> None:
        self._begun: WeakSet[Any] = WeakSet()
        self._callers_until = 0.0

    def began(self, connection: Any) -> None:
        """The head of a request has come."""
        self._begun.add(connection)

    def ended(self, connection: Any) -> None:
        """Its answer has been given."""
        self._begun.discard(connection)

    def caller(self) -> None:
        """Somebody on the phone waits for the answer to a webhook."""
        self._callers_until = time.monotonic() + CALLERS_SECONDS

    @property
    def callers(self) -> bool:
        """Whether people are on the phone, so that what can wait should not take all of the database."""
        return time.monotonic() < self._callers_until

    @property
    def under_way(self) -> int:
        """How many requests are being answered whose clients are still there."""
        return sum(not connection.stream.closed() for connection in self._begun)

    async def stand_aside(self) -> None:
        """Returns when whatever is due has had its turn."""
        await asyncio.sleep(SPACING_SECONDS if self.callers else 0)
        until = time.monotonic() + ASIDE_SECONDS
        while self._begun and (began := time.monotonic()) < until:
            await asyncio.sleep(STEP_SECONDS)
            if time.monotonic() - began < 2 * STEP_SECONDS:
                return  # the loop has nothing else to do
