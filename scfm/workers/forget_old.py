"""Drops what is kept for a time only.

That is what deliveries of providers' webhooks came to, former credentials, audit events, and deliveries to webhook
endpoints.
"""

from __future__ import annotations

from datetime import timedelta

from scfm.calls import deliveries
from scfm.clock import now
from scfm.models.account import forget_former
from scfm.models.audit_event import forget_events
from scfm.models.webhook_attempts import forget_deliveries
from scfm.storage.store import Store
from scfm.workers.periodic_job import PeriodicJob

MAX_FORGOTTEN = 1000


class ForgetOld(PeriodicJob):
    name = "forget what is kept for a time"
    pause_seconds = 600.0

    def __init__(self, store: Store, audit_days: int, webhook_days: int) -> None:
        """Audit events are kept for so many days, for ever where that is 0; deliveries to webhook endpoints, too."""
        super().__init__()
        self._audit_days = audit_days
        self._webhook_days = webhook_days
        self._all_tenants = store.all_tenants

    async def process(self, item: None) -> None:
        await forget_former(self._all_tenants)
        while await deliveries.forget_old(self._all_tenants, MAX_FORGOTTEN) == MAX_FORGOTTEN:
            pass
        if self._audit_days:
            before = now() - timedelta(days=self._audit_days)
            while await forget_events(self._all_tenants, before, MAX_FORGOTTEN) == MAX_FORGOTTEN:
                pass
        before = now() - timedelta(days=self._webhook_days)
        while await forget_deliveries(self._all_tenants, before, MAX_FORGOTTEN) == MAX_FORGOTTEN:
            pass
