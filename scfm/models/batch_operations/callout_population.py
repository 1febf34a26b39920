"""Populate a callout: a participation for each matching contact that has none in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models import renumbering
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.linked import make_missing
from scfm.models.batch_operations.operation import NOBODY_SKIPPED, OperationType, Skipped, matching
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class CalloutPopulation(OperationType):
    name = operation_links.POPULATION
    walks = "contacts"
    previews = ("contacts",)
    schema = "callout_population"
    needs = ("msisdn",)

    async def subject(self, view: TenantView, operation: Document) -> Query:
        return await matching(view, CONTACTS, operation["parameters"])

    async def preview(self, view: TenantView, operation: Document, collection: str) -> Query:
        """Those that match, but for those whose number is another participation's in the callout."""
        taken = await self.subject(view, operation)
        left_out = await renumbering.left_out(view, operation.get("callout_id"))
        return taken.narrowed({"_id": {"$nin": left_out}}) if left_out else taken

    async def limit(self, view: TenantView, operation: Document) -> int | None:
        return None

    async def act(
        self, view: TenantView, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        refused = await self._populate(view, operation, documents, turn)
        if not refused:
            return NOBODY_SKIPPED
        among = {"callout_id": operation["callout_id"]}
        numbers = {"msisdn": {"$in": [contact["msisdn"] for contact in refused]}}
        holders = await view.find("callout_participations", {**among, **numbers}, fields=["contact_id"], sort=())
        if await renumbering.follow(view, {one["contact_id"] for one in holders}):
            # Whoever had the number before may have another by now.
            refused = await self._populate(view, operation, refused, turn)
        own = {**among, "contact_id": {"$in": [contact["_id"] for contact in refused]}}
        has = await view.find("callout_participations", own, fields=["contact_id"], sort=())
        left_out = len(refused) - len(has)
        return {renumbering.NUMBER_TAKEN: left_out} if left_out > 0 else NOBODY_SKIPPED

    async def _populate(
        self, view: TenantView, operation: Document, contacts: Sequence[Document], turn: asyncio.Lock
    ) -> Sequence[Document]:
        """Make the participations of CONTACTS that are missing; those whose participation is refused."""
        return await make_missing(
            view,
            CALLOUT_PARTICIPATIONS,
            contacts,
            turn,
            parent_collection="contacts",
            link="contact_id",
            among={"callout_id": operation["callout_id"]},
            common={"callout_population_id": operation["_id"], "call_flow_logic": None, "metadata": {}},
            copied=("msisdn",),
        )
