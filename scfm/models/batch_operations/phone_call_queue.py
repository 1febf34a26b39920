"""Queue phone calls: those of the matching ones that are still ``created``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from scfm.models.attempt_ordinals import attempt_ordinals
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.operation import Operation, Skipped
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.batch_operations.selection import phone_calls_of
from scfm.models.call_lifecycle import queue_many
from scfm.models.outcome import ATTEMPT_NUMBER
from scfm.models.queue_place import by_place, queue_place, read_callouts
from scfm.models.references import not_being_deleted
from scfm.models.stored_documents import CALLS
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document, Query
from scfm.storage.tenant_view import TenantView


class PhoneCallQueue(OperationType):
    name = operation_links.QUEUE
    schema = "phone_call_queue"
    subject_collection = "phone_calls"
    preview_collections = ("phone_calls",)
    needed_fields = ("callout_id", "callout_participation_id")
    wakes_jobs = True

    async def subjects(self, view: TenantView, operation: Operation) -> Query:
        return await phone_calls_of(view, operation["parameters"])

    async def act(
        self, view: TenantView, operation: Operation, subjects: Sequence[Document], order_lock: asyncio.Lock
    ) -> Skipped:
        callouts = await read_callouts(view, {call["callout_id"] for call in subjects})
        ordinals = await attempt_ordinals(view, subjects, callouts)
        for call in subjects:
            if call["_id"] in ordinals:
                place = queue_place(callouts.get(call["callout_id"]))
                with suppress(DuplicateKey):  # another call of the person is open: this one stays as it is
                    await _queue(view, operation, [call], {**place, ATTEMPT_NUMBER: ordinals[call["_id"]]})
        others = [call for call in subjects if call["_id"] not in ordinals]
        places = {call["callout_id"]: queue_place(callouts.get(call["callout_id"])) for call in others}
        for place, callout_ids in by_place(places):
            calls = [call for call in others if call["callout_id"] in callout_ids]
            await _queue(view, operation, calls, place)
        return {}


async def _queue(view: TenantView, operation: Operation, calls: Sequence[Document], place: Document) -> None:
    """Queue those of the calls that are still created; raises DuplicateKey where another of the person is open."""
    queued = queue_many([call["_id"] for call in calls], operation["_id"], place)
    await view.update_many(CALLS, {**queued.condition, **not_being_deleted()}, queued.update)
