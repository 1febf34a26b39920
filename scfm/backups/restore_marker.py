"""The mark of a restore in its database, from its first write to its last: with it, it may be half a database.

It is one document of the collection ``restores``. A restore renews it every few seconds; where it is no longer
renewed, its restore was cut off, and another may begin anew.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from scfm.backups.errors import BackupError
from scfm.backups.order import RESTORES
from scfm.clock import now
from scfm.errors import StartError, Unavailable
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

MARK_ID = "restore"
# How often a mark is renewed, and after how long without that its restore is over.
RENEW_SECONDS, ABANDONED_RESTORE_SECONDS = 0.5, 4.0
RESTORE_LOOK_SECONDS = 0.5
IN_USE = "another scfm restore into this database is under way: wait for its end"


class RestoreMarker:
    """The mark of the restore of this process. Every method raises BackupError where another has it; Unavailable."""

    def __init__(self, view: TenantView, source: str) -> None:
        """VIEW is that of all tenants; SOURCE names the backup."""
        self._view = view
        self._source = source
        self._token = secrets.token_hex(8)
        self._lost = False

    async def set(self) -> bool:
        """Set the mark; whether an earlier restore was cut off, and so what is there may be thrown away."""
        mark = {"token": self._token, "source": self._source, "beat": 0, "began_at": now()}
        with suppress(DuplicateKey):
            await self._view.insert(RESTORES, {"_id": MARK_ID, **mark})
            return False
        found = await self._abandoned()
        same = {"_id": MARK_ID, "token": found.get("token"), "beat": found.get("beat")}
        if await self._view.update_one(RESTORES, same, {"$set": mark}) is None:
            raise BackupError(IN_USE)
        return True

    async def _abandoned(self) -> Document:
        """The mark of another restore, once it was not renewed for ABANDONED_RESTORE_SECONDS by our clock."""
        found = await read_mark(self._view)
        until = time.monotonic() + ABANDONED_RESTORE_SECONDS
        while found is not None and time.monotonic() < until:
            await asyncio.sleep(RESTORE_LOOK_SECONDS)
            if await read_mark(self._view) != found:
                break
        else:
            if found is not None:
                return found
        raise BackupError(IN_USE)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Within it the mark is renewed all the time."""
        renewing = asyncio.create_task(self._renew_always())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _renew_always(self) -> None:
        mine = {"_id": MARK_ID, "token": self._token}
        while not self._lost:
            await asyncio.sleep(RENEW_SECONDS)
            with suppress(Unavailable):  # what is restored then meets it, too
                self._lost = await self._view.update_one(RESTORES, mine, {"$inc": {"beat": 1}}) is None

    def check(self) -> None:
        """Raise BackupError where another restore has taken this one for cut off."""
        if self._lost:
            raise BackupError(IN_USE)

    async def remove(self) -> None:
        """The restore is complete."""
        await self._view.remove(RESTORES, {"_id": MARK_ID, "token": self._token})


async def read_mark(view: TenantView) -> Document | None:
    """The mark of a restore that is under way or was cut off, if there is one."""
    return await view.find_one(RESTORES, {"_id": MARK_ID})


async def refuse_half_restored(view: TenantView) -> None:
    """Raise StartError for a database whose restore has not ended."""
    mark = await read_mark(view)
    if mark is not None:
        raise StartError(
            f"this database is half restored: scfm restore {mark.get('source')} was cut off, or is still under way. "
            "Run it again: it begins anew, and then the server can start"
        )
