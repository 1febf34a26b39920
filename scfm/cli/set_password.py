"""``scfm set-password``: another password for a user, for example one who has forgotten it."""

from __future__ import annotations

import argparse

from scfm.cli.database import with_store
from scfm.cli.options import add_database_options
from scfm.cli.password_input import read_password
from scfm.models import user_setup
from scfm.storage.query import Document
from scfm.storage.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``scfm set-password``."""
    parser.add_argument("email", metavar="EMAIL", help="with which the user signs in")
    add_database_options(parser)


def run(options: argparse.Namespace) -> int:
    """Set the password, and say so; 0. Raises StartError."""
    password = read_password(options.email)

    async def change(store: Store) -> Document:
        user = await user_setup.set_password(store, options.email, password)
        await store.quiesce()
        return user

    user = with_store(options, change, may_create=False)
    print(
        f"The password of {user['email']} is changed. Whoever has signed in with the old one is out in two seconds."
    )
    return 0
