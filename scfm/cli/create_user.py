"""``scfm create-user``: create a user, who signs in with an email and a password."""

from __future__ import annotations

import argparse

from scfm.cli.database import with_store
from scfm.cli.options import account_id, add_database_options
from scfm.cli.password_input import read_password
from scfm.models import account_setup, user_setup
from scfm.models.roles import Role
from scfm.storage.query import Document
from scfm.storage.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm create-user``."""
    parser.add_argument("email", metavar="EMAIL", help="with which the user signs in")
    parser.add_argument("--role", required=True, choices=[*Role], type=Role, help="what the user may do")
    parser.add_argument(
        "--account",
        type=account_id,
        metavar="ID",
        help="the account (default: the first that may manage others, which the first start makes)",
    )
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Create the user, and say so; 0. Raises StartError."""
    password = read_password(options.email)

    async def create(store: Store) -> Document:
        of = options.account or await account_setup.first_super_admin(store)
        user = await user_setup.make_user(store, of, options.email, password, options.role)
        await store.quiesce()
        return user

    user = with_store(options, create, may_create=False)
    print(f"{user['email']} is user {user['_id']} of account {user['account_id']}, with the role {options.role}.")
    return 0
