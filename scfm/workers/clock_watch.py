"""Notices that the wall clock was set: then leases may have run out too early, and what waits may wait too long."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from scfm import clock

log = logging.getLogger("scfm.work")

# The wall clock may part so far from the monotonic one between two looks without having been set.
TOLERANCE = timedelta(seconds=3)


class ClockWatch:
    """Compares the wall clock with the monotonic one whenever it is asked."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last = (clock.now(), monotonic())
        self._back = timedelta()
        self._set_at: float | None = None

    def look(self) -> None:
        """Notice whether the clock has been set since the last look; a line in the log says so."""
        wall, elapsed = clock.now(), self._monotonic()
        jump = wall - self._last[0] - timedelta(seconds=elapsed - self._last[1])
        self._last = (wall, elapsed)
        if abs(jump) <= TOLERANCE:
            return
        self._set_at = elapsed
        seconds = jump.total_seconds()
        if seconds < 0:
            self._back -= jump
            log.warning("the clock went back by %.0f s; what had been planned by it is brought back", -seconds)
        else:
            log.warning("the clock went forward by %.0f s (or the machine slept); leases are left alone", seconds)

    def was_set_within(self, seconds: float) -> bool:
        """Whether the clock was set so many seconds ago, or later."""
        self.look()
        return self._set_at is not None and self._monotonic() - self._set_at < seconds

    @property
    def gone_back(self) -> timedelta:
        """By how much it has gone back in all."""
        return self._back
