"""Drops what is kept for a day only: what deliveries of webhooks came to, and credentials that were replaced."""

from __future__ import annotations

import time
from collections.abc import Sequence

from scfm.calls import deliveries
from scfm.models.account import forget_former
from scfm.storage.store import Store
from scfm.workers.runner import Job

PAUSE_SECONDS = 600.0
MAX_FORGOTTEN = 1000


class ForgetOld(Job):
    """Done twice, or by two processes at once, it does no more than once, so it needs no lease."""

    name = "forget what is kept for a day"
    slots = 1

    def __init__(self, store: Store) -> None:
        self._all_tenants = store.all_tenants
        self._due = time.monotonic()

    async def claim(self, limit: int) -> Sequence[None]:
        if time.monotonic() < self._due:
            return []
        self._due = time.monotonic() + PAUSE_SECONDS
        return [None]

    async def process(self, item: None) -> None:
        await forget_former(self._all_tenants)
        while await deliveries.forget_old(self._all_tenants, MAX_FORGOTTEN) == MAX_FORGOTTEN:
            pass
