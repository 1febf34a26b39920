"""When each access token was used last, to the minute."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models.access_token import ACCESS_TOKENS
from scfm.storage.store import Store

MAX_CLOSE_SECONDS = 1.0


class TokenUses:
    """Stores it beside the requests, once a minute for each token; what an outage keeps from the database is lost."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._minute: datetime | None = None
        # The ids of the tokens used in this minute, and (account, token) of those that are to be stored.
        self._used: set[int] = set()
        self._waiting: list[tuple[int, int]] = []
        self._writing: asyncio.Task[None] | None = None

    def record(self, account_id: int, token_id: int) -> None:
        """The token with this id is used now."""
        minute = now().replace(second=0, microsecond=0)
        if minute != self._minute:
            self._minute = minute
            self._used.clear()
        if token_id in self._used:
            return
        self._used.add(token_id)
        self._waiting.append((account_id, token_id))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Wait until all is stored, MAX_CLOSE_SECONDS at most."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=MAX_CLOSE_SECONDS)
            self._writing.cancel()

    async def _write(self) -> None:
        while self._waiting:
            uses, self._waiting = self._waiting, []
            update = {"$max": {"last_used_at": self._minute}}  # another process may have stored a later one
            with suppress(Unavailable):
                await self._store.all_tenants.bulk_update(
                    ACCESS_TOKENS.collection,
                    [({"account_id": account_id, "_id": token_id}, update) for account_id, token_id in uses],
                )
