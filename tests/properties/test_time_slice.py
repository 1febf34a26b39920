"""Long work lets others run by elapsed time. The tests own the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest

from scfm.runtime import time_slice
from scfm.runtime.time_slice import SLICE_SECONDS, TimeSlice


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_slice, "time", clock)
    return clock


@asynccontextmanager
async def others(clock: Clock, seconds: float = 0.0) -> AsyncIterator[list[float]]:
    """The moments at which somebody else has had a turn of the event loop, each of which takes so many seconds."""
    seen: list[float] = []

    async def run() -> None:
        while True:
            await asyncio.sleep(0)
            seen.append(clock.now)
            clock.now += seconds

    task = asyncio.ensure_future(run())
    await asyncio.sleep(0)
    seen.clear()
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_steps_that_take_no_time_run_in_one_piece(clock: Clock) -> None:
    async with others(clock) as turns:
        piece = TimeSlice()
        for _ in range(10_000):
            await piece.pause()
        assert turns == []


async def test_others_run_once_a_piece_has_lasted_long_enough(clock: Clock) -> None:
    async with others(clock) as turns:
        piece = TimeSlice()
        for _ in range(100):
            clock.now += SLICE_SECONDS * 0.34
            await piece.pause()
        gaps = [late - early for early, late in pairwise(turns)]
        assert max(gaps) < 2 * SLICE_SECONDS
        assert len(turns) < 100  # not after every step


async def test_the_time_in_which_others_run_is_not_counted(clock: Clock) -> None:
    async with others(clock, seconds=60.0) as turns:
        piece = TimeSlice()
        await piece.pause()
        clock.now += SLICE_SECONDS
        await piece.pause()
        count = len(turns)
        await piece.pause()
        await piece.pause()
        assert len(turns) == count > 0


async def test_many_tasks_together_take_no_more_of_the_loop_than_one(clock: Clock) -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        piece = TimeSlice()
        for _ in range(20):
            await piece.pause()
            clock.now += SLICE_SECONDS / 4
            done.append(number)

    async with others(clock) as turns:
        tasks = [asyncio.ensure_future(work(number)) for number in range(50)]
        tasks[7].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gaps = [late - early for early, late in pairwise(turns)]
    assert max(gaps) < 2 * SLICE_SECONDS
    assert len(done) == 49 * 20
    assert len(set(done[: len(done) // 2])) == 49  # nobody waits for the end of another


async def test_who_is_cancelled_while_it_waits_keeps_nobody_waiting(clock: Clock) -> None:
    async def work() -> None:
        piece = TimeSlice()
        for _ in range(3):
            await piece.pause()
            clock.now += 2 * SLICE_SECONDS

    tasks = [asyncio.ensure_future(work()) for _ in range(5)]
    await asyncio.sleep(0)
    for task in tasks[:4]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [task.cancelled() for task in tasks] == [True] * 4 + [False]
