"""Long work in the event loop, cut into pieces by elapsed time, so that other requests are served in between."""

from __future__ import annotations

import asyncio
import time

# A piece ends at the first step after so many seconds. A single step should take far less than 50 ms.
SLICE_SECONDS = 0.005


class TimeSlice:
    """The current piece of one task's work. Begins when it is made.

    Call ``await slice.pause()`` after every step of the work, however small: it returns at once while the piece is
    younger than SLICE_SECONDS, and otherwise lets the event loop run everything else that is ready and begins a new
    piece. Steps must be bounded by bytes, not only by count. Time spent waiting counts as well; the only effect is a
    pause that was not needed. Cancellation is raised from ``pause`` as from any await.
    """

    def __init__(self) -> None:
        self._end = time.monotonic() + SLICE_SECONDS

    async def pause(self) -> None:
        """Let others run, if this piece has lasted long enough."""
        if time.monotonic() >= self._end:
            await asyncio.sleep(0)
            self._end = time.monotonic() + SLICE_SECONDS
