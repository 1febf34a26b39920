"""Asks the provider how calls ended of which no callback tells, less and less often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scfm.clock import later, now
from scfm.models import call_checks
from scfm.models.call_lifecycle import AT_PROVIDER, CallStatus
from scfm.models.call_work import CHECK
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.providers.client import Provider
from scfm.providers.errors import ProviderError
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.calling_accounts import CallingAccounts
from scfm.workers.claims import claim_each
from scfm.workers.remote_status import fetch_remote_call
from scfm.workers.runner import Job

MAX_CHECK_INTERVAL = timedelta(hours=1)
# No call lasts longer than a day: one that is open still is asked about once a day, and after a month not any more.
MAX_CALL_AGE, LATE_CHECK_INTERVAL, MAX_CHECK_AGE = timedelta(hours=25), timedelta(days=1), timedelta(days=31)


class StatusPoller(Job):
    """Processes calls whose time to ask (``_check``) has come.

    ``lease`` is in seconds, as are ``seconds``: the least time between two questions about a call.
    """

    name = "check calls"
    slots = 20

    def __init__(
        self, store: Store, provider: Provider, accounts: CallingAccounts, *, lease: float, seconds: float
    ) -> None:
        self._all_tenants = store.all_tenants
        self._provider = provider
        self._accounts = accounts
        self._lease = lease
        self._first = timedelta(seconds=seconds)

    async def claim(self, limit: int) -> Sequence[PhoneCallDocument]:
        moment = now()
        return await claim_each(
            self._all_tenants,
            CALLS,
            {CHECK: {"$lte": moment}},
            CHECK,
            limit,
            lambda call: call_checks.claim_check(call, moment, later(self._lease)),
        )

    async def process(self, item: PhoneCallDocument) -> None:
        if item["status"] not in AT_PROVIDER:
            await self._all_tenants.update_one(CALLS, *call_checks.schedule_check(item, self._next_check(item)))
            return
        try:
            response = await fetch_remote_call(self._provider, self._accounts, item)
        except ProviderError as error:
            change: Document = {"remote_error_message": error.message}
        else:
            change = call_checks.checked(item, response)
        recorded = call_checks.record_check(item, change, self._next_check({**item, **change}))
        # A callback that has come meanwhile knows better.
        if not await self._all_tenants.update_one(CALLS, *recorded):
            await self._all_tenants.update_one(CALLS, *call_checks.postpone_check(item, later(self._lease)))

    async def on_error(self, item: PhoneCallDocument, error: Exception) -> None:
        again = self._next_check(item)
        await self._all_tenants.update_one(CALLS, *call_checks.schedule_check_after_failure(item, again))

    def _next_check(self, call: Mapping[str, Any]) -> datetime | None:
        """When to ask again: after as long as the call has been under way, or never."""
        age: timedelta = now() - (call["remotely_queued_at"] or call["created_at"])
        open_still = call["status"] in (*AT_PROVIDER, CallStatus.REMOTE_FETCH_QUEUED)
        if not open_still or age > MAX_CHECK_AGE:
            return None
        if age > MAX_CALL_AGE:
            return now() + LATE_CHECK_INTERVAL
        return now() + min(max(age, self._first), MAX_CHECK_INTERVAL)
