"""The background: each job takes what waits for it and works on it, until the server stops.

A job is two things: ``claim``, which makes what waits its own, and ``process``, what it does with one of them. The
runner owns the rest: when to look, how many at once, what to do with errors, and how to stop.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from scfm.errors import Unavailable, Unreachable
from scfm.runtime import log_context, telemetry
from scfm.runtime.backoff import Backoff
from scfm.runtime.metrics import JOB_FAILURES
from scfm.runtime.outage import DatabaseOutage

log = logging.getLogger("scfm.work")

MAX_BACKOFF_SECONDS = 5.0
# How long a job that is cancelled may take to hand back what it has claimed, and how long the runner waits for it.
HAND_BACK_SECONDS, CANCEL_SECONDS = 1.0, 1.5
# A job that has looked for work for so long is stuck: the driver waits a minute for an answer.
MAX_CLAIM_SECONDS = 150.0
# A task is cancelled so many times, and then left alone: it does not end. Two seldom go wrong (see ``cancel_all``).
MAX_CANCELS = 4
# New work is claimed when this part of the slots is free, so that it is claimed many at a time.
BATCHED = 4


class Job:
    """The base of every job. What is claimed together is processed at the same time, up to ``slots`` at once."""

    name: ClassVar[str]
    # How many are processed at once.
    slots: int = 1
    # In how many seconds ``claim`` may give more, where it knows that this is sooner than the next sweep.
    next_claim_in: float = math.inf

    def wake(self) -> None:
        """Have the runner ask again at once: ``claim`` may give more. The runner puts its own in this one's place."""

    async def claim(self, limit: int) -> Sequence[Any]:
        """Claim up to LIMIT pieces of work for this process; none where nothing waits.

        Whatever it raises is reported, and it is asked again after a backoff.
        """
        raise NotImplementedError

    async def process(self, item: Any) -> None:
        """Do one piece of work. It may be cut off at any line, and is claimed again when its lease has run out."""
        raise NotImplementedError

    def request_of(self, item: Any) -> str | None:
        """The id of the HTTP request that had a piece of work queued, where it is kept: for the log."""
        return item.get(log_context.REQUEST_ID) if isinstance(item, Mapping) else None

    async def on_error(self, item: Any, error: Exception) -> None:
        """ERROR, which is not Unavailable, was raised by ``process``: see that ITEM does not come back for ever."""


class Runner:
    """Runs jobs. Each is asked to claim every SWEEP seconds, and at once after ``wake``.

    OUTAGE is told when a job finds that the database does not answer.
    """

    def __init__(self, sweep: float, outage: DatabaseOutage | None = None) -> None:
        self._sweep = sweep
        self._outage = outage
        self._stopping = asyncio.Event()
        self._job_loops: list[_JobLoop] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, job: Job) -> None:
        """Run JOB, too, from ``start`` on."""
        JOB_FAILURES.labels(job.name)  # it is 0, and not absent, as long as nothing fails
        self._job_loops.append(_JobLoop(job, self._sweep, self._stopping, self._outage))

    def start(self) -> None:
        """Start a task for each job."""
        self._tasks = [asyncio.create_task(job_loop.run(), name=job_loop.job.name) for job_loop in self._job_loops]

    def wake(self, *names: str) -> None:
        """Something has been queued for the jobs of these NAMES, or, without any, for all: have them claim now."""
        for job_loop in self._job_loops:
            if not names or job_loop.job.name in names:
                job_loop.wake.set()

    def faults(self) -> list[str]:
        """The jobs that do nothing any more: one a sentence, none where all is well, or while the server stops."""
        if self._stopping.is_set():
            return []
        if not self._tasks:
            return ["the jobs have not begun"]
        now = time.monotonic()
        return [
            *(f"the job {task.get_name()!r} has ended" for task in self._tasks if task.done()),
            *(
                f"the job {loop.job.name!r} has looked for work for {now - loop.claiming_since:.0f} s"
                for loop in self._job_loops
                if now - loop.claiming_since > MAX_CLAIM_SECONDS
            ),
        ]

    async def stop(self, patience: float) -> None:
        """Claim nothing more, wait PATIENCE seconds for what is being processed, and cancel the rest."""
        self._stopping.set()
        for job_loop in self._job_loops:
            job_loop.wake.set()
            job_loop.room.set()
        if not self._tasks:
            return
        done, late = await asyncio.wait(self._tasks, timeout=patience)
        for task in late:
            log.warning("%s: still at work after %g s, cut off", task.get_name(), patience)
        await cancel_all(late, times=2)
        await asyncio.gather(*done, return_exceptions=True)


