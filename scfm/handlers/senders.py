"""Whose reports a provider signs: the account that has a sid as its own, remembered for a moment."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from scfm.errors import NotFound
from scfm.models.account import country_of
from scfm.models.platform import provider_of
from scfm.models.recent import Recent
from scfm.models.store import Store

# What another process has changed of an account counts here no later than this.
REMEMBERED_SECONDS = 2.0


@dataclass(frozen=True)
class Sender:
    """An account whose reports a provider signs with ``token``; ``country`` is its ``default_country``."""

    account_id: int
    token: str
    country: str | None


class Senders:
    """The accounts by their sids."""

    def __init__(self, store: Store) -> None:
        self._everyone = store.everyone
        self._own = Recent(self._find, REMEMBERED_SECONDS)
        self._heirs = Recent(self._find_heir, REMEMBERED_SECONDS)

    async def own(self, sid: str) -> Sender:
        """The account with the sid; raises NotFound."""
        return await self._own.get(sid)

    async def heir(self, sid: str) -> Sender:
        """Whose the calls are that come in under the server's sid: of an account that has it, too, else the first.

        Raises NotFound where there is no account.
        """
        return await self._heirs.get(sid)

    def forget(self, sid: str | None = None) -> None:
        """An account has changed; with SID, only what is known of that one."""
        self._own.forget(sid)
        self._heirs.forget()

    async def _find(self, sid: str) -> Sender:
        own = provider_of(sid)
        account = await self._everyone.find_one("accounts", {f"{own}_account_sid": sid}) if sid else None
        if account is None:
            raise NotFound
        return Sender(int(account["_id"]), account[f"{own}_auth_token"] or "", country_of(account))

    async def _find_heir(self, sid: str) -> Sender:
        with suppress(NotFound):
            return await self._find(sid)
        first = await self._everyone.find("accounts", {}, fields=["settings"], limit=1)
        if not first:
            raise NotFound
        return Sender(int(first[0]["_id"]), "", country_of(first[0]))
