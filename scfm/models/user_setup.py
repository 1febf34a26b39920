"""Users that commands on the machine create, and passwords that they set; the first user of an empty database."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from scfm.errors import Invalid, NotFound, StartError
from scfm.models.audit_trail import command_trail
from scfm.models.fields import Rules
from scfm.models.roles import Role
from scfm.models.scope import Client, Scope
from scfm.models.user import USERS, normal_email
from scfm.storage.query import Document
from scfm.storage.store import Store

# Under which the first user signs in. It is no address to which mail could be sent, and may be changed.
FIRST_EMAIL = "admin@localhost"
# Of the first password: no letters that look like others. Four groups of five have 98 bits.
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LETTERS = 4, 5


class FirstUser(NamedTuple):
    """What the first user signs in with. The password is stored only as a hash."""

    email: str
    password: str


async def first_user(store: Store, account_id: int) -> FirstUser | None:
    """Create the first user of an empty database, an admin of this account; None where another process has."""
    password = "-".join("".join(secrets.choice(LETTERS) for _ in range(GROUP_LETTERS)) for _ in range(GROUPS))
    try:
        await make_user(store, account_id, FIRST_EMAIL, password, Role.ADMIN, "serve")
    except StartError:
        return None
    return FirstUser(FIRST_EMAIL, password)


async def make_user(
    store: Store, account_id: int, email: str, password: str, role: Role, command: str = "create-user"
) -> Document:
    """Create a user; raises StartError, with what is wrong in one line."""
    try:
        await store.all_tenants.get("accounts", account_id)
        given = {"email": email, "password": password, "role": role.value}
        return await USERS.create(_scope(store, account_id, command), given)
    except NotFound:
        raise StartError(f"there is no account {account_id}; the first start makes account 1") from None
    except Invalid as error:
        raise StartError(f"no user has been created: {_in_one_line(error)}") from None


async def set_password(store: Store, email: str, password: str) -> Document:
    """Set the password of the user with this EMAIL, whose sessions are over; raises StartError."""
    user = await store.all_tenants.find_one("users", {"email": normal_email(email)})
    if user is None:
        raise StartError(f"there is no user with the email {email}; scfm create-user makes one")
    try:
        scope = _scope(store, user["account_id"], "set-password")
        return await USERS.update(scope, user["_id"], {"password": password})
    except NotFound:
        raise StartError(f"the user with the email {email} has just been deleted") from None
    except Invalid as error:
        raise StartError(f"the password has not been changed: {_in_one_line(error)}") from None


def _scope(store: Store, account_id: int, command: str) -> Scope:
    trail = command_trail(store, command)
    return Scope(store.for_account(account_id), Rules(), Client(account_id, None), audit=trail)


def _in_one_line(error: Invalid) -> str:
    return "; ".join(f"the {name} {message}" for name, messages in error.errors.items() for message in messages)
