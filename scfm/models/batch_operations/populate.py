"""Make participations of contacts: what populations do, and plans that take their audience."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from scfm.models import renumbering
from scfm.models.batch_operations.create_missing import create_missing
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.stored_documents import PARTICIPATIONS
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


async def populate(
    view: TenantView,
    callout_id: int,
    contacts: Sequence[Mapping[str, Any]],
    order_lock: asyncio.Lock,
    fields: Document,
) -> int:
    """Create a participation, with these FIELDS, for each of the CONTACTS that has none in the callout.

    CONTACTS are sorted by id, and have their ``msisdn``. Gives how many are left out, as their number is another
    participation's in the callout. See ``create_missing``.
    """

    async def create_participations(contacts: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        return await create_missing(
            view,
            CALLOUT_PARTICIPATIONS,
            contacts,
            order_lock,
            parent_collection="contacts",
            link="contact_id",
            scope={"callout_id": callout_id},
            common={**initial_fields(CALLOUT_PARTICIPATIONS), **fields},
            copy_fields=("msisdn",),
        )

    refused = await create_participations(contacts)
    if not refused:
        return 0
    in_callout = {"callout_id": callout_id}
    with_msisdn = {"msisdn": {"$in": [contact["msisdn"] for contact in refused]}}
    holders = await view.find(PARTICIPATIONS, {**in_callout, **with_msisdn}, fields=["contact_id"], sort=())
    if await renumbering.propagate_to_created(view, {participation["contact_id"] for participation in holders}):
        # Whoever had the number before may have another by now.
        refused = await create_participations(refused)
    own = {**in_callout, "contact_id": {"$in": [contact["_id"] for contact in refused]}}
    return len(refused) - len(await view.find(PARTICIPATIONS, own, fields=["contact_id"], sort=()))
