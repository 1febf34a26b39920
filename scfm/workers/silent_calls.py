"""Has the provider asked about a plan's calls of which nothing was heard for long.

The report of how a call ended is lost when it comes while the database is away, or the server. Such a call would stay
open: its person would not be called again, and the plan would not end.
"""

from __future__ import annotations

from datetime import timedelta

from scfm.clock import SYSTEM_CLOCK, MonotonicClock, now
from scfm.models.call_lifecycle import AT_PROVIDER
from scfm.models.call_work import CHECK
from scfm.models.stored_documents import CALLS
from scfm.settings import Settings
from scfm.storage.tenant_view import TenantView
from scfm.workers.status_poller import MAX_CALL_AGE

# How often a callout's open calls are looked through, at the most.
SILENT_LOOK_SECONDS = 60.0


class SilentCalls:
    """Those of the callouts whose plan waits for the end of calls; the job ``StatusPoller`` asks about them."""

    def __init__(self, settings: Settings, clock: MonotonicClock = SYSTEM_CLOCK) -> None:
        self._may_ask = settings.status_check != "never"
        self._silence = timedelta(seconds=settings.status_check_seconds)
        self._every = min(SILENT_LOOK_SECONDS, settings.status_check_seconds)
        self._clock = clock
        # By the callout's id, when it was looked through last.
        self._looked: dict[int, float] = {}

    async def ask(self, view: TenantView, callout_id: int) -> None:
        """Have those of a callout asked about that left STATUS_CHECK_SECONDS ago or earlier. Raises Unavailable.

        One that is asked about already is asked about again when its time has come: see ``StatusPoller``.
        """
        began = self._clock.monotonic()
        if not self._may_ask or began < self._looked.get(callout_id, -self._every) + self._every:
            return
        left = {"$lt": now() - self._silence, "$gt": now() - MAX_CALL_AGE}
        silent = {"callout_id": callout_id, "status": {"$in": AT_PROVIDER}, "remotely_queued_at": left, CHECK: None}
        await view.update_many(CALLS, silent, {"$set": {CHECK: now()}})
        self._looked = {number: at for number, at in self._looked.items() if began < at + self._every}
        self._looked[callout_id] = began
