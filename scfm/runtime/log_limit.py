"""Limits how often a line is written to the log."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import Any

from scfm.runtime import log_context

LOG_SECONDS = 60.0
# So many lines of a kind in so many seconds; how many more there were is said at the end of the time.
MAX_LINES, BURST_SECONDS = 5, 10.0


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


class LimitedLines:
    """Writes the first MAX_LINES of a kind in BURST_SECONDS, and then how many more there were; in the event loop."""

    def __init__(self, log: logging.Logger, more: str) -> None:
        """MORE is the line that tells how many more there were: it has their number, their kind, and the seconds."""
        self._log = log
        self._more = more
        # By kind, how many there were since its first.
        self._counts: dict[object, int] = {}

    def warn(self, kind: object, message: str, *values: object, extra: dict[str, Any] | None = None) -> None:
        """Write a warning down, if there were few of its KIND. KIND is one of few, whatever anybody sends."""
        count = self._counts.get(kind, 0)
        self._counts[kind] = count + 1
        if count == 0:
            asyncio.get_running_loop().call_later(BURST_SECONDS, self._end, kind, context=log_context.nobody())
        if count < MAX_LINES:
            self._log.warning(message, *values, extra=extra)

    def _end(self, kind: object) -> None:
        more = self._counts.pop(kind) - MAX_LINES
        if more > 0:
            self._log.warning(self._more, more, kind, BURST_SECONDS)
