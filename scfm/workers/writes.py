"""Group commit: updates that come while one is under way go together in the next round trip."""

from __future__ import annotations

import asyncio

from scfm.errors import Unavailable
from scfm.models.query import Document
from scfm.models.store import View

RETRY_SECONDS = 0.5
MOST = 500


class Writes:
    """Writes updates of one collection, many at a time, and tries again until the database takes them."""

    def __init__(self, view: View, collection: str) -> None:
        self._view = view
        self._collection = collection
        self._waiting: list[tuple[list[tuple[Document, Document]], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def add(self, *updates: tuple[Document, Document]) -> None:
        """Returns when the (condition, update) pairs are on disk."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((list(updates), done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            updates = [update for pairs, _ in group for update in pairs]
            try:
                await self._write(updates)
            except Exception as error:
                failure: Exception | None = error
            else:
                failure = None
            for _, done in group:
                if done.done():
                    continue
                if failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(failure)

    async def _write(self, updates: list[tuple[Document, Document]]) -> None:
        while True:
            try:
                await self._view.update_each(self._collection, updates)
                return
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
