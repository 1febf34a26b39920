"""Measures by how much the event loop is late: what it does at once keeps everybody else waiting for as long."""

from __future__ import annotations

import asyncio

from scfm.runtime.metrics import EVENT_LOOP_LAG

SAMPLE_SECONDS = 0.5


class LoopLag:
    """Sets a timer again and again, from ``start`` to ``close``, and observes how late it comes."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SAMPLE_SECONDS, self._sample, loop, loop.time() + SAMPLE_SECONDS)

    def _sample(self, loop: asyncio.AbstractEventLoop, expected: float) -> None:
        EVENT_LOOP_LAG.observe(max(loop.time() - expected, 0.0))
        self.start()

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
