"""The calls of one status that wait, claimed from every account in turn: a large callout holds up nobody else's."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

from scfm.clock import now
from scfm.models.call_lifecycle import due
from scfm.models.call_work import Attempt
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.claims import CALLS, claim_calls

# For so long at most the calls of an account that had none wait until its turn comes.
IN_TURN_SECONDS = 0.25

Allowance = Callable[[int], Awaitable[int]]
"""From an account's id to how many of its calls may be claimed now."""


class FairQueue:
    """Calls of one status that are due."""

    def __init__(self, store: Store, status: str) -> None:
        self._store = store
        self._status = status
        self._last = 0
        # The accounts that have such calls, the next in turn first, and until when they are all of them.
        self._accounts: list[int] = []
        self._known_until = 0.0

    async def claim(
        self, limit: int, lease: datetime, attempt: Attempt | None = None, allowance: Allowance | None = None
    ) -> list[Document]:
        """Claim up to LIMIT calls until LEASE; each account has its share, and no more than its ALLOWANCE.

        ATTEMPT is that of calls that are about to be sent. Raises Unavailable; then some may be claimed all the same.
        """
        remembered = bool(self._accounts) and time.monotonic() < self._known_until
        accounts = await self._in_turn()
        claimed: list[Document] = []
        for position, account_id in enumerate(accounts):
            share = -(-(limit - len(claimed)) // (len(accounts) - position))
            if allowance is not None:
                share = min(share, await allowance(account_id))
            if share > 0:
                calls = await claim_calls(self._store.for_account(account_id), self._status, share, lease, attempt)
                claimed += calls
                self._last = account_id
                if len(calls) < share:
                    self._accounts.remove(account_id)
        if remembered and not claimed:
            self._known_until = 0.0  # none of these may have more now, but somebody new may
            return await self.claim(limit, lease, attempt, allowance)
        return claimed

    async def _in_turn(self) -> list[int]:
        if not self._accounts or self._known_until < time.monotonic():
            self._known_until = time.monotonic() + IN_TURN_SECONDS
            self._accounts = sorted([account async for account in self.accounts()])
        later = [account for account in self._accounts if account > self._last]
        return later + [account for account in self._accounts if account <= self._last]

    async def accounts(self) -> AsyncIterator[int]:
        """The accounts that have such calls, each found by one step through the index."""
        last = 0
        while True:
            condition = {**due(self._status, now()), "account_id": {"$gt": last}}
            found = await self._store.all_tenants.find(
                CALLS, condition, fields=["account_id"], sort=[("account_id", 1)], limit=1
            )
            if not found:
                return
            last = found[0]["account_id"]
            yield last
