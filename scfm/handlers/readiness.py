"""Whether this process does its work: see ``GET /ready``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scfm.errors import Unavailable
from scfm.storage.store import Store

# Clients wait two seconds, as orchestrators do. The driver would wait for a minute.
PING_SECONDS = 1.5
DRAINING = "the server is stopping: it finishes what it was asked"
NO_DATABASE = "the database does not answer"


class Readiness:
    """Knows what keeps this process from its work. FAULTS gives what is wrong with its jobs, one a sentence."""

    def __init__(self, store: Store, faults: Callable[[], list[str]]) -> None:
        self._store = store
        self._faults = faults
        self._draining = False

    def drain(self) -> None:
        """The server has been told to stop."""
        self._draining = True

    async def reasons(self) -> list[str]:
        """Why nothing should be sent here, one a sentence; empty where all is well. Takes PING_SECONDS at most."""
        found = [DRAINING] if self._draining else []
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._store.database.ping()
        except (TimeoutError, Unavailable):
            found.append(NO_DATABASE)
        return found + self._faults()
