"""Takes what an older version has stored to the schema of this one, in the background, while calls go on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from scfm.errors import Unavailable
from scfm.models.migrations.migration import Migration
from scfm.runtime.rest import rest
from scfm.storage.schema import StoredSchema
from scfm.storage.store import Store
from scfm.workers.runner import HAND_BACK_SECONDS, Job

log = logging.getLogger("scfm.work")

# After a step it rests, so long at most: it has time, and others have not.
MAX_REST_SECONDS = 0.5
# How often a server looks whether another has done the migration that is next.
LOOK_SECONDS = 5.0


class Migrate(Job):
    """Carries out MIGRATIONS that the database has not had, one after the other.

    Of several processes one has the lease of a migration. Wherever it dies, another goes on from the last step that
    was kept.
    """

    name = "migrate"
    slots = 1

    def __init__(self, store: Store, migrations: Sequence[Migration]) -> None:
        self._store = store
        self._schema = StoredSchema(store.database)
        self._migrations = migrations
        self._done = False
        self._next_look = time.monotonic()

    async def claim(self, limit: int) -> Sequence[tuple[Migration, str]]:
        if self._done or time.monotonic() < self._next_look:
            return []
        version = (await self._schema.read()).version
        if version >= len(self._migrations):
            self._done = True
            return []
        token = await self._schema.claim(version)
        if token is None:
            self._next_look = time.monotonic() + LOOK_SECONDS
            return []
        return [(self._migrations[version], token)]

    async def process(self, item: tuple[Migration, str]) -> None:
        migration, token = item
        after = (await self._schema.read()).after
        log.info("migration %d (%s) begins after id %d", migration.number, migration.name, after)
        try:
            while True:
                began = time.monotonic()
                reached = await migration.step(self._store, after)
                if reached is None:
                    break
                after = reached
                if not await self._schema.advance(token, after):
                    return  # another process has taken over
                await rest(began, MAX_REST_SECONDS)
            if await self._schema.finish(token):
                log.info("migration %d (%s) is done", migration.number, migration.name)
        except asyncio.CancelledError:
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(HAND_BACK_SECONDS):
                    await self._schema.hand_back(token)
            raise

    async def on_error(self, item: tuple[Migration, str], error: Exception) -> None:
        """It is tried again, by any process, when its lease has run out."""
        self._next_look = time.monotonic() + LOOK_SECONDS
