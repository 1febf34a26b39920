"""Group commit: updates that come while one is under way go together in the next round trip."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from scfm.errors import Unavailable
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

RETRY_SECONDS = 0.5
MAX_BATCH = 500
# While writes come one after the other, each waits so long for those that come with it, unless they are many.
GATHER_SECONDS, MANY = 0.02, 100


Update = tuple[Document, Document]
"""A condition, and the update of the document that fits it."""


@dataclass(frozen=True)
class _Entry:
    update: Update
    otherwise: tuple[Update, ...]
    done: asyncio.Future[None]

    def tell(self, error: Exception | None) -> None:
        """Say how it ended to whoever waits, if anyone still does."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class Writes:
    """Writes updates of one collection, many at a time, and tries again until the database takes them."""

    def __init__(self, view: TenantView, collection: str) -> None:
        self._view = view
        self._collection = collection
        self._waiting: list[_Entry] = []
        self._flushing: asyncio.Task[None] | None = None
        self._again_at = 0.0

    async def add(self, update: Update, *otherwise: Update) -> None:
        """Returns when UPDATE is on disk, or, where no document fits it any more, OTHERWISE."""
        entry = _Entry(update, otherwise, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await entry.done

    async def _flush(self) -> None:
        while self._waiting:
            early = self._again_at - time.monotonic()
            if early > 0 and len(self._waiting) < MANY:
                await asyncio.sleep(early)
            self._again_at = time.monotonic() + GATHER_SECONDS
            group, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                await self._write(group)
            except Exception as error:
                await self._one_by_one(group, error)
            else:
                for entry in group:
                    entry.tell(None)

    async def _one_by_one(self, group: list[_Entry], error: Exception) -> None:
        """What the database refuses must not take the others with it."""
        if len(group) == 1:
            group[0].tell(error)
            return
        for entry in group:
            try:
                await self._write([entry])
            except Exception as refused:
                entry.tell(refused)
            else:
                entry.tell(None)

    async def _write(self, group: list[_Entry]) -> None:
        changed = await self._insist([entry.update for entry in group])
        if changed < len(group):
            # Some fit no more, and it is not told which; the others' alternatives fit nothing.
            await self._insist([update for entry in group for update in entry.otherwise])

    async def _insist(self, updates: list[Update]) -> int:
        while True:
            try:
                return await self._view.update_each(self._collection, updates)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
