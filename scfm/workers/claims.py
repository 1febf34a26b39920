"""Claiming: a job makes documents that wait its own by an atomic update, until a lease runs out.

Two processes never claim the same document. One that is not finished when its lease has run out, as its process has
died, can be claimed again. Each kind of document says by its own fields what waits, and until when it is claimed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import cast

from scfm.clock import now
from scfm.models.call_lifecycle import claim, claimed_by, due
from scfm.models.call_work import DUE, LANE, RANK, WORK, Attempt
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.storage.query import CollectionName, Document, Stored
from scfm.storage.tenant_view import TenantView


async def claim_each(
    view: TenantView,
    collection: CollectionName[Stored],
    waiting: Document,
    due_field: str,
    limit: int,
    claiming: Callable[[Stored], tuple[Document, Document]],
) -> list[Stored]:
    """Claim up to LIMIT documents that are WAITING (a condition), the longest due first; they, as they are now.

    CLAIMING gets a document's ``_id`` and ``account_id``, and gives the condition under which it is still to be had,
    and the update that claims it; one round trip each. Raises Unavailable.
    """
    claimed = []
    # An update of one document names its account, by which the collection can be sharded.
    for found in await view.find(collection, waiting, fields=["account_id"], sort=[(due_field, 1)], limit=limit):
        document = await view.update_one(collection, *claiming(found))
        if document is not None:
            claimed.append(document)
    return claimed


async def claim_due(
    view: TenantView, collection: CollectionName[Stored], lease: timedelta, limit: int
) -> list[Stored]:
    """Claim up to LIMIT documents whose field ``due`` says so: until the LEASE has run out they are due no more."""
    waiting = {"due": {"$lte": now()}}
    return await claim_each(
        view,
        collection,
        waiting,
        "due",
        limit,
        lambda found: ({**cast(Document, found), **waiting}, {"$set": {"due": now() + lease}}),
    )


async def claim_calls(
    view: TenantView,
    status: str,
    limit: int,
    lease: datetime,
    attempt: Attempt | None,
    lanes: Mapping[int, int] | None = None,
) -> list[PhoneCallDocument]:
    """Claim up to LIMIT calls of a status until LEASE, the highest priority first, of one the longest due.

    LANES: how many may be claimed of each lane, by its callout's id, where they are claimed lane by lane. Gives the
    calls as they are now.

    That takes two round trips, and a third where another process claims some of the same at the same time.
    ATTEMPT is that of calls that are about to be sent. Raises Unavailable; then some may be claimed all the same.
    """
    moment = now()
    found = await _first_waiting(view, due(status, moment), limit, lanes)
    if not found:
        return []
    call_ids = [call["_id"] for call in found]
    count = await view.update_many(CALLS, *claim(call_ids, status, moment, lease, attempt))
    if count == len(found):
        for call in found:
            call["_work"]["lease"] = lease
            if attempt:
                call["_work"]["attempt"] = attempt
        return found
    # Another process was at the same calls: which of them are ours?
    return await view.find(CALLS, claimed_by(call_ids, status, lease, attempt))


async def _first_waiting(
    view: TenantView, waiting: Document, limit: int, lanes: Mapping[int, int] | None
) -> list[PhoneCallDocument]:
    """The first LIMIT of the calls that are WAITING (a condition)."""
    if lanes is None:
        return await view.find(CALLS, waiting, sort=[(LANE, 1), (RANK, 1), (DUE, 1)], limit=limit)
    rooms: list[tuple[int | None, int]] = [(None, limit), *lanes.items()]
    found = await asyncio.gather(
        *(
            view.find(CALLS, {**waiting, LANE: lane}, sort=[(RANK, 1), (DUE, 1)], limit=min(limit, room))
            for lane, room in rooms
            if room > 0
        )
    )
    if len(found) == 1:
        return found[0]
    # Those that an older version has queued have no rank, and go first.
    calls = [call for calls in found for call in calls]
    return sorted(calls, key=lambda call: (call.get(RANK, -1), call[WORK]["due"]))[:limit]
