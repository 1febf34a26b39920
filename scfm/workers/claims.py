"""What the jobs that talk to the provider share: taking calls in turn from every account, and their credentials."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from scfm.clock import now
from scfm.models.call_lifecycle import claim, claimed_by, due
from scfm.models.call_work import DUE, WORK, Attempt, CallWork
from scfm.models.platform import Platform
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.storage.ttl_cache import TTLCache

CALLS = "phone_calls"
ACCOUNT_SECONDS = 1.0
# For so long at most the calls of an account that had none wait until its turn comes.
IN_TURN_SECONDS = 0.25


Allowance = Callable[[int], Awaitable[int]]
"""From an account's id to how many of its calls may be taken now."""


Asked = TypeVar("Asked")


async def claim_due(
    view: TenantView,
    collection: str,
    waiting: Document,
    due_field: str,
    limit: int,
    lease: Callable[[], Document],
) -> list[Document]:
    """Claim up to LIMIT documents that are WAITING (a condition), the longest due first; they, as they are now.

    Each is claimed by one atomic update, so no two processes get the same. LEASE gives the fields that are set (names
    to values): after it the document must not fit WAITING until the lease has run out. If this process dies, or does
    not finish in time, another can claim the document then. Raises Unavailable.
    """
    claimed = []
    # An update of one document names its account, by which the collection can be sharded.
    for found in await view.find(collection, waiting, fields=["account_id"], sort=[(due_field, 1)], limit=limit):
        document = await view.update_one(collection, {**found, **waiting}, {"$set": lease()})
        if document is not None:
            claimed.append(document)
    return claimed


class Accounts:
    """The accounts, as they were at most a second ago."""

    def __init__(self, store: Store, platform: Platform) -> None:
        self._store = store
        self._platform = platform
        self._accounts = TTLCache(self._look, ACCOUNT_SECONDS)

    async def credentials(self, account_id: int) -> Credentials:
        """The credentials with which the account calls."""
        return self._platform.credentials(await self._accounts.get(account_id))

    async def fresh_credentials(self, account_id: int) -> Credentials:
        """The same, as the database has them now."""
        self._accounts.forget(account_id)
        return await self.credentials(account_id)

    async def former_credentials(self, account_id: int, since: datetime) -> list[Credentials]:
        """Those of other sids with which it may have called after SINCE, the latest first."""
        return self._platform.former_credentials(await self._accounts.get(account_id), since)

    async def ask(self, account_id: int, question: Callable[[Credentials], Awaitable[Asked]]) -> Asked:
        """What the provider answers to a QUESTION that changes nothing.

        Where the account is refused, and has other credentials by now, it is asked once more with those.
        """
        credentials = await self.credentials(account_id)
        try:
            return await question(credentials)
        except AccountRefused:
            fresh = await self.fresh_credentials(account_id)
            if fresh == credentials:
                raise
            return await question(fresh)

    def forget(self) -> None:
        """An account has been changed by this process: look again."""
        self._accounts.forget()

    async def limits(self, account_id: int) -> tuple[float | None, int | None]:
        """The account's own calls per second and calls in flight; None where it has none."""
        settings = (await self._accounts.get(account_id))["settings"]
        return settings.get("calls_per_second"), settings.get("calls_in_flight")

    async def _look(self, account_id: int) -> Document:
        return await self._store.all_tenants.get("accounts", account_id)


class Waiting:
    """Calls of one status that are due, taken from every account in turn."""

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
        """Up to LIMIT calls, now held until LEASE; each account has its share, and no more than its allowance."""
        remembered = bool(self._accounts) and time.monotonic() < self._known_until
        accounts = await self._in_turn()
        taken: list[Document] = []
        for position, account_id in enumerate(accounts):
            share = -(-(limit - len(taken)) // (len(accounts) - position))
            if allowance is not None:
                share = min(share, await allowance(account_id))
            if share > 0:
                calls = await self._claim_from(account_id, share, lease, attempt)
                taken += calls
                self._last = account_id
                if len(calls) < share:
                    self._accounts.remove(account_id)
        if remembered and not taken:
            self._known_until = 0.0  # none of these may have more now, but somebody new may
            return await self.claim(limit, lease, attempt, allowance)
        return taken

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

    async def _claim_from(
        self, account_id: int, limit: int, lease: datetime, attempt: Attempt | None
    ) -> list[Document]:
        view = self._store.for_account(account_id)
        moment = now()
        found = await view.find(CALLS, due(self._status, moment), sort=[(DUE, 1)], limit=limit)
        if not found:
            return []
        numbers = [call["_id"] for call in found]
        taken = await view.update_many(CALLS, *claim(numbers, self._status, moment, lease, attempt))
        if taken == len(found):
            for call in found:
                work: CallWork = call[WORK]
                work["lease"] = lease
                if attempt:
                    work["attempt"] = attempt
            return found
        # Another process was at the same calls: which of them are ours?
        return await view.find(CALLS, claimed_by(numbers, self._status, lease, attempt))
