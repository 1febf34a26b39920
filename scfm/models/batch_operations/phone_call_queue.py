"""Queue phone calls: those of the matching ones that are still ``created``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.selection import phone_calls_of
from scfm.models.call_lifecycle import queue_many
from scfm.models.queue_place import by_place, queue_places
from scfm.models.references import not_being_deleted
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class PhoneCallQueue(OperationType):
    name = operation_links.QUEUE
    schema = "phone_call_queue"
    subject_collection = "phone_calls"
    preview_collections = ("phone_calls",)
    needed_fields = ("callout_id",)
    wakes_jobs = True

    async def subjects(self, view: TenantView, operation: Operation) -> Query:
        return await phone_calls_of(view, operation["parameters"])

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        places = await queue_places(view, {call["callout_id"] for call in subjects})
        for place, callout_ids in by_place(places):
            call_ids = [call["_id"] for call in subjects if call["callout_id"] in callout_ids]
            queued = queue_many(call_ids, operation["_id"], place)
            await view.update_many("phone_calls", {**queued.condition, **not_being_deleted()}, queued.update)
        return {}
