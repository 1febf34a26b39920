"""Populate a callout: a participation for each matching contact that has none in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models import renumbering
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.create_missing import create_missing
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.selection import matching
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.declaration import initial_fields
from scfm.models.outcome import MARK, OUTCOME_VERSION, new_mark
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class CalloutPopulation(OperationType):
    name = operation_links.POPULATION
    schema = "callout_population"
    subject_collection = "contacts"
    preview_collections = ("contacts",)
    needed_fields = ("msisdn",)

    async def subjects(self, view: TenantView, operation: Operation) -> Query:
        return await matching(view, CONTACTS, operation["parameters"])

    async def preview(self, view: TenantView, operation: Operation, collection: str) -> Query:
        """Those that match, but for those whose number is another participation's in the callout."""
        contacts = await self.subjects(view, operation)
        left_out = await renumbering.excluded_contact_ids(view, operation.get("callout_id"))
        return contacts.narrowed({"_id": {"$nin": left_out}}) if left_out else contacts

    async def limit(self, view: TenantView, operation: Operation) -> int | None:
        return None

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        refused = await self._populate(view, operation, subjects, order_lock)
        await _mark_new(view, operation["callout_id"], subjects)
        if not refused:
            return {}
        in_callout = {"callout_id": operation["callout_id"]}
        with_msisdn = {"msisdn": {"$in": [contact["msisdn"] for contact in refused]}}
        holders = await view.find(
            "callout_participations", {**in_callout, **with_msisdn}, fields=["contact_id"], sort=()
        )
        if await renumbering.propagate_to_created(view, {participation["contact_id"] for participation in holders}):
            # Whoever had the number before may have another by now.
            again = refused
            refused = await self._populate(view, operation, again, order_lock)
            await _mark_new(view, operation["callout_id"], again)
        own = {**in_callout, "contact_id": {"$in": [contact["_id"] for contact in refused]}}
        participations = await view.find("callout_participations", own, fields=["contact_id"], sort=())
        skipped = len(refused) - len(participations)
        return {renumbering.NUMBER_TAKEN: skipped} if skipped > 0 else {}

    async def _populate(
        self, view: TenantView, operation: Operation, contacts: Sequence[Document], order_lock: asyncio.Lock
    ) -> Sequence[Document]:
        """Create the participations of CONTACTS that are missing; those whose participation is refused."""
        return await create_missing(
            view,
            CALLOUT_PARTICIPATIONS,
            contacts,
            order_lock,
            parent_collection="contacts",
            link="contact_id",
            scope={"callout_id": operation["callout_id"]},
            common={**initial_fields(CALLOUT_PARTICIPATIONS), "callout_population_id": operation["_id"]},
            copy_fields=("msisdn",),
        )


async def _mark_new(view: TenantView, callout_id: int | None, contacts: Sequence[Document]) -> None:
    """Tell the plan of the callout, if it has one by now, of the participations of CONTACTS that nobody knows yet."""
    callout = await view.first_by("callouts", "_id", callout_id)
    if callout is not None and callout.get("plan") is not None:
        new = {"callout_id": callout_id, "contact_id": {"$in": [contact["_id"] for contact in contacts]}}
        mark = {"$set": {MARK: new_mark()}}
        await view.update_many("callout_participations", {**new, OUTCOME_VERSION: None}, mark)
