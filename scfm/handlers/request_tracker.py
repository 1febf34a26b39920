"""Tracks the requests that are being answered: a server that stops waits for them, and sending yields to them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from scfm.clock import SYSTEM_CLOCK, MonotonicClock
from scfm.runtime.call_cost import CallCost

# A caller hears silence until the webhook answers, and the event loop is one for all. So a call that is about to go
# out waits while requests are under way and the loop is behind with its work, but no longer than this.
MAX_YIELD_SECONDS = 0.05
YIELD_SECONDS = 0.001
# So long after a webhook more of them are awaited: people are on the phone.
RECENT_SECONDS = 10.0
# While they are, the loop is left alone for a moment before each call.
SPACING_SECONDS = 0.001
# But a loop that is busy with those who have been called must go on to call the others: one call in the time that
# LEAVING_CALLS calls cost the processor leaves without waiting, and one more for every two callers that are answered,
# as most calls have two webhooks; what was kept catches up. Unless a caller has waited for as long as PATIENCE_CALLS
# cost. Both go by what calls cost on this machine now: one that is slow for an hour must not leave a core idle.
LEAVING_CALLS, PATIENCE_CALLS = 1.75, 130
CATCH_UP_SECONDS = 0.1


class RequestTracker:
    """The connections on which a request has begun and its answer has not been given."""

    def __init__(self, clock: MonotonicClock = SYSTEM_CLOCK, call_cost: CallCost | None = None) -> None:
        self._clock = clock
        self._call_cost = call_cost or CallCost()
        self._begun: WeakSet[Any] = WeakSet()
        # Those whose answers take minutes.
        self._streaming: WeakSet[Any] = WeakSet()
        # Since when (monotonic seconds) each webhook is being answered, the oldest first.
        self._waiting: dict[object, float] = {}
        self._recent_until = 0.0
        self._leaving_at = 0.0

    def began(self, connection: Any) -> None:
        """The head of a request has come."""
        self._begun.add(connection)

    def ended(self, connection: Any) -> None:
        """Its answer has been given."""
        self._begun.discard(connection)
        self._streaming.discard(connection)

    def streaming(self, connection: Any) -> None:
        """Its answer is sent bit by bit, perhaps for hours: calls do not wait for it any more."""
        self._begun.discard(connection)
        self._streaming.add(connection)

    @contextmanager
    def webhook(self) -> Iterator[None]:
        """A context: as long as it lasts, somebody on the phone waits for the answer to a webhook."""
        began, webhook = self._clock.monotonic(), object()
        self._recent_until = began + RECENT_SECONDS
        self._waiting[webhook] = began
        try:
            yield
        finally:
            del self._waiting[webhook]
            self._leaving_at -= self._leaving_seconds / 2

    def call_seconds(self) -> float:
        """What a call costs this process of the processor's time: the fewer, the more of them leave in a second."""
        return self._call_cost.seconds

    @property
    def webhooks_recent(self) -> bool:
        """Whether people are on the phone: what can wait should not use all of the database's time."""
        return self._clock.monotonic() < self._recent_until

    @property
    def under_way(self) -> int:
        """How many requests are being answered whose clients are still there."""
        return sum(not connection.stream.closed() for connection in (*self._begun, *self._streaming))

    async def yield_to_webhooks(self) -> None:
        """Awaited before a call leaves: returns when no request waits for the event loop, or after a limited time."""
        if not self.webhooks_recent:
            await asyncio.sleep(0)
            await self._quiet(self._clock.monotonic() + MAX_YIELD_SECONDS)
            return
        moment = self._clock.monotonic()
        longest = next(iter(self._waiting.values()), math.inf)
        kept_waiting = moment > longest + PATIENCE_CALLS * self._call_cost.seconds
        until = moment + MAX_YIELD_SECONDS if kept_waiting else self._leaving_at
        if moment < until:
            await self._clock.sleep(SPACING_SECONDS)
            await self._quiet(until)
        moment = self._clock.monotonic()
        self._leaving_at = min(max(self._leaving_at, moment - CATCH_UP_SECONDS), moment) + self._leaving_seconds
        self._call_cost.count(moment)

    async def yield_to_requests(self) -> None:
        """Awaited before something that can wait: as ``yield_to_webhooks``, but it takes no call's turn."""
        await self._clock.sleep(SPACING_SECONDS if self.webhooks_recent else 0.0)
        await self._quiet(self._clock.monotonic() + MAX_YIELD_SECONDS)

    @property
    def _leaving_seconds(self) -> float:
        return LEAVING_CALLS * self._call_cost.seconds

    async def _quiet(self, until: float) -> None:
        """Returns when no request is under way or the loop has nothing else to do, at the latest at UNTIL."""
        while self._begun and (began := self._clock.monotonic()) < until:
            await self._clock.sleep(YIELD_SECONDS)
            if self._clock.monotonic() - began < 2 * YIELD_SECONDS:
                return
