"""The only file that speaks MongoDB, by ``driver``: documents in, documents out, every acknowledged write on disk.

A ``TenantView`` is how the rest reads and writes: ``store.for_account(id)`` sees one account and nothing else,
``store.all_tenants`` is for what belongs to no account (tokens by digest, work by status).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReadPreference, ReturnDocument, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
)
from pymongo.write_concern import WriteConcern

from scfm.errors import StartError, Unavailable, Unreachable
from scfm.runtime.turns import AccountTurns
from scfm.storage import driver
from scfm.storage.batching import Batcher, isolate_failures
from scfm.storage.block_counts import Counts, Span
from scfm.storage.codec import escape_document, restore_document
from scfm.storage.counted_fields import CountedFields
from scfm.storage.errors import DUPLICATE, Taken, index_of, map_driver_errors, permitted, reason
from scfm.storage.index import Index
from scfm.storage.large_page import MAX_AT_ONCE
from scfm.storage.lookup import MAX_NAMED, LookupKey
from scfm.storage.query import Document, Query
from scfm.storage.register import BLOCK, Register, State
from scfm.storage.tenant_view import TenantView

# A write is acknowledged when it is in the journal, and, on a replica set, in those of the majority.
DURABLE = WriteConcern(w="majority", j=True)
# One more wait for the disk before each new document would be half of what a caller waits for: see Store.new_ids.
COUNTED = WriteConcern(w="majority", j=False)
# IndexNotFound; NamespaceNotFound: not even the collection is there.
NO_INDEX = frozenset({26, 27})
# How large an answer is shows when it has come, and it may have 16 MB: so many of an account's come at once.
MAX_READS, MAX_READ_WAIT = 16, 20.0
# Batches of an account's imports that are stored at once: two keep MongoDB busy.
MAX_IMPORTS = 2
# What a document holds besides its fields; ``_swaps`` are the marks of compare_and_set.
BOOKKEEPING = ("account_id", "_deleting", "_version", "_swaps")
# What a reservation may end later than it can by rounding, in milliseconds.
CLOCK_SLACK_MS = 1000


Update = tuple[Document, Document | None]
"""A condition, with the ``_id`` of one document, and what is to be done to it, if anything."""


class Store:
    """The database. Open one per process with ``Store.open``; ``close`` it at the end."""

    def __init__(self, client: driver.Client, database: str, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self._client = client
        self._database = client.get_database(
            database,
            codec_options=CodecOptions(tz_aware=True),
            # What has been written must be seen by the next who reads, whatever the URI says.
            read_preference=ReadPreference.PRIMARY,
            write_concern=DURABLE,
        )
        # To make one anew for every operation costs as much as a tenth of a small request.
        counters: driver.Collection = self._database.get_collection("counters", write_concern=COUNTED)
        self._collections = {"counters": counters}
        # What single requests ask at the same time goes to the database together.
        self.counted = counted
        self._registers: dict[str, Register] = {}
        self._finds: dict[LookupKey, Batcher[Any, list[Document]]] = {}
        self._inserts: dict[str, Batcher[Document, None]] = {}
        self._updates: dict[str, Batcher[Update, Document | None]] = {}
        self.reads = AccountTurns("large lists and exports are being read", MAX_READS, MAX_READ_WAIT)
        self.imports = AccountTurns("batches are being imported", MAX_IMPORTS)
        self.counts = Counts(counted, self._look, self._count, self._count_blocks)
        self.all_tenants = TenantView(self, None)

    @classmethod
    def open(cls, uri: str, database: str, counted: Mapping[str, CountedFields]) -> Store:
        """A store on the MongoDB at URI. Connects when first used; raises StartError for a URI it cannot read."""
        try:
            client = driver.Client(
                uri,
                serverSelectionTimeoutMS=3000,
                connectTimeoutMS=3000,
                # Not timeoutMS, which would wait as long for a server that is not there.
                socketTimeoutMS=60000,
                appname="scfm",
            )
        except (PyMongoError, ValueError) as error:
            raise StartError(f"MONGODB_URI cannot be used: {error}") from None
        try:
            return cls(client, database, counted)
        except PyMongoError as error:
            raise StartError(f"MONGODB_DATABASE cannot be used: {error}") from None

    async def rest(self) -> None:
        """Leave word that this process has nothing under way: see Register."""
        for register in self._registers.values():
            await register.rest()

    async def close(self) -> None:
        """Let go of every connection."""
        for register in self._registers.values():
            register.close()
        await self._client.close()

    def for_account(self, account_id: int) -> TenantView:
        """The documents of one account, and no others."""
        return TenantView(self, account_id)

    def collection(self, name: str) -> driver.Collection:
        """The MongoDB collection of that name."""
        if name not in self._collections:
            self._collections[name] = self._database[name]
        return self._collections[name]

    async def ping(self) -> None:
        """Return when the database answers; raises Unavailable, or StartError if it does not let us in."""
        with permitted(), map_driver_errors():
            await self._client.admin.command("ping")

    async def prepare(
        self, indexes: Mapping[str, Sequence[Index]], obsolete: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Make the indexes that are missing; INDEXES maps a collection to those it needs.

        OBSOLETE maps a collection to the names of indexes of older versions, which are dropped. Raises StartError for
        a database that does not let us in, or that has them in another form.
        """
        with permitted(), map_driver_errors():
            for collection, names in (obsolete or {}).items():
                for name in names:
                    await self._drop_index(collection, name)
            for collection, wanted in indexes.items():
                await self.collection(collection).create_indexes([index.model() for index in wanted])

    async def _drop_index(self, collection: str, name: str) -> None:
        try:
            await self.collection(collection).drop_index(name)
        except OperationFailure as error:
            if error.code not in NO_INDEX:  # another process may have been faster
                raise

    async def new_ids(self, kind: str, count: int = 1) -> range:
        """The next COUNT ids of a kind of resource.

        They are not on disk yet: a MongoDB that dies may give them again, until a document that has one of them is
        stored, since what it writes goes to disk in order. Whoever comes second is refused by the index of ids.
        """
        return await self.register(kind).new_ids(count)

    def register(self, kind: str) -> Register:
        """The register of a kind of resource."""
        if kind not in self._registers:
            self._registers[kind] = Register(partial(self._write_register, kind), partial(self._read_register, kind))
        return self._registers[kind]

    async def _write_register(
        self, kind: str, pipeline: list[Document], projection: Document, durable: bool
    ) -> Document:
        with map_driver_errors():
            counters = self._database["counters"] if durable else self.collection("counters")
            return await counters.find_one_and_update(
                {"_id": kind}, pipeline, projection, upsert=True, return_document=ReturnDocument.AFTER
            )

    async def _read_register(self, kind: str) -> Document | None:
        with map_driver_errors():
            return await self.collection("counters").find_one({"_id": kind})

    async def _look(self, collection: str) -> State:
        return await self.register(self.counted[collection].kind).state()

    async def _count(self, query: Query, span: Span) -> int:
        with map_driver_errors():
            return int(await self.collection(query.collection).count_documents(query.within([span])))

    async def _count_blocks(self, query: Query, spans: Sequence[Span]) -> dict[int, int]:
        block: Document = {"$floor": {"$divide": ["$_id", BLOCK]}}
        pipeline = [{"$match": query.within(spans)}, {"$group": {"_id": block, "total": {"$sum": 1}}}]
        with map_driver_errors():
            found = await (await self.collection(query.collection).aggregate(pipeline, allowDiskUse=True)).to_list(
                None
            )
        return {int(one["_id"]): one["total"] for one in found}

    async def find_by(self, look: LookupKey, value: Any) -> list[Document]:
        """Every document with VALUE in the look's field, by id; each caller has its own."""
        if look not in self._finds:
            self._finds[look] = Batcher(partial(isolate_failures, partial(self._find_together, look)))
        return [restore_document(dict(document)) for document in await self._finds[look].submit(value)]

    async def _find_together(self, look: LookupKey, values: list[Any]) -> list[list[Document]]:
        found: dict[Any, list[Document]] = {value: [] for value in values}
        with map_driver_errors():
            for document in await self._with(look, list(found)):
                found[document[look.name]].append(document)
        return [found[value] for value in values]

    async def _with(self, look: LookupKey, values: list[Any]) -> list[Document]:
        collection = self.collection(look.collection)
        if look.references:
            cursor = await collection.aggregate(look.pipeline(values), batchSize=MAX_NAMED)
            return sorted(await cursor.to_list(None), key=itemgetter("_id"))
        if look.name == "_id" and len(values) == 1:
            document = await collection.find_one({"_id": values[0]})
            return [] if document is None else [document]
        return sorted(await collection.find(look.condition(values)).to_list(None), key=itemgetter("_id"))

    async def find_window(self, query: Query, condition: Document, skip: int, limit: int) -> list[Document] | None:
        """LIMIT documents of the query's collection that fit, after the first SKIP, by id, as ``run_at_once``."""
        command = {"find": query.collection, "filter": condition, "sort": {"_id": 1}, "skip": skip, "limit": limit}
        command["batchSize"] = limit + 1  # so that MongoDB sees that these are all
        return await self.run_at_once(query.collection, command)

    async def run_at_once(self, collection: str, command: Document) -> list[Document] | None:
        """The documents that a find or an aggregation yields; None if they are too large to be held at once.

        They come with the answer to the command, which costs less than a cursor; and, as that does, it is given again
        when the connection breaks. They are there to be shown: their times may be without a zone, which is UTC.
        """
        try:
            answer = await self._database.command(command, codec_options=driver.RAW)
        except (ConnectionFailure, NotPrimaryError):
            answer = await self._database.command(command, codec_options=driver.RAW)
        if len(answer.raw) <= MAX_AT_ONCE:
            cursor = driver.decoded(answer)["cursor"]
            if not cursor["id"]:
                return list(cursor["firstBatch"])
        if number := answer["cursor"]["id"]:
            await self._database.command({"killCursors": collection, "cursors": [number]})
        return None

    def raw_collection(self, name: str) -> driver.Collection:
        """The collection of that name, whose documents are for ``driver.decoded``."""
        raw: driver.Collection = self._database.get_collection(name, codec_options=driver.RAW)
        return raw

    async def insert_one(self, collection: str, document: Document) -> None:
        """Store a document under an id of ``new_ids``; raises Taken."""
        if collection not in self._inserts:
            self._inserts[collection] = Batcher(partial(self._insert, collection))
        await self._inserts[collection].submit(escape_document(document))

    async def _insert(self, collection: str, documents: list[Document]) -> Sequence[Exception | None]:
        """What kept each of the documents from being stored, None for nothing."""
        if len(documents) == 1:
            return [await self._insert_alone(collection, documents[0])]
        try:
            return await self._insert_together(collection, documents)
        except Unavailable:
            raise
        except Exception:
            # One that the driver cannot send must not take the others with it; some of them may be in.
            return [await self._insert_alone(collection, document, again=True) for document in documents]

    async def _insert_together(self, collection: str, documents: list[Document]) -> list[Exception | None]:
        refused: list[Exception | None] = [None] * len(documents)
        try:
            with map_driver_errors():
                await self.collection(collection).insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            if details.get("writeConcernErrors"):
                raise Unreachable(reason(error)) from error
            for failure in details["writeErrors"]:
                known = failure["code"] == DUPLICATE
                refused[failure["index"]] = Taken(index_of(failure)) if known else error
        return refused

    async def _insert_alone(self, collection: str, document: Document, again: bool = False) -> Exception | None:
        try:
            with map_driver_errors():
                if again and await self.collection(collection).find_one({"_id": document["_id"]}) == document:
                    return None
                await self.collection(collection).insert_one(document)
        except Exception as error:
            return error
        return None

    async def update_one(self, collection: str, condition: Document, update: Document | None) -> Document | None:
        """Apply UPDATE, if there is one, to the document with CONDITION's ``_id``, if it fits.

        Gives its BOOKKEEPING then, or None if it is gone, but does not tell whether it fitted: what is asked at the
        same time goes to the database together.
        """
        if collection not in self._updates:
            together = partial(self._update_together, self.collection(collection))
            self._updates[collection] = Batcher(partial(isolate_failures, together))
        return await self._updates[collection].submit((condition, update))

    @staticmethod
    async def _update_together(collection: driver.Collection, updates: list[Update]) -> list[Document | None]:
        writes = [(condition, update) for condition, update in updates if update is not None]
        with map_driver_errors():
            if len(updates) == len(writes) == 1:
                books = await collection.find_one_and_update(
                    *writes[0], BOOKKEEPING, return_document=ReturnDocument.AFTER
                )
                if books is not None:
                    return [books]
            elif writes:
                await collection.bulk_write([UpdateOne(*write) for write in writes], ordered=False)
            numbers = [condition["_id"] for condition, _ in updates]
            found = await collection.find({"_id": {"$in": numbers}}, BOOKKEEPING).to_list(None)
        after = {document["_id"]: document for document in found}
        return [after.get(number) for number in numbers]

    async def reserve(self, collection: str, key: int, count: float, rate: float, most: float) -> float:
        """Reserve COUNT uses of something that may be used RATE times a second; in how many seconds they begin.

        They begin now, or when what was reserved before ends; if that is in more than MOST seconds, nothing is
        reserved. What is left of a reservation at a lower rate takes no longer than it would at RATE. Only the
        database's clock is asked; a reservation that ends later than any can has been made before that clock was set
        back, and does not count.
        """
        moment, seconds = self._moment(), count / rate
        slower: Document = {"$min": [1, {"$divide": [{"$ifNull": ["$rate", rate]}, rate]}]}
        ends: Document = {"$add": [moment, {"$multiply": [{"$subtract": ["$until", moment]}, slower]}]}
        longest: Document = {"$multiply": [{"$add": [most, {"$ifNull": ["$seconds", seconds]}]}, 1000]}
        possible: Document = {"$lte": ["$until", {"$add": [moment, longest, CLOCK_SLACK_MS]}]}
        wait: Document = {"$subtract": ["$begin", moment]}
        until: Document = {"$add": ["$begin", seconds * 1000]}
        reserved: Document = {"$lte": ["$wait", most * 1000]}
        with map_driver_errors():
            found = await self.collection(collection).find_one_and_update(
                {"_id": key},
                [
                    {"$set": {"begin": {"$cond": [possible, {"$max": [ends, moment]}, moment]}}},
                    {"$set": {"wait": wait}},
                    {
                        "$set": {
                            "until": {"$cond": [reserved, until, "$until"]},
                            "seconds": {"$cond": [reserved, seconds, "$seconds"]},
                            "rate": {"$cond": [reserved, rate, "$rate"]},
                        }
                    },
                ],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return float(found["wait"]) / 1000

    def _moment(self) -> Any:
        """The time now by the database's clock, in a pipeline; a test tells its own."""
        return "$$NOW"
