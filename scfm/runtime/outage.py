"""Logs an outage in two lines, one when it begins and one when it is over, however many requests fail meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from scfm.errors import ScfmError, Unreachable
from scfm.runtime import log_context
from scfm.runtime.log_format import fields

log = logging.getLogger("scfm")

# An outage is over after an answer and so long without a failure: one that comes and goes is logged once.
QUIET_SECONDS = 2.0
PROBE_SECONDS = 0.5
MAX_OUTAGE_REASON = 200


class Outage:
    """The outages of something that is asked: its callers call ``answered`` or ``failed``, in the event loop.

    ``began`` is the first line, to which the reason is added; ``over`` the second, to which is added how many seconds
    the outage lasted. ``quiet``: see QUIET_SECONDS.
    """

    def __init__(self, began: str, over: str, *, quiet: float = QUIET_SECONDS) -> None:
        self._began_line = began
        self._over_line = over
        self._quiet = quiet
        self._began: float | None = None
        self._failed_at = 0.0
        self._ending: asyncio.TimerHandle | None = None

    def failed(self, reason: str) -> None:
        """It did not answer, for REASON, a sentence or less, which is logged if an outage begins with this."""
        self._failed_at = time.monotonic()
        self.close()
        if self._began is None:
            self._began = self._failed_at
            # It is nobody's in particular who has met it first.
            log_context.nobody().run(self._tell_begin, " ".join(reason.split())[:MAX_OUTAGE_REASON])

    def answered(self) -> None:
        """It answered. Does nothing, and costs next to nothing, where there is no outage."""
        if self._began is None or self._ending is not None:
            return
        now = time.monotonic()
        quiet_in = max(0.0, self._failed_at + self._quiet - now)
        self._ending = asyncio.get_running_loop().call_later(
            quiet_in, self._end, now - self._began, context=log_context.nobody()
        )

    def _tell_begin(self, reason: str) -> None:
        log.error("%s: %s", self._began_line, reason, extra=fields(outage="began"))

    def _end(self, seconds: float) -> None:
        self._began = self._ending = None
        log.warning(
            "%s, after %.1f s", self._over_line, seconds, extra=fields(outage="over", seconds=round(seconds, 1))
        )

    def close(self) -> None:
        """Cancel the end that is about to be logged: the outage is over only after another answer."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None


class DatabaseOutage:
    """The database's outages, as any request or job notices them; during one, PING is tried until it succeeds."""

    def __init__(self, ping: Callable[[], Awaitable[None]]) -> None:
        self._ping = ping
        self._outage = Outage(
            "the database does not answer; requests get 503, and the background waits",
            "the database answers again",
        )
        self._probing: asyncio.Task[None] | None = None

    def noticed(self, error: Unreachable) -> None:
        """A request or a job could not reach the database."""
        self._outage.failed(str(error))
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe(), context=log_context.nobody())

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            with suppress(ScfmError):
                await self._ping()
                self._outage.answered()
                return

    async def close(self) -> None:
        """Try PING no more, and log nothing more."""
        self._outage.close()
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
