"""The base of jobs that do the same every so often."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from scfm.workers.runner import Job


class PeriodicJob(Job):
    """``process`` gets None, every ``pause_seconds``, in each process.

    Done twice, or by two processes at once, it must do no more than once: so it needs no lease.
    """

    pause_seconds: float
    # After its start.
    first_pause_seconds: ClassVar[float] = 0.0

    def __init__(self) -> None:
        self._due = time.monotonic() + self.first_pause_seconds

    async def claim(self, limit: int) -> Sequence[Any]:
        if time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + self.pause_seconds
        return [None]
