"""The calls of one status that wait, claimed from every account in turn: a large callout holds up nobody else's."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from scfm.clock import now
from scfm.models.call_lifecycle import due
from scfm.models.call_work import LANE, Attempt
from scfm.models.stored_documents import CALLS, PhoneCallDocument
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.storage.ttl_cache import TTLCache
from scfm.workers.claims import claim_calls

# For so long at most the calls of an account that had none wait until its turn comes.
IN_TURN_SECONDS = 0.25

Allowance = Callable[[int], Awaitable[int]]
"""From an account's id to how many of its calls may be claimed now."""
LaneAllowance = Callable[[int, int], Awaitable[int]]
"""From the ids of an account and a callout to how many of the calls in that callout's lane may be claimed now."""


class FairQueue:
    """Calls of one status that are due.

    With LANE_ALLOWANCE they are claimed lane by lane (see ``lanes``); what a lane does not allow keeps no other call
    of its account from being claimed, however many wait in it.
    """

    def __init__(self, store: Store, status: str, lane_allowance: LaneAllowance | None = None) -> None:
        self._store = store
        self._status = status
        self._lane_allowance = lane_allowance
        # By account: the callouts of which calls wait in lanes.
        self._lanes = TTLCache(self._waiting_lanes, IN_TURN_SECONDS)
        self._last = 0
        # The accounts that have such calls, the next in turn first, and until when they are all of them.
        self._accounts: list[int] = []
        self._known_until = 0.0

    async def claim(
        self, limit: int, lease: datetime, attempt: Attempt | None = None, allowance: Allowance | None = None
    ) -> list[PhoneCallDocument]:
        """Claim up to LIMIT calls until LEASE; each account has its share, and no more than its ALLOWANCE.

        ATTEMPT is that of calls that are about to be sent. Raises Unavailable; then some may be claimed all the same.
        """
        remembered = bool(self._accounts) and time.monotonic() < self._known_until
        accounts = await self._in_turn()
        claimed: list[PhoneCallDocument] = []
        for position, account_id in enumerate(accounts):
            share = -(-(limit - len(claimed)) // (len(accounts) - position))
            if allowance is not None:
                share = min(share, await allowance(account_id))
            if share > 0:
                lanes = None
                if self._lane_allowance is not None:
                    waiting = await self._lanes.get(account_id)
                    lanes = {lane: await self._lane_allowance(account_id, lane) for lane in waiting}
                view = self._store.for_account(account_id)
                calls = await claim_calls(view, self._status, share, lease, attempt, lanes)
                claimed += calls
                self._last = account_id
                if len(calls) < share and not (lanes and min(lanes.values()) < share):
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

    def accounts(self) -> AsyncIterator[int]:
        """The accounts that have such calls."""
        return self._distinct(self._store.all_tenants, "account_id")

    async def _waiting_lanes(self, account_id: int) -> list[int]:
        return [lane async for lane in self._distinct(self._store.for_account(account_id), LANE)]

    async def _distinct(self, view: TenantView, field: str) -> AsyncIterator[int]:
        """The values of FIELD in such calls, each found by one step through the index."""
        last = 0
        while True:
            condition = {**due(self._status, now()), field: {"$gt": last}}
            found: Sequence[Mapping[str, Any]] = await view.find(
                CALLS, condition, fields=[field], sort=[(field, 1)], limit=1
            )
            if not found:
                return
            last = found[0][field]
            yield last
