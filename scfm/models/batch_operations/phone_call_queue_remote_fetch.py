"""Queue a fetch of the remote status: of the matching phone calls those whose outcome may still change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.clock import now
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import NOBODY_SKIPPED, Skipped
from scfm.models.batch_operations.phone_call_queue import PhoneCallQueue
from scfm.models.phone_call import UNSETTLED, waiting
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class PhoneCallQueueRemoteFetch(PhoneCallQueue):
    name = operation_links.REMOTE_FETCH
    schema = "phone_call_queue_remote_fetch"

    async def act(
        self, view: TenantView, operation: Document, documents: Sequence[Document], turn: asyncio.Lock
    ) -> Skipped:
        numbers = [document["_id"] for document in documents]
        change = {
            "status": "remote_fetch_queued",
            "queue_remote_fetch_batch_operation_id": operation["_id"],
            "updated_at": now(),
            "_work": waiting(),
        }
        updates = [
            (
                {"_id": {"$in": numbers}, "status": status, "remote_call_id": {"$ne": None}},
                {"$set": {**change, "_fetch_from": status}},
            )
            for status in UNSETTLED
        ]
        await view.update_each("phone_calls", updates, many=True)
        return NOBODY_SKIPPED
