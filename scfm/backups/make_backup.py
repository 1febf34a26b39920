"""Makes a backup of a database, while servers work on it or none does."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from scfm import __version__
from scfm.backups.envelope import DOCUMENTS_FRAME, END_FRAME, KEYS_FRAME, BackupWriter
from scfm.backups.order import read_order, second_looks
from scfm.backups.target import written_whole
from scfm.clock import iso, now
from scfm.storage.database import COUNTERS
from scfm.storage.raw_documents import RawDocuments
from scfm.storage.schema import StoredSchema
from scfm.storage.store import Store

# Documents of the first look at a collection, and of the second: see ``order``.
FIRST_BACKUP_LOOK, SECOND_BACKUP_LOOK = 0, 1


@dataclass(frozen=True)
class BackupOptions:
    """``passphrase``: what it is encrypted with, if at all. ``keys``: the secret keys, where they are to be in it.

    ``rest``: for how many times as long as it has read and written some documents it then does nothing, so that
    whatever else the machine has to do goes on.
    """

    passphrase: bytes | None = None
    keys: bytes | None = None
    rest: float = 0.0


@dataclass(frozen=True)
class MadeBackup:
    """A backup that is on disk. What was acknowledged before ``started_at`` is in it.

    ``snapshot``: it is the database of one moment; else each collection is of another, later one.
    """

    path: Path
    started_at: datetime
    seconds: float
    documents: int
    size: int
    snapshot: bool


@dataclass(frozen=True)
class _Read:
    """Some documents of a collection, as they are put into a frame."""

    name: str
    look: int
    raw: bytes
    count: int


async def make_backup(store: Store, path: Path, options: BackupOptions) -> MadeBackup:
    """Write a backup of the whole database to PATH. Raises BackupError, after which there is none; Unavailable."""
    started_at, began = now(), time.monotonic()
    schema = await StoredSchema(store.database).read()
    header = {
        "program": f"scfm {__version__}",
        "database": store.database.name,
        "started_at": iso(started_at),
        "schema": {"version": schema.version, "oldest_program": schema.oldest_program, "release": schema.release},
        "has_keys": options.keys is not None,
    }
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    documents = RawDocuments(store.database)
    async with written_whole(path) as file:
        writer = BackupWriter(file, header, options.passphrase)
        if options.keys is not None:
            await asyncio.to_thread(writer.add, KEYS_FRAME, options.keys)
        async with documents.snapshot():
            since = time.monotonic()
            undecided = await documents.undecided_ids()
            async for read in _read_all(documents, undecided):
                await asyncio.to_thread(writer.add, DOCUMENTS_FRAME, frame_of(read.name, read.look, read.raw))
                counts[read.look][read.name] += read.count
                if options.rest:
                    await asyncio.sleep(options.rest * (time.monotonic() - since))
                since = time.monotonic()
            snapshot = documents.has_snapshot
        found, found_again = counts
        end: dict[str, Any] = {"counts": found, "second_look": found_again, "undecided": undecided}
        end |= {"completed_at": iso(now()), "snapshot": snapshot}
        await asyncio.to_thread(writer.add, END_FRAME, json.dumps(end).encode())
    return MadeBackup(path, started_at, time.monotonic() - began, found.total(), writer.bytes_written, snapshot)


async def _read_all(documents: RawDocuments, undecided: Mapping[str, int]) -> AsyncIterator[_Read]:
    names = await documents.names()
    for name in read_order(names):
        async for batch in documents.batches(name):
            yield _Read(name, FIRST_BACKUP_LOOK, batch.raw, batch.count)
    if not documents.has_snapshot:
        for name, kind in second_looks(names):
            first = None if kind is None else undecided.get(kind, 1)
            async for batch in documents.batches(name, first):
                yield _Read(name, SECOND_BACKUP_LOOK, batch.raw, batch.count)
    if COUNTERS in names:
        async for batch in documents.batches(COUNTERS):
            yield _Read(COUNTERS, FIRST_BACKUP_LOOK, batch.raw, batch.count)


def frame_of(name: str, look: int, raw: bytes) -> bytes:
    """The payload of a frame of documents: see ``documents_of``."""
    encoded = name.encode()
    return bytes((look, len(encoded))) + encoded + raw


def documents_of(payload: bytes) -> tuple[str, int, bytes]:
    """The collection, the look and the documents of a frame. Raises ValueError, IndexError for a broken one."""
    if payload[0] not in (FIRST_BACKUP_LOOK, SECOND_BACKUP_LOOK):
        raise ValueError("no look")
    end = 2 + payload[1]
    return payload[2:end].decode(), payload[0], payload[end:]
