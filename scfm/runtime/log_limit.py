"""Limits how often a line is written to the log."""

from __future__ import annotations

import math
import time

LOG_SECONDS = 60.0


class LogLimit:
    """Allows a line every LOG_SECONDS, for what may happen at every request."""

    def __init__(self) -> None:
        self._allowed_at = -math.inf

    def allows(self, moment: float | None = None) -> bool:
        """Whether the line is to be written at MOMENT (of the monotonic clock; None is now). If so, it counts."""
        moment = time.monotonic() if moment is None else moment
        if moment < self._allowed_at:
            return False
        self._allowed_at = moment + LOG_SECONDS
        return True
