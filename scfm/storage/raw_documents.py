"""Documents as the bytes that MongoDB keeps, for backups: read by collection, and stored again as they were.

Nothing is converted on the way, so nothing is lost that this version does not know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from bson.errors import InvalidBSON
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, OperationFailure

from scfm.clock import now
from scfm.storage.counter_state import CounterState, StoredCounter
from scfm.storage.database import COUNTERS, Database
from scfm.storage.driver import RAW
from scfm.storage.errors import DUPLICATE, index_of, map_driver_errors
from scfm.storage.query import Document

# Documents that MongoDB is asked for at once; those of files have 255 KB each. It sends no more than 16 MB of them.
READ_BATCH, READ_BATCH_OF_CHUNKS = 1000, 4
# Documents that are stored or looked at together.
WRITE_BATCH, LOOK_BATCH = 1000, 1000
# SnapshotUnavailable, SnapshotTooOld: a snapshot is kept for five minutes (minSnapshotHistoryWindowInSeconds).
SNAPSHOT_IS_GONE = frozenset({246, 239})
# A document of BSON begins with its length, four bytes.
LENGTH_BYTES = 4
# An id, or a number of a change, beyond which no counter ever comes: MongoDB has integers of 64 bits.
MAX_COUNTER = 1 << 60


@dataclass(frozen=True)
class Batch:
    """Some documents of a collection, one after the other as BSON, and how many they are."""

    raw: bytes
    count: int


@dataclass(frozen=True)
class LeftOut:
    """A document that a unique index has refused, as another has the same values."""

    document_id: Any
    index: str


def split(raw: bytes) -> Iterator[memoryview]:
    """The documents in a batch. Raises ValueError where the bytes are no whole documents."""
    view, start = memoryview(raw), 0
    while start < len(raw):
        length = int.from_bytes(view[start : start + LENGTH_BYTES], "little", signed=True)
        if length <= LENGTH_BYTES or start + length > len(raw):
            raise ValueError("these are no whole documents of BSON")
        yield view[start : start + length]
        start += length


def count_of(raw: bytes) -> int:
    """How many documents are in a batch. Raises ValueError as ``split``."""
    return sum(1 for _ in split(raw))


class RawDocuments:
    """The collections of one database. Every method that is awaited raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Any = None

    async def names(self) -> list[str]:
        """The names of all collections, without MongoDB's own."""
        return await self._database.collection_names()

    async def filled(self) -> list[str]:
        """The names of the collections that have documents."""
        found = []
        for name in await self.names():
            with map_driver_errors():
                if await self._database.raw_collection(name).find_one({}, {"_id": 1}) is not None:
                    found.append(name)
        return found

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[bool]:
        """Within it ``batches`` reads all collections as they were at one moment; whether MongoDB can do so.

        A replica set and a sharded cluster can, a standalone server cannot.
        """
        with map_driver_errors():
            hello = await self._database.client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            yield False
            return
        async with self._database.client.delegate.start_session(snapshot=True) as session:
            self._session = session
            try:
                yield True
            finally:
                self._session = None

    @property
    def has_snapshot(self) -> bool:
        """Whether what is read is still of one moment: MongoDB keeps a snapshot for five minutes."""
        return self._session is not None

    async def batches(self, name: str, first: Any = None) -> AsyncIterator[Batch]:
        """The documents of a collection by id, those with ids from FIRST on where that is given.

        Where the snapshot has become too old, it goes on without one: see ``has_snapshot``.
        """
        last: Any = None
        size = READ_BATCH_OF_CHUNKS if name.endswith(".chunks") else READ_BATCH
        while True:
            condition: Document = {} if first is None else {"_id": {"$gte": first}}
            if last is not None:
                condition = {"_id": {"$gt": last}}
            collection = self._database.raw_collection(name)
            try:
                with map_driver_errors():
                    cursor = collection.find_raw_batches(
                        condition, sort=[("_id", 1)], batch_size=size, session=self._session
                    )
                    async with cursor:
                        async for raw in cursor:
                            documents = list(split(raw))
                            if documents:
                                last = RawBSONDocument(bytes(documents[-1]), RAW)["_id"]
                                yield Batch(raw, len(documents))
            except OperationFailure as error:
                if error.code not in SNAPSHOT_IS_GONE or self._session is None:
                    raise
                self._session = None
            else:
                return

    async def undecided_ids(self) -> dict[str, int]:
        """By kind of resource, the lowest id under which a document may yet be stored."""
        with map_driver_errors():
            found = await self._database.collection(COUNTERS).find({}).to_list(None)
        return {one["_id"]: CounterState.of(cast(StoredCounter, one)).decided_below for one in found}

    async def insert(self, name: str, raw: bytes) -> list[LeftOut]:
        """Store a batch in a collection; those of it that were left out. What is there already is left as it is.

        Raises ValueError for what is no BSON.
        """
        documents = [RawBSONDocument(bytes(document), RAW) for document in split(raw)]
        left_out: list[LeftOut] = []
        for start in range(0, len(documents), WRITE_BATCH):
            left_out += await self._insert(name, documents[start : start + WRITE_BATCH])
        return left_out

    async def _insert(self, name: str, documents: list[RawBSONDocument]) -> list[LeftOut]:
        try:
            with map_driver_errors():
                await self._database.collection(name).insert_many(cast(Any, documents), ordered=False)
        except InvalidBSON as error:
            raise ValueError(str(error)) from None
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if any(failure["code"] != DUPLICATE for failure in failures):
                raise
            return [LeftOut(documents[failure["index"]]["_id"], index_of(failure)) for failure in failures]
        return []

    @staticmethod
    def ids_of(raw: bytes) -> list[Any]:
        """The ids of the documents in a batch."""
        return [RawBSONDocument(bytes(document), RAW)["_id"] for document in split(raw)]

    async def insert_counters(self, raw: bytes, last_ids: Mapping[str, int]) -> None:
        """Store counters; LAST_IDS: by kind, the highest id that is stored.

        They give no id again, and say that nothing is under way and that no total of before can be trusted. Raises
        ValueError for what is no counter.
        """
        for document in split(raw):
            counter = dict(RawBSONDocument(bytes(document), RAW))
            kind, last, seq = counter["_id"], counter.get("last", 0), counter.get("seq", 0)
            if not all(isinstance(one, int) and 0 <= one <= MAX_COUNTER for one in (last, seq)):
                raise ValueError(f"the counter {kind} is none")
            last = max(last, last_ids.get(kind, 0))
            number = max(seq + 1, int(now().timestamp() * 1000))
            stored = {"_id": kind, "last": last, "seq": number, "floor": number, "touched": {}, "rest": f"{number}"}
            with map_driver_errors():
                await self._database.durable_counters.replace_one({"_id": kind}, stored, upsert=True)

    async def last_id(self, name: str) -> int:
        """The highest id of a collection whose ids are numbers; 0 without documents."""
        with map_driver_errors():
            found = await self._database.collection(name).find({}, {"_id": 1}).sort("_id", -1).limit(1).to_list(1)
        return int(found[0]["_id"]) if found else 0

    async def dangling(
        self, name: str, references: Sequence[tuple[str, str]], first: int
    ) -> AsyncIterator[list[int]]:
        """The ids, from FIRST on, of documents that refer to what is not there; lists of some.

        REFERENCES are fields of the collection NAME, and the collections whose ids they hold.
        """
        last = first - 1
        while True:
            fields = {field: 1 for field, _ in references}
            with map_driver_errors():
                cursor = self._database.collection(name).find({"_id": {"$gt": last}}, fields)
                found = await cursor.sort("_id", 1).limit(LOOK_BATCH).to_list(None)
            if not found:
                return
            last = found[-1]["_id"]
            if missing := await self._missing(found, references):
                yield missing

    async def _missing(self, found: list[Document], references: Sequence[tuple[str, str]]) -> list[int]:
        missing: set[int] = set()
        for field, target in references:
            wanted = {one[field] for one in found if one.get(field) is not None}
            with map_driver_errors():
                cursor = self._database.collection(target).find({"_id": {"$in": list(wanted)}}, {"_id": 1})
                wanted -= {one["_id"] for one in await cursor.to_list(None)}
            missing |= {one["_id"] for one in found if one.get(field) in wanted}
        return sorted(missing)

    async def remove(self, name: str, condition: Document) -> int:
        """Remove the documents that fit; how many."""
        with map_driver_errors():
            return int((await self._database.collection(name).delete_many(condition)).deleted_count)

    async def drop_all(self, kept: str) -> None:
        """Drop every collection but KEPT."""
        for name in await self.names():
            if name != kept:
                with map_driver_errors():
                    await self._database.collection(name).drop()
