"""Whose webhook it is: of all accounts that have its AccountSid, those whose auth token has signed it."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from scfm.calls.sender import Owner, Sender
from scfm.calls.signed_form import SignedForm
from scfm.clock import now
from scfm.errors import SecretUnreadable
from scfm.models.account import FORMER, FORMER_RETENTION, country_of, webhook_secret
from scfm.models.platform import Platform
from scfm.storage.batching import Batcher, isolate_failures
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.ttl_cache import TTLCache

log = logging.getLogger("scfm.webhook")

# What another process has changed of an account counts here no later than this.
CREDENTIALS_CACHE_SECONDS = 2.0
# A signature that fits nothing that is remembered makes us look again, but no more often than this for each sid.
LOOK_AGAIN_SECONDS = 1.0
# So many different tokens that accounts have under one sid are tried, those of the oldest accounts first.
MAX_TOKENS_OF_A_SID = 200
# For so many sids we remember when we looked again.
MAX_REMEMBERED_SIDS = 10_000

_SID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class InvalidSignature(Exception):
    """The webhook does not come from a provider that we know; the text is the reason, for the log."""


@dataclass(frozen=True)
class _SidAccounts:
    """The accounts that have a sid, by their tokens, the oldest account first; and when we looked.

    ``unreadable``: of accounts whose token cannot be unsealed, the ids, with the reason.
    """

    by_token: Mapping[str, tuple[Owner, ...]]
    looked_at: float
    unreadable: Mapping[int, str]


@dataclass(frozen=True)
class _Former:
    """An account that had the credentials until a moment."""

    account_id: int
    token: str
    until: datetime


class WebhookAccounts:
    """Tells whose a webhook is; what it knows of the accounts is remembered for a moment."""

    def __init__(self, store: Store, platform: Platform) -> None:
        self._all_tenants = store.all_tenants
        self._platform = platform
        self._accounts: Batcher[str, list[Document]] = Batcher(partial(isolate_failures, self._find_accounts))
        self._by_sid = TTLCache(self._find_by_sid, CREDENTIALS_CACHE_SECONDS)
        self._former = TTLCache(self._find_former, CREDENTIALS_CACHE_SECONDS)
        self._default_owner = TTLCache(self._find_default_owner, CREDENTIALS_CACHE_SECONDS)
        self._sid_of_account = TTLCache(self._find_sid_of_account, CREDENTIALS_CACHE_SECONDS)
        self._looked_again: dict[str | None, float] = {}

    def forget(self) -> None:
        """An account has changed."""
        for remembered in (self._by_sid, self._former, self._default_owner, self._sid_of_account):
            remembered.forget()

    async def verify(self, sid: str, form: SignedForm) -> Sender:
        """Whose the webhook is that came with this AccountSid. Raises InvalidSignature."""
        if not form.is_signed:
            raise InvalidSignature("it has no X-Twilio-Signature")
        began = time.monotonic()
        sender = await self._find_sender(sid, form)
        if sender is None and await self._look_again(sid, began):
            # Another process may have changed an account just now.
            sender = await self._find_sender(sid, form)
        if sender is None:
            raise InvalidSignature(await self._reason(sid))
        return sender

    async def _find_sender(self, sid: str, form: SignedForm) -> Sender | None:
        server = form.signed_with(self._platform.token_of_server(sid))
        owners: list[Owner] = []
        former: dict[int, datetime] = {}
        if _SID.match(sid):
            own, replaced = await self._by_sid.get(sid), await self._former.get(None)
            # A signature is of one token, so the first that fits is the only one.
            fitting = (found for token, found in own.by_token.items() if form.signed_with(token))
            owners = list(next(fitting, ()))
            former = {one.account_id: one.until for one in replaced.get(sid, ()) if form.signed_with(one.token)}
        if not server and not owners and not former:
            return None
        owner = owners[0] if owners else await self._default_owner.get(None) if server else None
        if server and owner is None:
            return None
        return Sender(
            frozenset(one.account_id for one in owners), server, former, owner, partial(self._calls_with, sid)
        )

    async def _look_again(self, sid: str, began: float) -> bool:
        """Forget what is remembered of the sid and of former credentials, unless it is from just now; whether so."""
        if not _SID.match(sid):
            return False
        own = (await self._by_sid.get(sid)).looked_at < began and self._may_look_again(sid)
        former = self._may_look_again(None)  # those of all accounts are one look
        if own:
            self._by_sid.forget(sid)
        if former:
            self._former.forget()
        return own or former

    def _may_look_again(self, key: str | None) -> bool:
        moment = time.monotonic()
        if moment < self._looked_again.get(key, -LOOK_AGAIN_SECONDS) + LOOK_AGAIN_SECONDS:
            return False
        self._looked_again.pop(key, None)
        self._looked_again[key] = moment
        if len(self._looked_again) > MAX_REMEMBERED_SIDS:
            del self._looked_again[next(iter(self._looked_again))]  # the oldest
        return True

    async def _reason(self, sid: str) -> str:
        owners = []
        if _SID.match(sid):
            own = await self._by_sid.get(sid)
            for account_id, reason in own.unreadable.items():
                return f"account {account_id} has its AccountSid, but {reason}"
            owners = [owner for found in own.by_token.values() for owner in found]
        server = bool(self._platform.token_of_server(sid))
        if not owners and not server:
            return "no account has its AccountSid with an auth token"
        whose = ["the server"] if server else []
        whose += [f"account {owner.account_id}" for owner in owners[:3]]
        whose += [f"{len(owners) - 3} more accounts"] if len(owners) > 3 else []
        return f"its signature was not made with the auth token of {' or '.join(whose)}"

    async def _calls_with(self, sid: str, account_id: int) -> bool:
        return await self._sid_of_account.get(account_id) == sid

    async def _find_sid_of_account(self, account_id: int) -> str:
        account = await self._all_tenants.find_one("accounts", {"_id": account_id})
        return self._platform.credentials(account).account_sid if account else ""

    async def _find_default_owner(self, _: None) -> Owner | None:
        first = await self._all_tenants.find("accounts", {}, fields=["settings"], limit=1)
        return Owner(int(first[0]["_id"]), country_of(first[0])) if first else None

    async def _find_by_sid(self, sid: str) -> _SidAccounts:
        looked_at = time.monotonic()
        by_token: dict[str, tuple[Owner, ...]] = {}
        unreadable: dict[int, str] = {}
        for account in await self._accounts.submit(sid):
            names = (name for name in self._platform.providers_of(sid) if _has(account, name, sid))
            stored = webhook_secret(account, next(names))
            if not stored:
                continue
            try:
                token = self._platform.unseal(stored)
            except SecretUnreadable as error:
                unreadable[int(account["_id"])] = str(error)
                continue
            if token not in by_token and len(by_token) == MAX_TOKENS_OF_A_SID:
                log.warning(
                    "more than %d auth tokens are under the sid %s: those of newer accounts do not count",
                    MAX_TOKENS_OF_A_SID,
                    sid,
                )
                break
            by_token[token] = (*by_token.get(token, ()), Owner(int(account["_id"]), country_of(account)))
        return _SidAccounts(by_token, looked_at, unreadable)

    async def _find_accounts(self, sids: list[str]) -> list[list[Document]]:
        """The accounts that have each of the sids, by id."""
        names = [self._platform.providers_of(sid) for sid in sids]
        by_provider = {
            name: [sid for sid, of in zip(sids, names, strict=True) if name in of] for name in {*sum(names, ())}
        }
        wanted = [{f"{name}_account_sid": {"$in": of}} for name, of in by_provider.items()]
        fields = [
            f"{name}_{what}"
            for name in ("twilio", "somleng")
            for what in ("account_sid", "auth_token", "signing_key")
        ]
        found = await self._all_tenants.find("accounts", {"$or": wanted}, fields=[*fields, "settings"])
        return [
            [account for account in found if any(_has(account, name, sid) for name in of)]
            for of, sid in zip(names, sids, strict=True)
        ]

    async def _find_former(self, _: None) -> dict[str, list[_Former]]:
        condition = {f"{FORMER}.at": {"$gt": now() - FORMER_RETENTION}}
        former: dict[str, list[_Former]] = {}
        for account in await self._all_tenants.find("accounts", condition, fields=[FORMER]):
            for one in account[FORMER]:
                if one["at"] <= now() - FORMER_RETENTION:
                    continue
                with suppress(SecretUnreadable):
                    token = self._platform.unseal(one["token"])
                    former.setdefault(one["sid"], []).append(_Former(account["_id"], token, one["at"]))
        return former


def _has(account: Document, provider: str, sid: str) -> bool:
    return bool(account.get(f"{provider}_account_sid") == sid)
