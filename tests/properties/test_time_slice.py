"""Long work lets others run by elapsed time. The tests own the clock."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from scfm import time_slice
from scfm.time_slice import SLICE_SECONDS, TimeSlice


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


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A list that grows by one whenever the work lets others run."""
    seen: list[float] = []

    async def sleep(seconds: float) -> None:
        seen.append(seconds)

    monkeypatch.setattr(time_slice, "asyncio", SimpleNamespace(sleep=sleep))
    return seen


async def test_steps_that_take_no_time_run_in_one_piece(clock: Clock, turns: list[float]) -> None:
    piece = TimeSlice()
    for _ in range(10_000):
        await piece.pause()
    assert turns == []


async def test_others_run_once_a_piece_has_lasted_long_enough(clock: Clock, turns: list[float]) -> None:
    piece = TimeSlice()
    for _ in range(100):
        clock.now += SLICE_SECONDS * 0.34
        await piece.pause()
    assert turns == [0] * 33  # after every third step


async def test_the_time_in_which_others_run_is_not_counted(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []

    async def sleep(seconds: float) -> None:
        turns.append(seconds)
        clock.now += 60

    monkeypatch.setattr(time_slice, "asyncio", SimpleNamespace(sleep=sleep))
    piece = TimeSlice()
    clock.now += SLICE_SECONDS
    await piece.pause()
    await piece.pause()
    assert turns == [0]
