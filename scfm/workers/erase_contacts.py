"""Carries out the erasures of persons that clients, and retention, have asked for."""

from __future__ import annotations

from collections.abc import Sequence

from scfm.models.erasure_record import ERASURE_LEASE, ERASURES, ErasureRecord
from scfm.privacy.erasure import Eraser
from scfm.storage.store import Store
from scfm.workers.claims import claim_due
from scfm.workers.runner import Job

MAX_ERASED_TOGETHER = 200


class EraseContacts(Job):
    """An erasure is claimed by its ``due``, which is put off by a lease; what is cut off is done again when it ends.

    Done by two processes at once, it does no more than once.
    """

    name = "erase contacts"
    slots = 1

    def __init__(self, store: Store, eraser: Eraser) -> None:
        self._store = store
        self._eraser = eraser

    async def claim(self, limit: int) -> Sequence[Sequence[ErasureRecord]]:
        """Several at once, as much has to be read through for one as for many."""
        claimed = await claim_due(self._store.all_tenants, ERASURES, ERASURE_LEASE, MAX_ERASED_TOGETHER)
        return [claimed] if claimed else []

    async def process(self, item: Sequence[ErasureRecord]) -> None:
        await self._eraser.erase(item)
