"""Participations of versions without outcomes are marked, so that the job ``OutcomeKeeper`` derives theirs."""

from __future__ import annotations

from typing import Final

from scfm.models.outcome import MARK, OUTCOME_VERSION, new_mark
from scfm.models.stored_documents import PARTICIPATIONS
from scfm.storage.query import Document
from scfm.storage.store import Store

PARTICIPATIONS_AT_ONCE: Final = 500


async def mark_missing(store: Store, after: int) -> int | None:
    """Mark those without an outcome among the next participations; the last one's id, None at the end."""
    beyond = {"_id": {"$gt": after}}
    found = await store.all_tenants.find(
        PARTICIPATIONS, beyond, fields=["account_id", "outcome"], limit=PARTICIPATIONS_AT_ONCE
    )
    if not found:
        return None
    missing: dict[int, list[int]] = {}
    for participation in found:
        if "outcome" not in participation:
            missing.setdefault(participation["account_id"], []).append(participation["_id"])
    for account_id, ids in missing.items():
        still: Document = {"_id": {"$in": ids}, "outcome": {"$exists": False}, OUTCOME_VERSION: None, MARK: None}
        await store.for_account(account_id).update_many(PARTICIPATIONS, still, {"$set": {MARK: new_mark()}})
    return found[-1]["_id"]
