"""The runner: when a job looks, how much it claims, what becomes of errors, and how it stops."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

import pytest

from scfm.errors import Unavailable
from scfm.storage import driver
from scfm.workers import runner as module
from scfm.workers.runner import Job, Runner
from tests.workers.background import eventually

NEVER = 3600.0


class Errands(Job):
    """Pieces of work in a queue; each waits for leave to end, or fails."""

    name = "errands"

    def __init__(self, *waiting: object, slots: int = 4) -> None:
        self.slots = slots
        self.waiting: deque[object] = deque(waiting)
        self.looks = 0
        self.begun: list[object] = []
        self.done: list[object] = []
        self.set_aside: list[object] = []
        self.cut_off: list[object] = []
        self.asked: list[int] = []
        self.leave = asyncio.Event()
        self.leave.set()

    async def claim(self, limit: int) -> Sequence[object]:
        self.looks += 1
        self.asked.append(limit)
        if self.waiting and self.waiting[0] is Unavailable:
            self.waiting.popleft()
            raise Unavailable("gone")
        return [self.waiting.popleft() for _ in range(min(limit, len(self.waiting)))]

    async def process(self, item: object) -> None:
        self.begun.append(item)
        if isinstance(item, Exception):
            raise item
        try:
            await self.leave.wait()
        except asyncio.CancelledError:
            self.cut_off.append(item)
            raise
        self.done.append(item)

    async def on_error(self, item: object, error: Exception) -> None:
        self.set_aside.append(item)


def runner_of(job: Job, sweep: float = NEVER) -> Runner:
    """A runner that has begun."""
    runner = Runner(sweep)
    runner.add(job)
    runner.start()
    return runner


async def becomes(job: Errands, *done: object) -> None:
    """Wait until the job has done these, in any order."""

    async def is_so() -> bool:
        return len(job.done) >= len(done)

    await eventually(is_so)
    assert sorted(job.done, key=str) == sorted(done, key=str)


async def test_what_waits_is_taken_as_much_as_there_is_room_for() -> None:
    job = Errands(*range(10))
    runner = runner_of(job)
    await becomes(job, *range(10))
    assert max(job.asked) <= job.slots
    await runner.stop(1)


async def test_no_more_is_under_way_than_there_are_slots() -> None:
    job = Errands(*range(10))
    job.leave.clear()
    runner = runner_of(job)

    async def full() -> bool:
        return len(job.begun) == job.slots

    await eventually(full)
    runner.wake()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(job.begun) == job.slots
    job.leave.set()
    await becomes(job, *range(10))
    await runner.stop(1)


async def test_a_wake_is_not_lost_while_the_job_looks() -> None:
    job = Errands()
    runner = runner_of(job)

    async def looked() -> bool:
        return job.looks == 1

    await eventually(looked)
    job.waiting.append("late")
    runner.wake()
    await becomes(job, "late")
    await runner.stop(1)


async def test_without_a_wake_it_looks_again_after_a_sweep() -> None:
    job = Errands()
    runner = runner_of(job, sweep=0.01)

    async def looked() -> bool:
        return job.looks > 3

    await eventually(looked)
    await runner.stop(1)


async def test_a_database_that_is_gone_is_asked_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    job = Errands(*[Unavailable] * 4, "after")
    runner = runner_of(job, sweep=0.001)
    await becomes(job, "after")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
    assert all(record.exc_info is None for record in caplog.records)
    await runner.stop(1)


async def test_what_fails_is_logged_and_set_aside_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    broken, gone = ZeroDivisionError(), Unavailable("gone")
    job = Errands(broken, gone, "sound")
    runner = runner_of(job)
    await becomes(job, "sound")
    await runner.stop(1)
    assert job.set_aside == [broken]  # the lease of the other runs out
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


async def test_a_stop_waits_for_what_is_under_way_and_takes_nothing_more() -> None:
    job = Errands("first", slots=1)
    job.leave.clear()
    runner = runner_of(job)

    async def begun() -> bool:
        return job.begun == ["first"]

    await eventually(begun)
    job.waiting.append("second")
    stopping = asyncio.create_task(runner.stop(10))
    await asyncio.sleep(0)
    job.leave.set()
    await stopping
    assert job.done == ["first"] and list(job.waiting) == ["second"]


async def test_a_stop_cuts_off_what_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    job = Errands("endless")
    job.leave.clear()
    runner = runner_of(job)

    async def begun() -> bool:
        return job.begun == ["endless"]

    await eventually(begun)
    await runner.stop(0.01)
    assert job.cut_off == ["endless"]
    assert "cut off" in caplog.text


async def test_a_loop_that_never_began_can_be_stopped() -> None:
    runner = Runner(NEVER)
    runner.add(Errands())
    runner.wake()
    await runner.stop(1)


class Strict(Errands):
    """Has room for more than it lets be under way, and says when it would give more."""

    most = 2
    taken = 0

    async def claim(self, limit: int) -> Sequence[object]:
        items = await super().claim(min(limit, self.most - (self.taken - len(self.done))))
        self.taken += len(items)
        return items

    async def process(self, item: object) -> None:
        await super().process(item)
        self.wake()


async def test_a_job_that_refused_more_is_asked_again_when_it_says_so() -> None:
    job = Strict(*range(10))
    job.leave.clear()
    runner = runner_of(job)

    async def refused() -> bool:
        return len(job.begun) == job.most and job.looks > 1

    await eventually(refused)
    job.leave.set()
    await becomes(job, *range(10))
    await runner.stop(1)


class Deaf(Errands):
    """Does not hear the first that it is told, as Python 3.11 may lose it while the driver sends."""

    async def process(self, item: object) -> None:
        with suppress(asyncio.CancelledError):
            await self.leave.wait()
        await super().process(item)


async def test_work_that_misses_its_end_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.01)
    job = Deaf("a", "b")
    job.leave.clear()
    runner = runner_of(job)
    async with asyncio.timeout(120):
        while job.waiting:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await runner.stop(0.01)
    assert set(job.cut_off) == {"a", "b"}


async def test_work_that_never_ends_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CANCEL_SECONDS", 0.001)
    leave = asyncio.Event()

    async def endless() -> None:
        while not leave.is_set():
            with suppress(asyncio.CancelledError):
                await leave.wait()

    tasks = [asyncio.create_task(endless(), name="endless"), asyncio.create_task(asyncio.sleep(NEVER))]
    await asyncio.sleep(0)
    async with asyncio.timeout(120):
        await module.cancel_all(tasks)
    assert [task.done() for task in tasks] == [False, True]
    assert caplog.messages == ["endless does not end, and is left behind"]
    leave.set()
    await tasks[0]


@pytest.mark.parametrize("fails", [False, True])
async def test_an_operation_of_the_driver_that_misses_its_end_ends_all_the_same(fails: bool) -> None:
    async def deaf() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(NEVER)
        if fails:
            raise ConnectionError("no server is found")
        return "done"

    operation = asyncio.ensure_future(driver._run(None, deaf))
    await asyncio.sleep(0)
    operation.cancel()
    with pytest.raises(asyncio.CancelledError):
        await operation


async def test_who_is_cancelled_while_tasks_are_cancelled_waits_for_their_end() -> None:
    ended = asyncio.Event()

    async def end_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            ended.set()

    task = asyncio.create_task(end_slowly())
    await asyncio.sleep(0)
    cancelling = asyncio.create_task(module.cancel_all([task]))
    await asyncio.sleep(0)
    cancelling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelling
    assert ended.is_set()
