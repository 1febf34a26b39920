"""Queue phone calls: those of the matching ones that are still ``created``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import NOBODY_SKIPPED, OperationType, Skipped, phone_calls_of
from scfm.models.call_lifecycle import queue_many
from scfm.models.references import not_being_deleted
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class PhoneCallQueue(OperationType):
    name = operation_links.QUEUE
    schema = "phone_call_queue"
    walks = "phone_calls"
    previews = ("phone_calls",)
    needs = ()
    queues = True

    async def subject(self, view: TenantView, operation: Document) -> Query:
        return await phone_calls_of(view, operation["parameters"])

    async def act(
        self, view: TenantView, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        numbers = [document["_id"] for document in documents]
        queued = queue_many(numbers, operation["_id"])
        await view.update_many("phone_calls", {**queued.condition, **not_being_deleted()}, queued.update)
        return NOBODY_SKIPPED
