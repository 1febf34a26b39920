"""A clock that the test owns: monotonic, wall and the database's, all of which stand still unless they are moved."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scfm.clock import MonotonicClock
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.storage.store import Store

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


class OwnedClock(MonotonicClock):
    """Seconds that go by only when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.seconds + seconds, self._count, woken))
        await woken

    @property
    def sleeping(self) -> int:
        """How many wait for their time."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    @property
    def next_waking(self) -> float | None:
        """When the next sleeper is to be woken."""
        return self._sleepers[0][0] if self._sleepers else None

    def advance(self, seconds: float) -> None:
        """Let SECONDS go by at once, as while a machine stands still; then those wake whose time has come."""
        self.seconds += seconds
        while self._sleepers and self._sleepers[0][0] <= self.seconds:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    @property
    def wall(self) -> datetime:
        """The same as a time of day."""
        return BEGIN + timedelta(seconds=self.seconds)


class Wall:
    """A wall clock that a test sets; between that it goes like the machine's. It takes the place of ``datetime``."""

    offset = timedelta()

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + self.offset

    def set(self, by: timedelta) -> None:
        self.offset += by


class OwnedStore(Store):
    """A store whose database tells the time by the test's clock."""

    owned: OwnedClock

    @classmethod
    def within(cls, store: Store, clock: OwnedClock) -> OwnedStore:
        """The same database."""
        owned = cls(store.database, store.backend.counted)
        owned.owned = clock
        return owned

    def _moment(self) -> Any:
        return self.owned.wall


class Watched(Provider):
    """Takes every call, and notes when by the test's clock."""

    def __init__(self, clock: OwnedClock) -> None:
        super().__init__(timeout=5)
        self._clock = clock
        self.left: list[tuple[float, str]] = []

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        await leaving[0]()
        self.left.append((self._clock.monotonic(), to))
        return {"sid": f"CA{to}", "status": "queued"}

    @property
    def moments(self) -> list[float]:
        """When calls left, in order."""
        return sorted(moment for moment, _ in self.left)
