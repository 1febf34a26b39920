"""The database of a server, for a command that runs beside the server or without it."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scfm.cli.logs import log_to_stderr
from scfm.cli.options import read_settings
from scfm.embedded_mongod.data_folder import has_database
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import StartError, Unavailable
from scfm.server_store import open_store
from scfm.storage.store import Store

T = TypeVar("T")


def with_store(
    options: argparse.Namespace,
    work: Callable[[Store], Awaitable[T]],
    *,
    may_create: bool,
    read_only: bool = False,
    half_restored: bool = False,
) -> T:
    """Do WORK on the database that the options name, whose server may be running; what WORK gives.

    Unless it ``may_create`` one, a data folder without a database is refused; and a database whose restore was cut
    off, unless it may be ``half_restored``. Raises StartError.
    """
    settings = read_settings(options)
    log_to_stderr(settings)
    if not (may_create or settings.mongodb_uri or has_database(settings.data_dir)):
        raise StartError(
            f"there is no database in {settings.data_dir.expanduser().absolute()}: "
            "run this in the folder in which the server was started, or name its data folder with --data-dir"
        )

    async def run(uri: str) -> T:
        store = await open_store(uri, settings, read_only=read_only, half_restored=half_restored)
        try:
            return await work(store)
        except Unavailable as error:
            raise StartError(f"the database does not answer any more: {error}") from None
        finally:
            await store.close()

    if settings.mongodb_uri:
        return asyncio.run(run(settings.mongodb_uri))
    with PrivateMongod.attach_or_start(settings.data_dir) as mongod:
        return asyncio.run(run(mongod.uri))
