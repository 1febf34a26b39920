"""Tells whether a number is opted out of an account's calls, just before a call to it leaves.

Most accounts have no opt-outs, which is looked at again after OPT_OUT_CACHE_SECONDS, in the process that was told of
one at once. Of those that have some, each number is looked up, together with others'.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from scfm.models import opt_out
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

OPT_OUT_CACHE_SECONDS = 0.05


class OptOutLooks:
    """Is told by the handlers of this process of opt-outs that are made (``on_changed``)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # By the account's id: whether it has any.
        self._has_some = TTLCache(self._read, OPT_OUT_CACHE_SECONDS)
        # By the same: when, by the monotonic clock, this process was told of a change last.
        self._changed_at: dict[int, float] = {}

    async def is_opted_out(self, account_id: int, msisdn: str) -> bool:
        """Whether no call of the account may leave to the number; raises Unavailable."""
        if not await self._has_some.get(account_id):
            return False
        view = self._store.for_account(account_id)
        return await view.first_by(opt_out.OPT_OUT_COLLECTION, "msisdn", msisdn) is not None

    async def opted_out(self, account_id: int, msisdns: Collection[str]) -> set[str]:
        """Which of the numbers are opted out, by one query; raises Unavailable."""
        if not await self._has_some.get(account_id):
            return set()
        return await opt_out.opted_out(self._store.for_account(account_id), msisdns)

    def changed_since(self, account_id: int, moment: float) -> bool:
        """Whether this process was told of a change of the account's opt-outs since the monotonic MOMENT."""
        return self._changed_at.get(account_id, -math.inf) >= moment

    def on_changed(self, account_id: int) -> None:
        """The account's opt-outs have changed, and are stored."""
        self._has_some.forget(account_id)
        self._changed_at[account_id] = time.monotonic()

    async def _read(self, account_id: int) -> bool:
        return await self._store.for_account(account_id).exists(opt_out.OPT_OUT_COLLECTION, {})
