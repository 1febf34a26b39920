"""Cuts long work in the event loop into slices by elapsed time, so that other requests are served in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

# A slice ends at the first step after so many seconds. A single step should take far less than 50 ms.
SLICE_SECONDS = 0.005


class _SharedSlice:
    """The slice of one event loop, SLICE_SECONDS between two polls for I/O, which its tasks with long work share.

    If each task had its own, three hundred imports would block the event loop for 1.5 s at a time.
    """

    def __init__(self) -> None:
        self._end: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def pause(self) -> None:
        if self._end is None:
            self._begin()
        elif time.monotonic() >= self._end:
            next_slice: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(next_slice)
            await next_slice

    def _begin(self) -> None:
        self._end = time.monotonic() + SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._next)  # which runs after the next poll for I/O

    def _next(self) -> None:
        self._end = None
        while self._waiting:
            next_slice = self._waiting.popleft()
            if not next_slice.done():  # its task has not been cancelled
                self._begin()
                next_slice.set_result(None)
                return


_of_event_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _SharedSlice] = WeakKeyDictionary()


class TimeSlice:
    """What a task with long work calls: ``await slice.pause()`` after every step, however small.

    ``pause`` returns at once while the slice is younger than SLICE_SECONDS; otherwise it first lets the event loop
    run everything else that is ready, and the tasks that have been waiting in ``pause`` for longer. Steps must be
    bounded by bytes, not only by count. Time that the task spends waiting elsewhere counts as well; the only effect
    is a pause that was not needed. Cancellation is raised from ``pause`` as from any await.
    """

    def __init__(self) -> None:
        self._shared = _of_event_loops.setdefault(asyncio.get_running_loop(), _SharedSlice())

    async def pause(self) -> None:
        """Let others run, if the slice is over."""
        await self._shared.pause()
