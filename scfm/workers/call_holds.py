"""Tells whether an account's calls are held: by a hold of the account, or of the whole server.

What is stored is looked at again after HOLD_CACHE_SECONDS; in the process that was told of a change, at once.
"""

from __future__ import annotations

import asyncio
import math
import time

from scfm.models.call_hold import HELD_AT, server_state
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

# No call leaves more than 0.2 s after a hold that another process made: this, and the time between a look at it and
# the request (see the dispatcher's ``_leave``).
HOLD_CACHE_SECONDS = 0.05


class CallHolds:
    """Is told by the handlers of this process of holds that are made or lifted (``on_changed``)."""

    def __init__(self, store: Store) -> None:
        self._all_tenants = store.all_tenants
        # By the account's id: whether its calls are held, by itself or with those of the whole server.
        self._held = TTLCache(self._read, HOLD_CACHE_SECONDS)
        # By the account's id, None for the whole server: when, by the monotonic clock, this process was told of a
        # change last.
        self._changed_at: dict[int | None, float] = {}

    async def held(self, account_id: int) -> bool:
        """Whether no call of the account may leave now; raises Unavailable."""
        return await self._held.get(account_id)

    def changed_since(self, account_id: int, moment: float) -> bool:
        """Whether this process was told of a hold of the account, or its end, since the monotonic MOMENT."""
        return any(self._changed_at.get(key, -math.inf) >= moment for key in (None, account_id))

    def on_changed(self, account_id: int | None) -> None:
        """A hold of the account, or of the whole server, has been made or lifted, and is stored."""
        self._held.forget(account_id)  # None: of all
        self._changed_at[account_id] = time.monotonic()

    async def _read(self, account_id: int) -> bool:
        held = {"_id": account_id, HELD_AT: {"$ne": None}}
        server, by_account = await asyncio.gather(
            server_state(self._all_tenants), self._all_tenants.exists("accounts", held)
        )
        return by_account or server[HELD_AT] is not None