async def cancel_all(tasks: Collection[asyncio.Task[Any]], times: float = 1) -> None:
    """Cancel the tasks, and return when they have ended, or have been cancelled MAX_CANCELS times.

    They are cancelled again each TIMES CANCEL_SECONDS: Python 3.11 can lose a cancellation, where the driver sends.
    A caller that is cancelled meanwhile is once the tasks have ended: they use what it is about to close.
    """
    left, cancels = set(tasks), 0
    cancelled: asyncio.CancelledError | None = None
    while left and cancels < MAX_CANCELS:
        for task in left:
            task.cancel()
        cancels += 1
        waiting = asyncio.ensure_future(asyncio.wait(left, timeout=times * CANCEL_SECONDS))
        while not waiting.done():
            try:
                await asyncio.shield(waiting)
            except asyncio.CancelledError as error:
                cancelled = error
        left = {task for task in left if not task.done()}
    for task in left:
        log.error("%s does not end, and is left behind", task.get_name())
    await asyncio.gather(*(set(tasks) - left), return_exceptions=True)  # nobody else asks how they ended
    if cancelled is not None:
        raise cancelled


class _JobLoop:
    def __init__(self, job: Job, sweep: float, stopping: asyncio.Event, outage: DatabaseOutage | None) -> None:
        self.job = job
        self._outage = outage
        self.wake = asyncio.Event()
        self.room = asyncio.Event()
        self._sweep = sweep
        self._backoff = Backoff(first=2 * sweep, longest=MAX_BACKOFF_SECONDS)
        self._stopping = stopping
        self._running: set[asyncio.Task[None]] = set()
        # Since when (monotonic seconds) it has been looking for work; inf while it is not.
        self.claiming_since = math.inf
        job.wake = self.wake.set  # type: ignore[method-assign]

    @property
    def _free(self) -> int:
        return self.job.slots - len(self._running)

    async def run(self) -> None:
        try:
            failures = 0
            while not self._stopping.is_set():
                await self._wait_for_room()
                self.wake.clear()
                try:
                    claimed = await self._claim()
                except Exception as error:
                    self._report(error)
                    failures += 1
                    await self._pause(self._backoff.seconds(failures))
                else:
                    failures = 0
                    if not claimed:
                        await self._pause(min(self._sweep, self.job.next_claim_in))
            await asyncio.gather(*self._running)
        except asyncio.CancelledError:
            await cancel_all(self._running)
            raise

    async def _wait_for_room(self) -> None:
        while self._free < -(-self.job.slots // BATCHED) and not self._stopping.is_set():
            self.room.clear()
            await self.room.wait()

    async def _claim(self) -> bool:
        """Claim as much as there is room for, and begin it; whether there was anything."""
        if self._stopping.is_set():
            return False
        self.claiming_since = time.monotonic()
        try:
            items = await self.job.claim(self._free)
        finally:
            self.claiming_since = math.inf
        for item in items:
            task = asyncio.create_task(self._process(item))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return bool(items)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.room.set()

    async def _process(self, item: Any) -> None:
        log_context.work_for(self.job.request_of(item))
        try:
            with telemetry.span(self.job.name, {"scfm.job": self.job.name}):
                await self.job.process(item)
        except Exception as error:
            self._report(error)
            if not isinstance(error, Unavailable):
                await self._fail(item, error)

    async def _fail(self, item: Any, error: Exception) -> None:
        try:
            await self.job.on_error(item, error)
        except Exception as another:
            self._report(another)

    def _report(self, error: Exception) -> None:
        if isinstance(error, Unreachable) and self._outage is not None:
            self._outage.noticed(error)
        elif isinstance(error, Unavailable):
            log.error("%s: %s", self.job.name, error)
        else:
            JOB_FAILURES.labels(self.job.name).inc()
            log.error("%s failed", self.job.name, exc_info=error)

    async def _pause(self, seconds: float) -> None:
        if self._stopping.is_set():  # it may be that the wake of the stop has just been cleared
            return
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            pass
