"""Puts a backup into an empty database, and makes that safe: see ``settle_restored``."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scfm.backups.check_backup import BackupFacts, check_backup, opened, readable
from scfm.backups.envelope import DAMAGED_BACKUP, DOCUMENTS_FRAME, BackupReader, Frame
from scfm.backups.errors import BackupError
from scfm.backups.make_backup import SECOND_BACKUP_LOOK, documents_of
from scfm.backups.order import KIND_OF_COLLECTION, RESTORES
from scfm.backups.restore_marker import RestoreMarker
from scfm.backups.settle_restored import Settled, settle_restored
from scfm.models.migrations.listed import PROGRAM
from scfm.models.registry import OBSOLETE_INDEXES, RESOURCES, indexes
from scfm.models.stored_documents import CALLOUT_COLLECTION
from scfm.storage.database import COUNTERS
from scfm.storage.query import Document
from scfm.storage.raw_documents import LeftOut, RawDocuments, count_of
from scfm.storage.store import Store

# Collections that an error names.
MAX_NAMED = 5
# The order in which what refers to nothing is removed: what referred to that is looked at after it.
_REFERRING = (
    *("batch_operations", "callout_participations", "phone_calls", "remote_phone_call_events"),
    *(resource.collection for resource in RESOURCES),
)


@dataclass
class Restored:
    """What a restore came to. ``left_out``: documents that a unique index refused, by collection and id.

    ``dangling``: by collection, how many were removed as what they referred to is not in the backup; both are of
    what was changed while the backup was made. ``keys_file``: where the secret keys in it were put, if they were.
    """

    facts: BackupFacts
    documents: int = 0
    left_out: list[tuple[str, LeftOut]] = field(default_factory=list)
    dangling: Counter[str] = field(default_factory=Counter)
    settled: Settled = field(default_factory=Settled)
    keys_file: Path | None = None


async def restore_backup(
    store: Store,
    path: Path,
    passphrase: bytes | None,
    keep_keys: Callable[[BackupFacts], Path | None] = lambda facts: None,
) -> Restored:
    """Restore the backup at PATH into the empty database of STORE; KEEP_KEYS puts the secret keys in it into a file.

    Raises BackupError where the backup is damaged, of another format, or encrypted and the passphrase is missing or
    wrong, and where the database is not empty; StartError for data of a newer program: then nothing is done. One that
    is cut off leaves a mark, by which the database is refused until another has restored it from the beginning.
    Raises Unavailable.
    """
    facts = await asyncio.to_thread(check_backup, path, passphrase)
    facts.refuse_newer(PROGRAM)
    if facts.counts is None:
        raise BackupError("the backup is encrypted: name the file with its passphrase by --passphrase-file")
    documents, marker = RawDocuments(store.database), RestoreMarker(store.all_tenants, path.name)
    await _refuse_filled(documents, store.database.name)
    cut_off = await marker.set()
    async with marker.kept():
        if cut_off:
            await documents.drop_all(RESTORES)
        try:
            await _refuse_filled(documents, store.database.name, but_mark=False)
        except BackupError:  # a server has started meanwhile
            await marker.remove()
            raise
        await store.database.prepare(indexes(), OBSOLETE_INDEXES)
        restored = await _load(store, facts, marker, path, passphrase)
    await store.quiesce()
    restored.keys_file = keep_keys(facts)  # before the mark is removed: nobody could run this again to get them
    await marker.remove()
    return restored


async def _load(
    store: Store, facts: BackupFacts, marker: RestoreMarker, path: Path, passphrase: bytes | None
) -> Restored:
    restored = Restored(facts)
    loading = _Loading(RawDocuments(store.database), marker, restored)
    with opened(path) as file:
        frames = BackupReader(file, passphrase).frames()
        while (frame := await asyncio.to_thread(_next, frames)) is not None:
            if frame.kind == DOCUMENTS_FRAME:
                await loading.store_frame(frame)
    await loading.remove_dangling()
    restored.settled = await settle_restored(store, loading.new_callouts, marker)
    return restored


async def _refuse_filled(documents: RawDocuments, database: str, *, but_mark: bool = True) -> None:
    """Raise BackupError for a database with documents; not, where BUT_MARK, for what a cut-off restore has left."""
    filled = await documents.filled()
    if (but_mark and RESTORES in filled) or filled in ([], [RESTORES]):
        return
    filled = [name for name in filled if name != RESTORES]
    named = ", ".join(filled[:MAX_NAMED]) + (", …" if len(filled) > MAX_NAMED else "")
    raise BackupError(
        f"the database {database} is not empty (it has {named}), and a backup is restored into an empty one only: "
        "name a new data folder with --data-dir, or another MONGODB_DATABASE"
    )


def _next(frames: Iterator[Frame]) -> Frame | None:
    return next(frames, None)


class _Loading:
    """Stores the documents of a backup, frame by frame."""

    def __init__(self, documents: RawDocuments, marker: RestoreMarker, restored: Restored) -> None:
        self._documents = documents
        self._marker = marker
        self._restored = restored
        self.new_callouts: list[int] = []

    async def store_frame(self, frame: Frame) -> None:
        """Store the documents of one frame."""
        name, look, raw = readable(documents_of, frame.payload)
        self._marker.check()
        try:
            left_out = await self._insert(name, raw)
        except ValueError:
            raise BackupError(f"{DAMAGED_BACKUP}: a document of {name} cannot be read") from None
        known = {one.document_id for one in left_out if one.index == "_id_"}
        refused = [(name, one) for one in left_out if one.index != "_id_"]
        self._restored.left_out += [one for one in refused if one not in self._restored.left_out]
        self._restored.documents += count_of(raw) - len(left_out)
        if look == SECOND_BACKUP_LOOK and name == CALLOUT_COLLECTION:
            self.new_callouts += [found for found in self._documents.ids_of(raw) if found not in known]

    async def _insert(self, name: str, raw: bytes) -> list[LeftOut]:
        if name == COUNTERS:
            await self._documents.insert_counters(raw, await self._last_ids())
            return []
        return await self._documents.insert(name, raw)

    async def _last_ids(self) -> dict[str, int]:
        return {kind: await self._documents.last_id(name) for name, kind in KIND_OF_COLLECTION.items()}

    async def remove_dangling(self) -> None:
        """Remove what was made while the backup was, and refers to documents that are not there: they are gone since.

        What is older is left as it is.
        """
        undecided = self._restored.facts.undecided
        by_collection = {resource.collection: resource for resource in RESOURCES}
        for name in dict.fromkeys(_REFERRING):
            references = [(one.field, one.collection) for one in by_collection[name].references]
            if not references:
                continue
            async for missing in self._documents.dangling(
                name, references, undecided.get(KIND_OF_COLLECTION[name], 1)
            ):
                among: Document = {"_id": {"$in": missing}}
                self._restored.dangling[name] += await self._documents.remove(name, among)
                self._marker.check()
