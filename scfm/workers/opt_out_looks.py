"""Tells whether a number is opted out of an account's calls, just before a call to it leaves.

Most accounts have no opt-outs, which is looked at again after OPT_OUT_CACHE_SECONDS, and at once in the process that
stored one. Of those that have some, each number is looked up, together with others'.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection

from scfm.models import opt_out
from scfm.models.erasure_record import ERASURES
from scfm.models.opt_out import SETTLE_FROM
from scfm.models.opt_out_digest import OptOutDigests
from scfm.models.stored_documents import OPT_OUT_COLLECTION
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

OPT_OUT_CACHE_SECONDS = 0.05


class OptOutLooks:
    """Is told by the store of opt-outs that this process makes: by a client, an import or a call's flow."""

    def __init__(self, store: Store, digests: OptOutDigests | None = None) -> None:
        """DIGESTS makes those of numbers whose persons were erased; without it such opt-outs are not seen."""
        self._store = store
        self._digests = digests
        # By the account's id: whether it has any, and whether somebody was erased there, or is. That is known for
        # minutes before only the digest of an opt-out is left: see Eraser.
        self._has_some = TTLCache(self._read, OPT_OUT_CACHE_SECONDS)
        # When, by the monotonic clock, this process stored an opt-out last, whichever account's.
        self._changed_at = -math.inf
        store.written.watch(SETTLE_FROM, self._on_changed)

    async def is_opted_out(self, account_id: int, msisdn: str) -> bool:
        """Whether no call of the account may leave to the number; raises Unavailable."""
        has_any, has_erased = await self._has_some.get(account_id)
        if not has_any:
            return False
        stored = [msisdn]
        if has_erased and self._digests is not None:
            stored.append((await self._digests.digests(account_id, [msisdn]))[msisdn])
        view = self._store.for_account(account_id)
        # Those who look at the same time go together.
        found = await asyncio.gather(*(view.first_by(OPT_OUT_COLLECTION, "msisdn", one) for one in stored))
        return any(found)

    async def opted_out(self, account_id: int, msisdns: Collection[str]) -> set[str]:
        """Which of the numbers are opted out, by one query; raises Unavailable."""
        has_any, has_erased = await self._has_some.get(account_id)
        if not has_any:
            return set()
        digests = await self._digests.digests(account_id, msisdns) if has_erased and self._digests else None
        return await opt_out.opted_out(self._store.for_account(account_id), msisdns, digests)

    def changed_since(self, moment: float) -> bool:
        """Whether this process has stored an opt-out since the monotonic MOMENT."""
        return self._changed_at >= moment

    def _on_changed(self) -> None:
        self._has_some.forget()
        self._changed_at = time.monotonic()

    async def _read(self, account_id: int) -> tuple[bool, bool]:
        view = self._store.for_account(account_id)
        has_any, has_erased = await asyncio.gather(view.exists(OPT_OUT_COLLECTION, {}), view.exists(ERASURES, {}))
        return has_any, has_erased
