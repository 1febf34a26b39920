"""Populate a callout: a participation for each matching contact that has none in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models import renumbering
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.populate import populate
from scfm.models.batch_operations.selection import matching
from scfm.models.contact import CONTACTS
from scfm.models.excluded_contacts import excluded_contact_ids
from scfm.models.joining import JoinedCallout
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
        left_out = await excluded_contact_ids(view, operation.get("callout_id"))
        return contacts.narrowed({"_id": {"$nin": left_out}}) if left_out else contacts

    async def limit(self, view: TenantView, operation: Operation) -> int | None:
        return None

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        callout_id = operation["callout_id"] or 0
        async with order_lock:  # so that the next batch does not overtake this one
            callout = await JoinedCallout.read(view, callout_id)
        fields = {**callout.new_fields(), "callout_population_id": operation["_id"]}
        skipped = await populate(view, callout_id, subjects, order_lock, fields)
        await callout.confirm(view, [contact["_id"] for contact in subjects])
        return {renumbering.NUMBER_TAKEN: skipped} if skipped > 0 else {}
