"""How fast an account, a callout whose plan says so, and the whole server, may place calls.

The rate is kept in the database, so that all processes together keep it: each reserves the moments at which its
calls leave (the generic cell rate algorithm, ITU-T I.371, with a bucket of one). How many calls are in flight, and
whether the provider is well (see ``circuit_breaker``), is kept in this process, and counts for it alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

from scfm.clock import SYSTEM_CLOCK, MonotonicClock
from scfm.models.plan_pace import max_of_one_account
from scfm.storage.store import Store
from scfm.workers.circuit_breaker import CircuitBreakers
from scfm.workers.lanes import Lane

# So much of a second is reserved at once: calls wait for their moments in memory, and hold a place there.
AHEAD_SECONDS = 0.25
# A call leaves so many seconds after its moment at the latest, or half the time between two calls if that is more.
JITTER_SECONDS = 0.05
MAX_RESERVATIONS = 3
# The key of the server's own rate; accounts' ids begin at 1, and a lane's key is a text.
SERVER = 0


@dataclass
class _Used:
    """What this process has in flight for one account, one lane or the whole server, and how far it is reserved."""

    in_flight: int = 0
    # The monotonic time until which moments are reserved, by this process or others, and at which rate.
    reserved_until: float = 0.0
    reserved_rate: float | None = None


class RateLimiter:
    """Says how many calls may be claimed now, and when each may leave.

    Times are monotonic seconds, rates calls per second (None or 0: no limit). ``breakers``: whether each account's
    provider takes calls.
    """

    def __init__(
        self,
        store: Store,
        calls_per_second: float,
        calls_in_flight: int,
        breakers: CircuitBreakers,
        *,
        patience: float,
        clock: MonotonicClock = SYSTEM_CLOCK,
    ) -> None:
        """``patience``: the seconds that a call which has been claimed may wait for its moment."""
        self._store = store
        self._clock = clock
        self._patience = patience
        self._room_at = math.inf
        self._rate = calls_per_second
        self._max_in_flight = calls_in_flight
        # However slow its provider is, one account leaves some to the others.
        self._max_of_one_account = max_of_one_account(calls_in_flight)
        self._accounts: defaultdict[int, _Used] = defaultdict(_Used)
        self._lanes: defaultdict[int, _Used] = defaultdict(_Used)
        self._server = _Used()
        self.breakers = breakers

    def allowance(self, account_id: int, rate: float | None, max_in_flight: int | None) -> int:
        """How many of the account's calls may be claimed now; its own limits are RATE and MAX_IN_FLIGHT."""
        breaker = self.breakers[account_id]
        if breaker.open_until > self._clock.monotonic():
            return 0
        account = self._accounts[account_id]
        room = min(max_in_flight or self._max_of_one_account, self._max_of_one_account) - account.in_flight
        if breaker.half_open:
            return min(room, 0 if account.in_flight else 1)
        return max(0, min(room, self._room_by_rate(rate, account), self._room_by_rate(self._rate, self._server)))

    def lane_allowance(self, lane: Lane) -> int:
        """How many calls of the lane may be claimed now, as far as it goes by the lane."""
        used = self._lanes[lane.callout_id]
        room = (lane.max_in_flight or self._max_in_flight) - used.in_flight
        return max(0, min(room, self._room_by_rate(lane.rate, used)))

    def _room_by_rate(self, rate: float | None, used: _Used) -> int:
        # After a change of the rate the database is asked.
        if rate == used.reserved_rate and used.reserved_until > self._clock.monotonic() + AHEAD_SECONDS:
            self._room_at = min(self._room_at, used.reserved_until - AHEAD_SECONDS)
            return 0
        return max(1, int(rate * AHEAD_SECONDS)) if rate else self._max_in_flight

    @property
    def in_flight(self) -> int:
        """How many calls of this process are under way."""
        return self._server.in_flight

    @property
    def room(self) -> int:
        """How many more may be under way at once."""
        return self._max_in_flight - self._server.in_flight

    def seconds_until_room(self) -> float:
        """In how many seconds an account will be allowed more that has been refused since this was asked last."""
        room_at, self._room_at = self._room_at, math.inf
        return max(0.0, room_at - self._clock.monotonic())

    def tolerance(self, rate: float | None, lane: Lane | None = None) -> float:
        """How many seconds after its moment a call may leave; one that comes later must be reserved anew.

        Else calls that were kept, as while the machine stood still, would leave together.
        """
        limits = [limit for limit in (rate, lane and lane.rate, self._rate) if limit]
        return max(JITTER_SECONDS, 0.5 / min(limits)) if limits else math.inf

    async def reserve(self, account_id: int, rate: float | None, count: int) -> list[float] | None:
        """The moments at which COUNT calls of the account may leave; None while others have them for too long."""
        moments = [self._clock.monotonic()] * count
        for key, limit, used in (
            (account_id, rate, self._accounts[account_id]),
            (SERVER, self._rate, self._server),
        ):
            if limit and count:
                reserved = await self._reserve(key, used, limit, count, self._patience, self.tolerance(rate))
                if reserved is None:
                    return None
                moments = [max(pair) for pair in zip(moments, reserved, strict=True)]
        return moments

    async def reserve_in_lane(self, lane: Lane, count: int) -> list[float] | None:
        """The moments at which COUNT calls of the lane may leave, as far as it goes by the lane; None if not soon.

        Of many only as many get one as may leave soon: they hold places meanwhile, and the moments that their account
        reserves for them.
        """
        if not lane.rate:
            return [self._clock.monotonic()] * count
        key, used = f"callout {lane.callout_id}", self._lanes[lane.callout_id]
        count = min(count, max(1, int(lane.rate * AHEAD_SECONDS)))
        return await self._reserve(key, used, lane.rate, count, AHEAD_SECONDS, self.tolerance(None, lane))

    async def _reserve(
        self, key: int | str, used: _Used, rate: float, count: int, most: float, tolerance: float
    ) -> list[float] | None:
        """COUNT moments at RATE; None if the first would be in more than MOST seconds."""
        first = await self._first_moment(key, count, rate, most, tolerance)
        used.reserved_rate = rate
        if first > self._clock.monotonic() + most:
            used.reserved_until = first
            return None
        used.reserved_until = first + count / rate
        return [first + position / rate for position in range(count)]

    async def _first_moment(self, key: int | str, count: int, rate: float, most: float, tolerance: float) -> float:
        """When the next moments that nobody else has reserved begin, for COUNT calls at RATE.

        The database counts from when it carries the reservation out. If its answer is long in coming, it cannot be
        told when that was, and another is made.
        """
        for _ in range(MAX_RESERVATIONS):
            began = self._clock.monotonic()
            wait = await self._store.reserve("paces", key, count, rate, most)
            if self._clock.monotonic() - began <= tolerance:
                break
        return self._clock.monotonic() + wait

    def call_started(self, account_id: int, callout_id: int | None = None) -> None:
        """One of the account's calls, and of the callout's, is now under way."""
        for used in self._used_by(account_id, callout_id):
            used.in_flight += 1

    def call_ended(self, account_id: int, callout_id: int | None = None) -> None:
        """It is no longer under way."""
        for used in self._used_by(account_id, callout_id):
            used.in_flight -= 1

    def _used_by(self, account_id: int, callout_id: int | None) -> tuple[_Used, ...]:
        of_account = (self._accounts[account_id], self._server)
        return of_account if callout_id is None else (*of_account, self._lanes[callout_id])
