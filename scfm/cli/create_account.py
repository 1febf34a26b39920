"""``scfm create-account``: create an account and an access token, or another token."""

from __future__ import annotations

import argparse

from scfm.cli.database import with_store
from scfm.cli.options import account_id, add_database_options
from scfm.models import account_setup
from scfm.storage.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm create-account``."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--super-admin", action="store_true", help="one that may manage accounts")
    whose.add_argument(
        "--token-for",
        type=account_id,
        metavar="ID",
        help="no new account, but another access token for the account with this id",
    )
    parser.add_argument(
        "--format",
        choices=("human", "http_basic"),
        default="human",
        help="http_basic: the token alone on the last line, for scripts",
    )
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Create what the options say, and print the token on the last line; 0. Raises StartError."""

    async def create(store: Store) -> str:
        if options.token_for is None:
            token = await account_setup.make_account(store, super_admin=options.super_admin)
        else:
            token = await account_setup.make_token(store, options.token_for)
        await store.quiesce()
        return token

    token = with_store(options, create, may_create=options.token_for is None)
    if options.format == "human":
        print("The account's access token. Keep it: it is not shown again.")
    print(token)
    return 0
