"""Accounts and access tokens that commands on the machine create, for whoever has no token, or has lost it."""

from __future__ import annotations

from scfm.clock import now
from scfm.errors import Invalid, NotFound, StartError
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS, SUPER_ADMIN
from scfm.models.declaration import initial_fields
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.storage.query import Document
from scfm.storage.store import Store


async def first_account(store: Store) -> str | None:
    """On an empty database, create the super admin's account; its access token, or None."""
    if await store.all_tenants.exists("accounts", {}):
        return None
    return await make_account(store, super_admin=True)


async def make_account(store: Store, *, super_admin: bool) -> str:
    """Create an account with an access token; the token, which is stored only as a digest."""
    moment = now()
    fields = initial_fields(ACCOUNTS)
    permissions = [SUPER_ADMIN] if super_admin else []
    account = await ACCOUNTS.insert(
        store.all_tenants,
        {**fields, "permissions": permissions, "created_at": moment, "updated_at": moment, "_version": 1},
    )
    return await _make_token(store, account)


async def make_token(store: Store, account_id: int) -> str:
    """Create another access token of an account; raises StartError if there is no such account."""
    try:
        account = await store.all_tenants.get(ACCOUNTS.collection, account_id)
        return await _make_token(store, account)
    except (NotFound, Invalid):  # the latter if it is deleted just now
        raise StartError(f"there is no account {account_id}; the first start makes account 1") from None


async def _make_token(store: Store, account: Document) -> str:
    account_id = account["_id"]
    client = Client(account_id, 0, SUPER_ADMIN in account["permissions"])
    access_token = await ACCESS_TOKENS.create(Scope(store.for_account(account_id), Rules(), client), {})
    return str(access_token["token"])


async def first_super_admin(store: Store) -> int:
    """The id of the first account that may manage others; 1 where there is none."""
    admins = {"permissions": SUPER_ADMIN}
    accounts = await store.all_tenants.find(ACCOUNTS.collection, admins, fields=["_id"], sort=[("_id", 1)], limit=1)
    return int(accounts[0]["_id"]) if accounts else 1
