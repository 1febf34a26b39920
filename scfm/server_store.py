"""The store of a server or of a command: opened with its indexes, and closed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from scfm.backups.restore_marker import refuse_half_restored
from scfm.errors import StartError, Unavailable
from scfm.models.account import ACCOUNTS
from scfm.models.migrations.listed import PROGRAM
from scfm.models.registry import OBSOLETE_INDEXES, counted_fields, indexes
from scfm.settings import Settings
from scfm.storage.schema import StoredSchema
from scfm.storage.store import Store
from scfm.workers.schema_watch import SCHEMA_WATCH_SECONDS

log = logging.getLogger("scfm")

# A server that is told to stop has ended within ten seconds, without its private mongod. These are the parts of them,
# in the order of ``Server.close``: what clients have to finish their requests, the jobs what they are doing, and the
# store its last changes.
MAX_REQUESTS_SECONDS = 2.0
MAX_JOBS_SECONDS = 5.0
MAX_QUIESCE_SECONDS = 1.0
# So long a server of an older version takes to see that it is shut out of the database, and to end.
OLDER_END_SECONDS = SCHEMA_WATCH_SECONDS + MAX_REQUESTS_SECONDS + MAX_JOBS_SECONDS + MAX_QUIESCE_SECONDS + 2


async def open_store(uri: str, settings: Settings, *, read_only: bool = False, half_restored: bool = False) -> Store:
    """The store of a server or a command, with its indexes, unless it only reads.

    Raises StartError, also where the data are those of a newer program, and for a database whose restore was cut off,
    unless it may be ``half_restored``.
    """
    store = Store.open(uri, settings.mongodb_database, counted_fields())
    try:
        await store.database.ping()
        if not half_restored:
            await refuse_half_restored(store.all_tenants)
        schema = StoredSchema(store.database)
        if read_only:
            await schema.check(PROGRAM)
        else:
            empty = not await store.all_tenants.exists(ACCOUNTS.collection, {})
            if await schema.enter(PROGRAM, empty=empty):
                log.info("servers of older versions end now: this waits %g s for them", OLDER_END_SECONDS)
                await asyncio.sleep(OLDER_END_SECONDS)
            await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    except BaseException as error:
        await store.close()
        if not isinstance(error, Unavailable):
            raise
        raise StartError(f"the database at MONGODB_URI does not answer: {error}") from None
    return store


async def close_store(store: Store) -> None:
    """Say that this process changes nothing any more, in MAX_QUIESCE_SECONDS, and let go of every connection."""
    with suppress(Unavailable, TimeoutError):  # without it, other processes only count some more
        async with asyncio.timeout(MAX_QUIESCE_SECONDS):
            await store.quiesce()
    await store.close()
