"""Looks now and then whether a newer program has shut this one out of the database, and then ends the server."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scfm.errors import StartError
from scfm.storage.schema import Program, StoredSchema
from scfm.storage.store import Store
from scfm.workers.periodic_job import PeriodicJob

log = logging.getLogger("scfm.work")

SCHEMA_WATCH_SECONDS = 2.0


class SchemaWatch(PeriodicJob):
    """``shut_out`` is called once with the error that says what to do."""

    name = "watch the schema"
    pause_seconds = first_pause_seconds = SCHEMA_WATCH_SECONDS

    def __init__(self, store: Store, program: Program, shut_out: Callable[[StartError], None]) -> None:
        super().__init__()
        self._schema = StoredSchema(store.database)
        self._program = program
        self._shut_out = shut_out

    async def process(self, item: None) -> None:
        try:
            await self._schema.check(self._program)
        except StartError as error:
            self._shut_out(error)
