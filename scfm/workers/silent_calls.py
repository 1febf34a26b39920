"""Has the provider asked about calls of which nothing was heard for long.

The report of how a call ended is lost when it comes while the database is away, or the server. Such a call would stay
open, and with it all that waits for its end: its plan, which would not call the person again, and the erasure of a
contact.
"""

from __future__ import annotations

from datetime import timedelta

from scfm.clock import now
from scfm.models.call_checks import check_silent
from scfm.models.stored_documents import CALLS
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.periodic_job import PeriodicJob

# How often it looks, at the most.
SILENT_LOOK_SECONDS = 60.0
# A call that no plan waits for is asked about when nothing was heard for so long; no call is after so many days.
SILENCE, OLDEST = timedelta(hours=1), timedelta(days=31)


class SilentCalls(PeriodicJob):
    """Sets the time to ask of those that have none; the job ``StatusPoller`` asks, and sets the next."""

    name = "find silent calls"

    def __init__(self, store: Store, settings: Settings) -> None:
        self._all_tenants = store.all_tenants
        self._may_ask = settings.status_check != "never"
        self._silence = timedelta(seconds=settings.status_check_seconds)
        self.pause_seconds = min(SILENT_LOOK_SECONDS, settings.status_check_seconds)
        super().__init__()

    async def process(self, item: None) -> None:
        if not self._may_ask:
            return
        # No index has the status alone, but an account has few calls that are at the provider.
        accounts = [
            account["_id"] for account in await self._all_tenants.find("accounts", {}, fields=["_id"], sort=())
        ]
        moment = now()
        silent, asked = check_silent(
            moment, moment - self._silence, moment - max(self._silence, SILENCE), moment - OLDEST
        )
        await self._all_tenants.update_many(CALLS, {"account_id": {"$in": accounts}, **silent}, asked)
