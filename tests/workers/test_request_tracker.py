"""Calls that go out let requests that are being answered go first, but do not wait for ever."""

from __future__ import annotations

import asyncio
from statistics import median

import pytest

from scfm.handlers import request_tracker as module
from scfm.handlers.request_tracker import (
    CATCH_UP_SECONDS,
    LEAVING_CALLS,
    MAX_YIELD_SECONDS,
    RECENT_SECONDS,
    SPACING_SECONDS,
    RequestTracker,
)
from scfm.runtime.call_cost import CALL_SECONDS, MAX_FACTOR, MEASURED_CALLS, CallCost
from tests.workers.owned_clock import OwnedClock

LEAVING_SECONDS = LEAVING_CALLS * CALL_SECONDS
# So often the loop goes round before whoever can go on has done so.
SPINS = 5


class Connection:
    """A connection whose client is still there, or has gone."""

    def __init__(self, *, gone: bool = False) -> None:
        self.stream = self
        self._gone = gone

    def closed(self) -> bool:
        return self._gone


@pytest.fixture
def clock() -> OwnedClock:
    """A monotonic clock that a test sets."""
    return OwnedClock()


async def aside(request_tracker: RequestTracker, clock: OwnedClock, work: float, *, call: bool = True) -> float:
    """How many seconds a CALL, or what can wait, stands aside while the loop does pieces of work of WORK seconds."""
    began = clock.monotonic()
    pause = request_tracker.yield_to_webhooks if call else request_tracker.yield_to_requests
    standing = asyncio.ensure_future(pause())
    while not standing.done():
        clock.advance(work)
        for _ in range(SPINS):
            await asyncio.sleep(0)
    return clock.monotonic() - began


async def test_what_can_wait_lets_requests_go_first_and_takes_no_calls_turn(clock: OwnedClock) -> None:
    waits = []
    for others in (0, 50):
        request_tracker = RequestTracker(clock)
        with request_tracker.webhook():
            pass
        for _ in range(others):
            assert await aside(request_tracker, clock, SPACING_SECONDS, call=False) <= 2 * SPACING_SECONDS
        request_tracker.began(Connection())
        if others:
            stood = await aside(request_tracker, clock, 0.01, call=False)
            assert MAX_YIELD_SECONDS <= stood <= MAX_YIELD_SECONDS + 0.03
        waits.append([await aside(request_tracker, clock, 0.001) for _ in range(20)])
    assert sum(waits[0]) > 0 and abs(sum(waits[1]) - sum(waits[0])) < 0.01


async def test_a_call_goes_at_once_when_no_request_is_under_way(clock: OwnedClock) -> None:
    request_tracker = RequestTracker(clock)
    answered = Connection()
    request_tracker.began(answered)
    request_tracker.ended(answered)
    assert await aside(request_tracker, clock, 0.01) < MAX_YIELD_SECONDS


async def test_a_call_waits_for_requests_while_the_loop_is_behind_but_not_for_ever(clock: OwnedClock) -> None:
    request_tracker = RequestTracker(clock)
    asked = Connection()
    request_tracker.began(asked)
    assert await aside(request_tracker, clock, 0.01) >= MAX_YIELD_SECONDS * 0.999


async def test_people_are_on_the_phone_for_a_while_after_a_webhook(clock: OwnedClock) -> None:
    request_tracker = RequestTracker(clock)
    assert not request_tracker.webhooks_recent
    with request_tracker.webhook():
        assert request_tracker.webhooks_recent
    clock.advance(RECENT_SECONDS - 0.1)
    assert request_tracker.webhooks_recent
    clock.advance(0.2)
    assert not request_tracker.webhooks_recent


async def test_while_people_are_on_the_phone_calls_leave_the_loop_alone_for_a_moment(clock: OwnedClock) -> None:
    request_tracker = RequestTracker(clock)
    with request_tracker.webhook():
        for _ in range(int(CATCH_UP_SECONDS / LEAVING_SECONDS) + 1):
            await aside(request_tracker, clock, SPACING_SECONDS)  # as they may who have been kept
        spent = [await aside(request_tracker, clock, SPACING_SECONDS) for _ in range(10)]
    assert sum(spent) >= 10 * SPACING_SECONDS * 0.999


