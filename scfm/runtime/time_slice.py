"""Long work in the event loop, cut into pieces by elapsed time, so that other requests are served in between."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from weakref import WeakKeyDictionary

# A piece ends at the first step after so many seconds. A single step should take far less than 50 ms.
SLICE_SECONDS = 0.005


class _Turns:
    """The pieces of all tasks in one event loop: together they have SLICE_SECONDS between two looks for I/O.

    If each had its own, three hundred imports would keep everybody else waiting for 1.5 s, time and again.
    """

    def __init__(self) -> None:
        self._end: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def pause(self) -> None:
        if self._end is None:
            self._begin()
        elif time.monotonic() >= self._end:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def _begin(self) -> None:
        self._end = time.monotonic() + SLICE_SECONDS
        asyncio.get_running_loop().call_soon(self._next)  # which comes after the next look for I/O

    def _next(self) -> None:
        self._end = None
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # its task has not been cancelled
                self._begin()
                turn.set_result(None)
                return


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


class TimeSlice:
    """One task's part in the pieces of long work.

    Call ``await slice.pause()`` after every step of the work, however small: it returns at once while the piece is
    younger than SLICE_SECONDS, and otherwise lets the event loop run everything else that is ready, and other tasks
    that wait here before. Steps must be bounded by bytes, not only by count. Time spent waiting counts as well; the
    only effect is a pause that was not needed. Cancellation is raised from ``pause`` as from any await.
    """

    def __init__(self) -> None:
        self._turns = _of_loops.setdefault(asyncio.get_running_loop(), _Turns())

    async def pause(self) -> None:
        """Let others run, if this piece has lasted long enough."""
        await self._turns.pause()
