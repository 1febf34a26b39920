"""How fast an account, and the whole server, may place calls.

The rate is kept in the database, so that all processes together keep it: each reserves the moments at which its
calls leave (the generic cell rate algorithm, ITU-T I.371, with a bucket of one). What goes wrong at the provider
is kept in the process: a 429 makes an account wait, and failures one after another open its breaker, which then
lets single calls through to see whether the provider is back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scfm.clock import SYSTEM_CLOCK, MonotonicClock
from scfm.runtime.outage import Outage
from scfm.storage.store import Store

# So much of a second is reserved at once: calls wait for their moments in memory, and hold a place there.
AHEAD_SECONDS = 0.25
# A call leaves so many seconds after its moment at the latest, or half the time between two calls if that is more.
JITTER_SECONDS = 0.05
MAX_RESERVATIONS = 3
FAILURES_TO_OPEN = 5
FIRST_PROBE, MAX_PROBE = 1.0, 60.0
SERVER = 0
# What a provider does again within this time is still the same outage, for the log.
OUTAGE_SECONDS = 30.0
# This part of the calls in flight is not for one account alone.
RESERVE = 4


@dataclass
class _AccountState:
    """One account's way to the provider, as this process has found it."""

    outage: Outage
    throttling: Outage
    refusal: Outage
    blocked_until: float = 0.0
    failures: int = 0
    probe_after: float = FIRST_PROBE
    in_flight: int = 0
    # Until when others' calls and ours have reserved, and at which rate.
    reserved_until: float = 0.0
    reserved_rate: float | None = None