async def test_a_loop_that_is_busy_with_callers_lets_calls_leave_at_a_pace_unless_a_caller_has_waited_for_too_long(
    monkeypatch: pytest.MonkeyPatch, clock: OwnedClock
) -> None:
    request_tracker = RequestTracker(clock)
    request_tracker.began(asked := Connection())
    with request_tracker.webhook():
        paced = [await aside(request_tracker, clock, 0.01) for _ in range(10)]
        monkeypatch.setattr(module, "PATIENCE_CALLS", 0)
        standing = [await aside(request_tracker, clock, 0.01) for _ in range(10)]
    assert asked
    assert min(standing) >= MAX_YIELD_SECONDS * 0.999
    # The pace is kept as well as pieces of work of 10 ms let it.
    assert median(paced) < median(standing) / 2


async def test_calls_that_left_while_the_loop_was_quiet_do_not_keep_the_next_waiting(
    monkeypatch: pytest.MonkeyPatch, clock: OwnedClock
) -> None:
    monkeypatch.setattr(module, "PATIENCE_CALLS", 100_000)
    request_tracker = RequestTracker(clock)
    request_tracker.began(asked := Connection())
    with request_tracker.webhook():
        for _ in range(200):
            await aside(request_tracker, clock, SPACING_SECONDS)
        assert await aside(request_tracker, clock, 0.01) < 200 * LEAVING_SECONDS / 4
    assert asked


async def test_requests_count_while_their_clients_are_there(clock: OwnedClock) -> None:
    request_tracker = RequestTracker(clock)
    here, gone = Connection(), Connection(gone=True)
    request_tracker.began(here)
    request_tracker.began(gone)
    assert request_tracker.under_way == 1
    request_tracker.ended(here)
    assert request_tracker.under_way == 0


class Processor:
    """The processor's time that this process is said to have used."""

    def __init__(self) -> None:
        self.used = 0.0

    def __call__(self) -> float:
        return self.used

    def run(self, cost: CallCost, calls: int, seconds: float, load: float) -> None:
        """So many calls leave, each of which costs SECONDS; the process uses LOAD of the processor meanwhile."""
        moment = self.used / load
        for _ in range(calls):
            cost.count(moment)
            self.used += seconds
            moment += seconds / load


def test_what_a_call_costs_follows_the_machine() -> None:
    for factor in (0.5, 1, 2, 4):
        cost = CallCost(processor := Processor())
        processor.run(cost, MEASURED_CALLS * 40 + 1, factor * CALL_SECONDS, 0.9)
        assert cost.seconds == pytest.approx(factor * CALL_SECONDS, rel=0.01)
        processor.run(cost, MEASURED_CALLS * 40 + 1, CALL_SECONDS, 0.9)
        assert cost.seconds == pytest.approx(CALL_SECONDS, rel=0.01)


def test_what_else_a_process_does_that_makes_few_calls_is_not_their_cost() -> None:
    cost = CallCost(processor := Processor())
    processor.run(cost, MEASURED_CALLS * 40, 10 * CALL_SECONDS, 0.1)
    assert cost.seconds == CALL_SECONDS


def test_what_a_call_costs_is_bounded() -> None:
    cost = CallCost(processor := Processor())
    processor.run(cost, MEASURED_CALLS * 100, 1000 * CALL_SECONDS, 0.9)
    assert cost.seconds <= CALL_SECONDS * MAX_FACTOR


async def test_calls_leave_at_the_pace_that_the_machine_can_keep(
    monkeypatch: pytest.MonkeyPatch, clock: OwnedClock
) -> None:
    monkeypatch.setattr(module, "PATIENCE_CALLS", 100_000)
    paces = []
    for factor in (1, 8):
        request_tracker = RequestTracker(clock, cost := CallCost())
        cost.seconds = factor * CALL_SECONDS
        request_tracker.began(asked := Connection())
        with request_tracker.webhook():
            waits = [await aside(request_tracker, clock, 0.003) for _ in range(200)]
        paces.append(sum(waits[100:]) / 100)
        assert asked
    assert paces[1] > 2 * paces[0]
