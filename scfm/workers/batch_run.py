"""One run of a batch operation: reads what the operation acts on, in batches, and acts on it.

How far it has come is stored, so a run that is cut off anywhere goes on; acting twice does no more than acting once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime

from scfm.models.batch_operation import TYPES, validated_type
from scfm.models.batch_operations.operation import Operation, OperationWork, Skipped
from scfm.models.batch_operations.operation_run import finish_run, save_progress
from scfm.models.batch_operations.operation_type import OperationType
from scfm.models.stored_documents import OPERATIONS
from scfm.runtime.metrics import LEASE_LOSSES
from scfm.runtime.rest import rest
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView
from scfm.workers.runner import cancel_all

MAX_BATCH_IDS = 1000
# So many batches are acted on at the same time: while the database stores one, the next is made.
AT_ONCE = 2
# While people are on the phone, so many are acted on at once, and then it rests, so many seconds at most.
PART, MAX_PART_REST = 50, 0.1
OLD_SECONDS = 60.0

Batches = AsyncGenerator[list[Document], None]
Acting = deque[tuple[int, asyncio.Task[Skipped]]]
"""What is acted on now, in order: the last id of each batch, and the task."""


class LeaseLost(Exception):
    """Another process has claimed the operation."""


class BatchRun:
    """An operation that this process has claimed, from wherever its run stands to its end."""

    def __init__(
        self,
        view: TenantView,
        operation: Operation,
        until: Callable[[], datetime],
        wake: Callable[[], None],
        webhooks_recent: Callable[[], bool],
    ) -> None:
        self._view = view
        self._operation = operation
        self._type: OperationType = TYPES[operation["type"]]
        self._until = until
        self._wake = wake
        self._work: OperationWork = operation["_work"]
        self._webhooks_recent = webhooks_recent
        self._order_lock = asyncio.Lock()
        # How many have been left out, by reason.
        self._skipped: Counter[str] = Counter()
        # How many it has acted on; what they are.
        self.acted = 0
        self.subjects = self._type.subject_collection.replace("_", " ")

    async def finish(self) -> None:
        """Go on from wherever the run stands, to its end."""
        await validated_type(self._view, self._operation)
        query = await self._type.subjects(self._view, self._operation)
        if "cursor" not in self._work:
            limit = await self._type.limit(self._view, self._operation)
            await self._save({"cursor": 0, "left": limit, "pinned": []})
        self._skipped.update(self._work.get("skipped", {}))
        if pinned := self._work["pinned"]:  # what was about to be acted on when the run was cut off
            self._skipped.update(await self._act(await self._read_again(pinned), time.monotonic()))
        batches = self._view.list_of(query).batches(self._work["cursor"], MAX_BATCH_IDS, self._type.needed_fields)
        async with aclosing(batches):
            await (self._walk(batches) if self._work["left"] is None else self._walk_limited(batches))
        await self._update(*finish_run(self._operation, self._skipped))

    async def _walk(self, batches: Batches) -> None:
        """Act on everything, on some while the next are read, and write down after it how far that is.

        A run that was cut off acts on the last of it again.
        """
        acting: Acting = deque()
        reading = _next(batches)
        try:
            while (batch := await reading)[0]:
                documents, read = batch
                reading = _next(batches)
                done = None
                while len(acting) >= (1 if self._webhooks_recent() else AT_ONCE):
                    done = await self._first(acting)
                acting.append((documents[-1]["_id"], asyncio.create_task(self._act(documents, read))))
                if done is not None:  # only now, as it waits for the disk
                    await self._save(done)
            while acting:
                await self._save(await self._first(acting))
        finally:
            await cancel_all([reading, *(task for _, task in acting)])

    async def _walk_limited(self, batches: Batches) -> None:
        """Act on as many as the limit leaves.

        Which they are is written down first: those that have been acted on may not match any more, and others must
        not take their places.
        """
        while (left := self._work["left"]) and (batch := await _next(batches))[0]:
            documents, read = batch[0][:left], batch[1]
            ids = [document["_id"] for document in documents]
            await self._save(self._with_skipped({"pinned": ids, "cursor": ids[-1], "left": left - len(documents)}))
            self._skipped.update(await self._act(documents, read))

    async def _read_again(self, ids: Sequence[int]) -> list[Document]:
        among = {"_id": {"$in": list(ids)}}
        return await self._view.find(self._type.subject_collection, among, fields=self._type.needed_fields)

    async def _first(self, acting: Acting) -> OperationWork:
        """How far it is when the first of these has come to its end, and whom it has left out until then.

        Both are saved together, so that nobody is counted twice when the rest is acted on again.
        """
        last, task = acting.popleft()
        self._skipped.update(await task)
        return self._with_skipped({"cursor": last})

    def _with_skipped(self, progress: OperationWork) -> OperationWork:
        return {**progress, "skipped": dict(self._skipped)} if self._skipped else progress

    async def _act(self, documents: list[Document], read: float) -> Skipped:
        """Act on what was READ then; while people are on the phone in small parts, with a rest after each.

        Gives how many were left out, by reason.
        """
        skipped: Counter[str] = Counter()
        while documents:
            if time.monotonic() - read > OLD_SECONDS:  # see recently_deleted_ids
                documents = await self._read_again([document["_id"] for document in documents])
                read = time.monotonic()
            size = PART if self._webhooks_recent() else MAX_BATCH_IDS
            part, documents = documents[:size], documents[size:]
            began = time.monotonic()
            skipped.update(await self._type.act(self._view, self._operation, part, self._order_lock))
            self.acted += len(part)
            if self._type.wakes_jobs:
                self._wake()
            if self._webhooks_recent():
                await rest(began, MAX_PART_REST)
        return skipped

    async def _save(self, progress: OperationWork) -> None:
        """Write down how far the run is, and hold it for longer; raises LeaseLost if it is no longer ours."""
        await self._update(*save_progress(self._operation, progress, self._until()))

    async def _update(self, condition: Document, update: Document) -> None:
        saved = await self._view.update_one(OPERATIONS, condition, update)
        if saved is None:
            LEASE_LOSSES.labels("batch_operation").inc()
            raise LeaseLost
        self._work = saved.get("_work", {})


def _next(batches: Batches) -> asyncio.Task[tuple[list[Document], float]]:
    """The next documents, none at the end, and when they were read."""

    async def read() -> tuple[list[Document], float]:
        return await anext(batches, []), time.monotonic()

    return asyncio.create_task(read())
