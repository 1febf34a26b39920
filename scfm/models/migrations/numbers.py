"""Participations of older versions that do not have their contact's number are marked: see ``renumbering``."""

from __future__ import annotations

from typing import Final

from scfm.models.excluded_contacts import mark_older
from scfm.models.stored_documents import CALLOUT_COLLECTION
from scfm.storage.store import Store

CALLOUTS_AT_ONCE: Final = 20


async def mark_own_numbers(store: Store, after: int) -> int | None:
    """Mark those of the next callouts; the last one's id, None at the end."""
    beyond = {"_id": {"$gt": after}}
    found = await store.all_tenants.find(CALLOUT_COLLECTION, beyond, fields=["account_id"], limit=CALLOUTS_AT_ONCE)
    for callout in found:
        await mark_older(store.for_account(callout["account_id"]), callout["_id"])
    return found[-1]["_id"] if found else None
