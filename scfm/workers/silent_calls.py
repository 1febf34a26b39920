"""Has the provider asked about calls of which nothing was heard for long.

The report of how a call ended is lost when it comes while the database is away, or the server. Such a call would stay
open, and with it all that waits for its end: its plan, which would not call the person again, and the erasure of a
contact.
"""

from __future__ import annotations

from datetime import timedelta

from scfm.clock import now
from scfm.models.call_checks import check_silent
from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.stored_documents import CALLS
from scfm.settings import Settings
from scfm.storage.store import Store
from scfm.workers.periodic_job import PeriodicJob
from scfm.workers.status_poller import MAX_CHECK_AGE

# How often it looks, at the most.
SILENT_LOOK_SECONDS = 60.0
# A call that no plan waits for is asked about when nothing was heard for so long.
SILENCE = timedelta(hours=1)
# How many are asked about together, so that those of other plans do not wait for long.
MAX_SILENT = 500


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
        moment, accounts = now(), await self._all_tenants.find("accounts", {}, fields=["_id"], sort=())
        since = moment - self._silence, moment - max(self._silence, SILENCE)
        silent, asked = check_silent(moment, *since, moment - MAX_CHECK_AGE)
        # No index has the status alone, but an account has few calls that are at the provider.
        silent = {"account_id": {"$in": [account["_id"] for account in accounts]}, **silent}
        # First those that plans wait for.
        order = [(ATTEMPT_NUMBER, -1)]
        found = await self._all_tenants.find(CALLS, silent, fields=["_id"], sort=order, limit=MAX_SILENT)
        if found:
            these = {"_id": {"$in": [call["_id"] for call in found]}}
            await self._all_tenants.update_many(CALLS, {**silent, **these}, asked)
