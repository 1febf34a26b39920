"""Updates of single documents that go together, and are tried again until the database takes them."""

from __future__ import annotations

import asyncio
from functools import partial

from scfm.errors import Unavailable
from scfm.storage.batching import Batcher, isolate_failures
from scfm.storage.query import Document
from scfm.storage.status_log import log_changes
from scfm.storage.tenant_view import TenantView

RETRY_SECONDS = 0.5
MAX_UPDATES = 500
# While updates come one after the other, each waits so long for those that come with it, unless they are many.
UPDATE_GATHER_SECONDS, MANY = 0.02, 100

ConditionalUpdate = tuple[Document, Document]
"""A condition, and the update of the document that fits it."""


class RetryingUpdates:
    """A Batcher of the updates of one collection, with retry."""

    def __init__(self, view: TenantView, collection: str) -> None:
        self._view = view
        self._collection = collection
        # Of each entry: whether its first update is known to have fitted.
        self._batcher: Batcher[tuple[ConditionalUpdate, ...], bool] = Batcher(
            partial(isolate_failures, self._carry_out),
            max_batch=MAX_UPDATES,
            gather_seconds=UPDATE_GATHER_SECONDS,
            many=MANY,
        )

    async def add(self, update: ConditionalUpdate, *otherwise: ConditionalUpdate) -> None:
        """Returns when UPDATE is on disk, or, where no document fits it any more, OTHERWISE.

        Waits for a database that is gone; raises what the driver says of an update that the database refuses.
        """
        fitted = await self._batcher.submit((update, *otherwise))
        log_changes(self._collection, [update], 1 if fitted else None)

    async def _carry_out(self, entries: list[tuple[ConditionalUpdate, ...]]) -> list[bool]:
        changed = await self._write([update for update, *_ in entries])
        if changed < len(entries):
            # Some fit no more, and it is not told which; the others' alternatives fit nothing.
            await self._write([alternative for _, *otherwise in entries for alternative in otherwise])
        return [changed == len(entries)] * len(entries)

    async def _write(self, updates: list[ConditionalUpdate]) -> int:
        while True:
            try:
                return await self._view.bulk_update(self._collection, updates, logged=False)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
