"""Carries on changes of contacts' numbers that a process left when it died, and forgets those that are long past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from scfm.clock import now
from scfm.models import renumbering
from scfm.models.renumbering import RENUMBERED
from scfm.models.stored_documents import CONTACT_COLLECTION, ContactDocument
from scfm.storage.store import Store
from scfm.workers.claims import claim_each
from scfm.workers.runner import Job

LOOK_LEASE = timedelta(seconds=30)


class RenumberContacts(Job):
    """See ``scfm.models.renumbering``. What is done twice does no more than once."""

    name = "renumber contacts"
    slots = 4

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, limit: int) -> Sequence[ContactDocument]:
        due_at = f"{RENUMBERED}.due"
        waiting = {due_at: {"$lte": now()}}
        return await claim_each(
            self._store.all_tenants,
            CONTACT_COLLECTION,
            waiting,
            due_at,
            limit,
            lambda found: ({**found, **waiting}, {"$set": {due_at: now() + LOOK_LEASE}}),
        )

    async def process(self, item: ContactDocument) -> None:
        view = self._store.for_account(item["account_id"])
        await renumbering.propagate(view, item["_id"])
        contact = await view.find_one(CONTACT_COLLECTION, {"_id": item["_id"]})
        if contact is not None and RENUMBERED in contact and renumbering.mark_ends_at(contact) <= now():
            await renumbering.clear_mark(view, contact)
