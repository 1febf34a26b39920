"""The accounts that calls are sent for: their credentials and their limits, as they were at most a second ago."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from scfm.models.platform import Platform
from scfm.providers.credentials import Credentials
from scfm.providers.errors import AccountRefused
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

ACCOUNT_SECONDS = 1.0

T = TypeVar("T")


class CallingAccounts:
    """Every method that is awaited raises NotFound where the account is gone, and Unavailable."""

    def __init__(self, store: Store, platform: Platform) -> None:
        self._store = store
        self._platform = platform
        self._accounts = TTLCache(self._read, ACCOUNT_SECONDS)

    async def credentials(self, account_id: int) -> Credentials:
        """The credentials with which the account calls."""
        return self._platform.credentials(await self._accounts.get(account_id))

    async def provider(self, account_id: int) -> str:
        """The name of the provider through which the account calls."""
        return (await self.credentials(account_id)).provider

    async def fresh_credentials(self, account_id: int) -> Credentials:
        """The same, as the database has them now."""
        self._accounts.forget(account_id)
        return await self.credentials(account_id)

    async def former_credentials(self, account_id: int, since: datetime) -> list[Credentials]:
        """Those of other sids with which it may have called after SINCE, the latest first."""
        return self._platform.former_credentials(await self._accounts.get(account_id), since)

    async def ask(self, account_id: int, question: Callable[[Credentials], Awaitable[T]]) -> T:
        """What the provider answers to a QUESTION that changes nothing.

        Where the account is refused, and has other credentials by now, it is asked once more with those. Raises what
        QUESTION raises.
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

    async def _read(self, account_id: int) -> Document:
        return await self._store.all_tenants.get("accounts", account_id)