class RateLimiter:
    """Says how many calls may be taken now, and when each may leave. Times are monotonic seconds."""

    def __init__(
        self,
        store: Store,
        calls_per_second: float,
        calls_in_flight: int,
        *,
        patience: float,
        clock: MonotonicClock = SYSTEM_CLOCK,
    ) -> None:
        """``patience``: the seconds that a call which has been taken may wait for its moment."""
        self._store = store
        self._clock = clock
        self._patience = patience
        self._room_at = math.inf
        self._rate = calls_per_second
        self._max_in_flight = calls_in_flight
        # However slow its provider is, one account leaves some to the others.
        self._max_of_one_account = max(1, calls_in_flight - -(-calls_in_flight // RESERVE))
        self._states: dict[int, _AccountState] = {}
        self._server = _new_state(SERVER)

    def allowance(self, account_id: int, rate: float | None, max_in_flight: int | None) -> int:
        """How many of the account's calls may be taken now."""
        state, moment = self._state(account_id), self._clock.monotonic()
        if state.blocked_until > moment:
            return 0
        room = min(max_in_flight or self._max_of_one_account, self._max_of_one_account) - state.in_flight
        if state.failures >= FAILURES_TO_OPEN:
            return min(room, 0 if state.in_flight else 1)
        for limit, reserved in ((rate, state), (self._rate, self._server)):
            # After a change of the rate the database is asked.
            if limit == reserved.reserved_rate and reserved.reserved_until > moment + AHEAD_SECONDS:
                self._room_at = min(self._room_at, reserved.reserved_until - AHEAD_SECONDS)
                return 0
            if limit:
                room = min(room, max(1, int(limit * AHEAD_SECONDS)))
        return max(0, room)

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

    def tolerance(self, rate: float | None) -> float:
        """How many seconds after its moment a call may leave; one that comes later must be reserved anew.

        Else calls that were kept, as while the machine stood still, would leave together.
        """
        limits = [limit for limit in (rate, self._rate) if limit]
        return max(JITTER_SECONDS, 0.5 / min(limits)) if limits else math.inf

    async def reserve(self, account_id: int, rate: float | None, count: int) -> list[float] | None:
        """The moments at which COUNT calls of the account may leave; None while others have them for too long."""
        state = self._state(account_id)
        moment = self._clock.monotonic()
        moments = [moment] * count
        for key, limit, reserved in ((account_id, rate, state), (SERVER, self._rate, self._server)):
            if limit and count:
                first = await self._first_moment(key, count, limit, self.tolerance(rate))
                reserved.reserved_rate = limit
                if first > self._clock.monotonic() + self._patience:
                    reserved.reserved_until = first
                    return None
                reserved.reserved_until = first + count / limit
                moments = [max(early, first + position / limit) for position, early in enumerate(moments)]
        return moments

    async def _first_moment(self, key: int, count: int, rate: float, tolerance: float) -> float:
        """When the next moments that nobody else has reserved begin, for COUNT calls at RATE.

        The database counts from when it carries the reservation out. If its answer is long in coming, it cannot be
        told when that was, and another is made.
        """
        for _ in range(MAX_RESERVATIONS):
            began = self._clock.monotonic()
            wait = await self._store.reserve("paces", key, count, rate, self._patience)
            if self._clock.monotonic() - began <= tolerance:
                break
        return self._clock.monotonic() + wait

    def call_started(self, account_id: int) -> None:
        """One of the account's calls is now under way."""
        self._state(account_id).in_flight += 1
        self._server.in_flight += 1

    def call_ended(self, account_id: int) -> None:
        """One of the account's calls is no longer under way."""
        self._state(account_id).in_flight -= 1
        self._server.in_flight -= 1

    def blocked(self, account_id: int) -> bool:
        """Whether calls already taken should be given back rather than sent."""
        state = self._state(account_id)
        return state.blocked_until > self._clock.monotonic()

    def answered(self, account_id: int) -> None:
        """The provider has answered, yes or no: it is there."""
        state = self._state(account_id)
        state.failures, state.probe_after = 0, FIRST_PROBE
        state.outage.answered()
        state.refusal.answered()
        state.throttling.answered()

    def throttled(self, account_id: int, seconds: float) -> None:
        """The provider has asked the account to wait."""
        state = self._state(account_id)
        state.blocked_until = max(state.blocked_until, self._clock.monotonic() + seconds)
        state.throttling.failed(f"429, wait {seconds:g} s; calls_per_second may be set lower")

    def failed(self, account_id: int, reason: str) -> None:
        """The provider did not answer, or could not be reached, for REASON."""
        state = self._state(account_id)
        self._fail(state, state.outage, reason)

    def refused(self, account_id: int, reason: str) -> None:
        """The provider refuses the account itself: only single calls try from now on, as if it had failed often."""
        state = self._state(account_id)
        state.failures = max(state.failures, FAILURES_TO_OPEN - 1)
        self._fail(state, state.refusal, reason)

    def _fail(self, state: _AccountState, outage: Outage, reason: str) -> None:
        state.failures += 1
        # Calls that were under way together fail together: that is one reason to wait longer, not many.
        if state.failures >= FAILURES_TO_OPEN and state.blocked_until <= self._clock.monotonic():
            state.blocked_until = self._clock.monotonic() + state.probe_after
            state.probe_after = min(MAX_PROBE, state.probe_after * 2)
            outage.failed(reason)

    def try_now(self, account_id: int) -> None:
        """What kept the account's calls back may be over: let a single one try at once."""
        state = self._state(account_id)
        state.blocked_until, state.probe_after = 0.0, FIRST_PROBE

    def _state(self, account_id: int) -> _AccountState:
        if account_id not in self._states:
            self._states[account_id] = _new_state(account_id)
        return self._states[account_id]


def _new_state(account_id: int) -> _AccountState:
    provider = f"the provider of account {account_id}"
    return _AccountState(
        Outage(f"{provider} does not answer; its calls wait", f"{provider} answers again", quiet=OUTAGE_SECONDS),
        Outage(f"{provider} takes no more calls for now", f"{provider} takes calls again", quiet=OUTAGE_SECONDS),
        Outage(f"{provider} refuses the account; its calls wait", f"{provider} takes its calls again"),
    )
