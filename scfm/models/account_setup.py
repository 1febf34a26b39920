"""Accounts and access tokens that the first start and commands on the machine create, for those without a token."""

from __future__ import annotations

from typing import NamedTuple

from scfm.clock import now
from scfm.errors import Invalid, NotFound, StartError
from scfm.models.access_token import ACCESS_TOKENS
from scfm.models.account import ACCOUNTS, SUPER_ADMIN
from scfm.models.audit_trail import command_trail
from scfm.models.audited_change import CREATED, record_change
from scfm.models.declaration import initial_fields
from scfm.models.fields import Rules
from scfm.models.scope import Client, Scope
from scfm.models.user_setup import FirstUser, first_user
from scfm.storage.query import Document
from scfm.storage.store import Store

# The names of the commands, as audit events have them.
SERVE, CREATE_ACCOUNT = "serve", "create-account"


class FirstAccount(NamedTuple):
    """What was made on an empty database: the super admin's account, its access token, and its first user."""

    token: str
    user: FirstUser | None


async def first_account(store: Store) -> FirstAccount | None:
    """On an empty database, create the super admin's account, with a token and a user; None on any other."""
    if await store.all_tenants.exists("accounts", {}):
        return None
    token = await make_account(store, super_admin=True, command=SERVE)
    return FirstAccount(token, await first_user(store, await first_super_admin(store)))


async def make_account(store: Store, *, super_admin: bool, command: str = CREATE_ACCOUNT) -> str:
    """Create an account with an access token; the token, which is stored only as a digest."""
    moment = now()
    fields = initial_fields(ACCOUNTS)
    permissions = [SUPER_ADMIN] if super_admin else []
    account = await ACCOUNTS.insert(
        store.all_tenants,
        {**fields, "permissions": permissions, "created_at": moment, "updated_at": moment, "_version": 1},
    )
    scope = command_scope(store, account, command)
    await record_change(scope, ACCOUNTS, CREATED, None, account)
    return await _make_token(scope)


async def make_token(store: Store, account_id: int) -> str:
    """Create another access token of an account; raises StartError if there is no such account."""
    try:
        account = await store.all_tenants.get(ACCOUNTS.collection, account_id)
        return await _make_token(command_scope(store, account, CREATE_ACCOUNT))
    except (NotFound, Invalid):  # the latter if it is deleted just now
        raise StartError(f"there is no account {account_id}; the first start makes account 1") from None


def command_scope(store: Store, account: Document, command: str) -> Scope:
    """Within what a COMMAND creates and changes documents of an account."""
    account_id = account["_id"]
    client = Client(account_id, 0, SUPER_ADMIN in account["permissions"])
    return Scope(store.for_account(account_id), Rules(), client, audit=command_trail(store, command))


async def _make_token(scope: Scope) -> str:
    access_token = await ACCESS_TOKENS.create(scope, {})
    return str(access_token["token"])


async def first_super_admin(store: Store) -> int:
    """The id of the first account that may manage others; 1 where there is none."""
    admins = {"permissions": SUPER_ADMIN}
    accounts = await store.all_tenants.find(ACCOUNTS.collection, admins, fields=["_id"], sort=[("_id", 1)], limit=1)
    return int(accounts[0]["_id"]) if accounts else 1
