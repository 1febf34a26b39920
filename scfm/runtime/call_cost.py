"""What a whole call costs this process: its request, its webhooks, and all that is stored of it."""

from __future__ import annotations

import time
from collections.abc import Callable

# What a call is taken to cost until it has been measured, and how far from that a measured cost may be.
CALL_SECONDS, MAX_FACTOR = 0.0023, 8.0
# So many calls are measured together.
MEASURED_CALLS = 50
# Below this share of the processor's time the process does too little for its work to be that of the calls.
MIN_LOAD = 0.3
# The part of a new measurement in what is believed.
WEIGHT = 0.25


class CallCost:
    """Measures the processor's time a call, while calls keep the process busy; ``seconds`` is what one costs."""

    def __init__(self, cpu_seconds: Callable[[], float] = time.process_time) -> None:
        """``cpu_seconds``: what the process has used of the processor until now."""
        self.seconds = CALL_SECONDS
        self._cpu_seconds = cpu_seconds
        self._count = 0
        self._began = (0.0, 0.0)

    def count(self, moment: float) -> None:
        """A call leaves at the monotonic MOMENT."""
        if self._count == MEASURED_CALLS:
            began, cpu_began = self._began
            used = self._cpu_seconds() - cpu_began
            if used > MIN_LOAD * (moment - began):
                measured = min(max(used / self._count, CALL_SECONDS / MAX_FACTOR), CALL_SECONDS * MAX_FACTOR)
                self.seconds += WEIGHT * (measured - self.seconds)
            self._count = 0
        if not self._count:
            self._began = (moment, self._cpu_seconds())
        self._count += 1
