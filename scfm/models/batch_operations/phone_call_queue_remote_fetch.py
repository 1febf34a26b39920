"""Queue a fetch of the remote status: of the matching phone calls those whose status may still change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.phone_call_queue import PhoneCallQueue
from scfm.models.call_lifecycle import queue_remote_fetch_many
from scfm.models.stored_documents import CALLS
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView


class PhoneCallQueueRemoteFetch(PhoneCallQueue):
    name = operation_links.REMOTE_FETCH
    schema = "phone_call_queue_remote_fetch"

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        updates = queue_remote_fetch_many([call["_id"] for call in subjects], operation["_id"])
        await view.bulk_update(CALLS, updates, many=True)
        return {}
