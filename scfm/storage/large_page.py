"""Pages of a list, and those that are too large to be held at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from scfm.storage import driver
from scfm.storage.codec import restore_document
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document

# Bytes of documents of a large page that are shown between two turns of others.
MAX_PIECE = 1 << 17
# Documents of a larger page that MongoDB sends at once: 16 MB at most.
LARGE_BATCH = 32


async def next_piece(cursor: Any) -> tuple[list[Document], int]:
    """The next documents of a cursor of ``Database.raw_collection``, of about MAX_PIECE bytes; they, and their bytes.

    At its end there are none.
    """
    piece: list[Document] = []
    size = 0
    async for raw in cursor:
        piece.append(restore_document(driver.decoded(raw)))
        size += len(raw.raw)
        if size >= MAX_PIECE:
            break
    return piece, size


class LargePage:
    """Documents that are too large to be held at once. OPENED gives a cursor of ``Database.raw_collection``."""

    def __init__(self, opened: Callable[[], Awaitable[Any]]) -> None:
        self._opened = opened

    async def pieces(self) -> AsyncGenerator[list[Document], None]:
        """The documents, a piece of them at a time; raises Unavailable."""
        with map_driver_errors():
            cursor = await self._opened()
            try:
                while piece := (await next_piece(cursor))[0]:
                    yield piece
            finally:
                await cursor.close()


Page = list[Document] | LargePage
"""A page of a list."""
