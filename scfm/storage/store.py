"""The only file that speaks MongoDB, by ``driver``: documents in, documents out, every acknowledged write on disk.

A ``TenantView`` is how the rest reads and writes: ``store.for_account(id)`` sees one account and nothing else,
``store.everyone`` is for what belongs to no account (tokens by digest, work by status).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ASCENDING, DESCENDING, IndexModel, ReadPreference, ReturnDocument, UpdateMany, UpdateOne
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.write_concern import WriteConcern

from scfm.clock import now
from scfm.errors import NotFound, ScfmError, StartError, Unavailable, Unreachable
from scfm.runtime.turns import AccountTurns
from scfm.storage import driver
from scfm.storage.batching import Batcher, apart
from scfm.storage.block_counts import END, Counts, Span, rememberable
from scfm.storage.codec import escaped, restored
from scfm.storage.query import Document, Newest, Query, all_of
from scfm.storage.register import BLOCK, KINDS, Register, State, announces, blocks_of

# A write is acknowledged when it is in the journal, and, on a replica set, in those of the majority.
DURABLE = WriteConcern(w="majority", j=True)
# One more wait for the disk before each new document would be half of what a caller waits for: see Store.new_ids.
COUNTED = WriteConcern(w="majority", j=False)
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml: HostUnreachable, HostNotFound,
# CursorNotFound, WriteConcernFailed, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, ExceededTimeLimit,
# SocketException, NotWritablePrimary, InterruptedAtShutdown, InterruptedDueToReplStateChange,
# NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary.
PASSING = frozenset({6, 7, 43, 64, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})
DUPLICATE = 11000
# IndexNotFound; NamespaceNotFound: not even the collection is there.
NO_INDEX = frozenset({26, 27})
# Characters of an error of the driver: a line in the log.
MAX_REASON = 200
# What removes a document changes every field.
REMOVAL: Document = {"$unset": {"_id": ""}}
# Where each deletion is written down before it is done: see deletions.
DELETIONS = "deletions"
# Bytes of documents that are read and shown at once, and those of a larger page that are between two turns of others.
MAX_AT_ONCE, MAX_PIECE = 1 << 20, 1 << 17
# Documents of a larger page that MongoDB sends at once: 16 MB at most.
LARGE_BATCH = 32
# How many documents are asked for as long as their size is not known.
MIN_PIECE = 8
# How large an answer is shows when it has come, and it may have 16 MB: so many of an account's come at once.
MAX_READS, MAX_READ_WAIT = 16, 20.0
# Batches of an account's imports that are stored at once: two keep MongoDB busy.
MAX_IMPORTS = 2
# What a document holds besides its fields, and how many marks of those who have swapped it: see TenantView.swap.
BOOKKEEPING = ("account_id", "_deleting", "_version", "_swaps")
MAX_SWAPS = 8
# What a reservation may end later than it can by rounding, in milliseconds.
CLOCK_SLACK_MS = 1000
# How many documents come with the first answer.
MAX_NAMED = 1000
CURSOR_SECONDS = 60.0
# How long a delete may take between its mark and its end before others take it for abandoned.
DELETE_LEASE = timedelta(seconds=10)
# How often, and how many seconds apart, we look whether the deletion of another has ended: longer than its lease.
DELETE_LOOKS, DELETE_LOOK_SECONDS = 1000, 0.02


@dataclass(frozen=True)
class Look:
    """For documents by their field NAME, of one account or of all.

    ``references`` are fields that name others, and their collections: those come with each, in ``_named``.
    """

    collection: str
    name: str
    account_id: int | None = None
    references: tuple[tuple[str, str], ...] = ()

    def condition(self, values: Sequence[Any]) -> Document:
        """That a document has one of the values."""
        among: Document = {} if self.account_id is None else {"account_id": self.account_id}
        return {**among, self.name: {"$in": list(values)}}

    def pipeline(self, values: Sequence[Any]) -> list[Document]:
        """The aggregation that finds them, with what they refer to."""
        return [
            {"$match": self.condition(values)},
            *(
                {"$lookup": {"from": named, "localField": field, "foreignField": "_id", "as": f"_named.{field}"}}
                for field, named in self.references
            ),
        ]


Update = tuple[Document, Document | None]
"""A condition, with the ``_id`` of one document, and what is to be done to it, if anything."""


class Taken(ScfmError):
    """A unique index refused the document. ``index`` is the index's name."""

    def __init__(self, index: str) -> None:
        super().__init__(f"taken: {index}")
        self.index = index


class Store:
    """The database. Open one per process with ``Store.open``; ``close`` it at the end."""

    def __init__(self, client: driver.Client, database: str) -> None:
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
        self._registers: dict[str, Register] = {}
        self._finds: dict[Look, Batcher[Any, list[Document]]] = {}
        self._inserts: dict[str, Batcher[Document, None]] = {}
        self._updates: dict[str, Batcher[Update, Document | None]] = {}
        self.reads = AccountTurns("large lists and exports are being read", MAX_READS, MAX_READ_WAIT)
        self.imports = AccountTurns("batches are being imported", MAX_IMPORTS)
        self.counts = Counts(self._look, self._count, self._count_blocks)
        self.everyone = TenantView(self, None)

    @classmethod
    def open(cls, uri: str, database: str) -> Store:
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
            return cls(client, database)
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
        with _permitted(), translated():
            await self._client.admin.command("ping")

    async def prepare(
        self, indexes: Mapping[str, Sequence[Index]], obsolete: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Make the indexes that are missing; INDEXES maps a collection to those it needs.

        OBSOLETE maps a collection to the names of indexes of older versions, which are dropped. Raises StartError for
        a database that does not let us in, or that has them in another form.
        """
        with _permitted(), translated():
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
        with translated():
            counters = self._database["counters"] if durable else self.collection("counters")
            return await counters.find_one_and_update(
                {"_id": kind}, pipeline, projection, upsert=True, return_document=ReturnDocument.AFTER
            )

    async def _read_register(self, kind: str) -> Document | None:
        with translated():
            return await self.collection("counters").find_one({"_id": kind})

    async def _look(self, collection: str) -> State:
        return await self.register(KINDS[collection]).state()

    async def _count(self, query: Query, span: Span) -> int:
        with translated():
            return int(await self.collection(query.collection).count_documents(query.within([span])))

    async def _count_blocks(self, query: Query, spans: Sequence[Span]) -> dict[int, int]:
        block: Document = {"$floor": {"$divide": ["$_id", BLOCK]}}
        pipeline = [{"$match": query.within(spans)}, {"$group": {"_id": block, "total": {"$sum": 1}}}]
        with translated():
            found = await (await self.collection(query.collection).aggregate(pipeline, allowDiskUse=True)).to_list(
                None
            )
        return {int(one["_id"]): one["total"] for one in found}

    async def find_by(self, look: Look, value: Any) -> list[Document]:
        """Every document with VALUE in the look's field, by id; each caller has its own."""
        if look not in self._finds:
            self._finds[look] = Batcher(partial(apart, partial(self._find_together, look)))
        return [_read(dict(document)) for document in await self._finds[look].ask(value)]

    async def _find_together(self, look: Look, values: list[Any]) -> list[list[Document]]:
        found: dict[Any, list[Document]] = {value: [] for value in values}
        with translated():
            for document in await self._with(look, list(found)):
                found[document[look.name]].append(document)
        return [found[value] for value in values]

    async def _with(self, look: Look, values: list[Any]) -> list[Document]:
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
        await self._inserts[collection].ask(_stored(document))

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
            with translated():
                await self.collection(collection).insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details = error.details or {}
            if details.get("writeConcernErrors"):
                raise Unreachable(_reason(error)) from error
            for failure in details["writeErrors"]:
                known = failure["code"] == DUPLICATE
                refused[failure["index"]] = Taken(_index_of(failure)) if known else error
        return refused

    async def _insert_alone(self, collection: str, document: Document, again: bool = False) -> Exception | None:
        try:
            with translated():
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
            self._updates[collection] = Batcher(partial(apart, together))
        return await self._updates[collection].ask((condition, update))

    @staticmethod
    async def _update_together(collection: driver.Collection, updates: list[Update]) -> list[Document | None]:
        writes = [(condition, update) for condition, update in updates if update is not None]
        with translated():
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
        with translated():
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


@contextmanager
def _permitted() -> Iterator[None]:
    try:
        yield
    except (OperationFailure, ConfigurationError) as error:
        raise StartError(f"the database at MONGODB_URI cannot be used: {error}") from None


class Index:
    """An index: fields with their direction, perhaps unique, perhaps only over documents that fit ``only``."""

    def __init__(
        self,
        *fields: str,
        name: str | None = None,
        unique: bool = False,
        only: Document | None = None,
        expires: timedelta | None = None,
    ) -> None:
        self.fields = fields
        self.name = name or "_".join(field.strip("-") for field in fields)
        self.unique = unique
        self.only = only
        self.expires = expires

    def model(self) -> IndexModel:
        keys = [(field.lstrip("-"), DESCENDING if field.startswith("-") else ASCENDING) for field in self.fields]
        options: Document = {"name": self.name}
        if self.unique:
            options["unique"] = True
        if self.only is not None:
            options["partialFilterExpression"] = self.only
        if self.expires is not None:
            options["expireAfterSeconds"] = int(self.expires.total_seconds())
        return IndexModel(keys, **options)


def unmarked() -> Document:
    """The condition that nobody is deleting a document; who has begun and not ended in time is forgotten."""
    return {"$or": [{"_deleting": None}, {"_deleting.until": {"$lt": now()}}]}


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into what the rest of the program knows."""
    try:
        yield
    except DuplicateKeyError as error:
        raise Taken(_index_of(error.details or {})) from None
    except (ConnectionFailure, NotPrimaryError, ExecutionTimeout, WriteConcernError) as error:
        raise Unreachable(_reason(error)) from error
    except PyMongoError as error:
        if error.timeout or _passes(error):
            raise Unreachable(_reason(error)) from error
        raise


def _reason(error: PyMongoError) -> str:
    """What of the driver's words helps the reader: which server, and what is wrong with it."""
    words, _, _ = str(error).partition(", Timeout:")
    words, _, _ = words.partition(", full error:")
    words = re.sub(r" \(configured timeouts:[^)]*\)", "", words)
    return " ".join(words.split())[:MAX_REASON]


def _passes(error: PyMongoError) -> bool:
    """Whether the error comes of a server that stops, or hands over to another, and not of what was asked."""
    details = (error.details or {}) if isinstance(error, OperationFailure) else {}
    parts = [details, *details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    return error.has_error_label("RetryableWriteError") or any(part.get("code") in PASSING for part in parts)


def _index_of(details: Mapping[str, Any]) -> str:
    message = str(details.get("errmsg", ""))
    return message.partition("index: ")[2].partition(" dup key")[0] or "unknown"


def _stored(document: Document) -> Document:
    return {name: escaped(value) if isinstance(value, (dict, list)) else value for name, value in document.items()}


def _operators(update: Document) -> Document:
    if "$set" not in update:
        return update
    return {**update, "$set": _stored(update["$set"])}


def _read(document: Document) -> Document:
    for name, value in document.items():
        if isinstance(value, (dict, list)):
            document[name] = restored(value)
    return document


class LargePage:
    """Documents that are too large to be held at once. OPENED gives a cursor of ``Store.raw_collection``."""

    def __init__(self, opened: Callable[[], Awaitable[Any]]) -> None:
        self._opened = opened

    async def pieces(self) -> AsyncGenerator[list[Document], None]:
        """The documents, a piece of them at a time; raises Unavailable."""
        piece: list[Document] = []
        size = 0
        with translated():
            cursor = await self._opened()
            try:
                async for raw in cursor:
                    piece.append(_read(driver.decoded(raw)))
                    size += len(raw.raw)
                    if size >= MAX_PIECE:
                        yield piece
                        piece, size = [], 0
            finally:
                await cursor.close()
        if piece:
            yield piece


Page = list[Document] | LargePage
"""A page of a list."""


class TenantView:
    """Reads and writes within one account, or, for ``account_id`` None, within all of them."""

    def __init__(self, store: Store, account_id: int | None) -> None:
        self.store = store
        self.account_id = account_id

    def _own(self, condition: Document) -> Document:
        if self.account_id is None:
            return condition
        return {"account_id": self.account_id, **condition}

    def _query(self, query: Query) -> Query:
        return query if self.account_id is None else query.owned_by(self.account_id)

    async def get(self, collection: str, number: int) -> Document:
        """The document with that id; raises NotFound."""
        document = await self.first_by(collection, "_id", number)
        if document is None:
            raise NotFound
        return document

    async def first_by(self, collection: str, name: str, value: Any, *, within: bool = False) -> Document | None:
        """The first document, by id, with VALUE in the field NAME, or None; cheaper than ``find_one`` under load.

        WITHIN: the index on NAME begins with the account.
        """
        found = await self.store.find_by(Look(collection, name, self.account_id if within else None), value)
        own = (one for one in found if self.account_id in (None, one.get("account_id")))
        return next(own, None)

    async def all_with(
        self, collection: str, name: str, value: Any, references: Mapping[str, str]
    ) -> list[tuple[Document, dict[str, Document | None]]]:
        """Every document, by id, with VALUE in the field NAME, each with what it refers to.

        REFERENCES are its fields that do, and their collections.
        """
        found = []
        for one in await self.store.find_by(Look(collection, name, None, tuple(references.items())), value):
            if self.account_id in (None, one.get("account_id")):
                named = one.pop("_named")
                found.append((one, {field: next(iter(named[field]), None) for field in references}))
        return found

    async def find_one(self, collection: str, condition: Document) -> Document | None:
        """A document that fits, or None."""
        with translated():
            document = await self.store.collection(collection).find_one(self._own(condition))
        return _read(document) if document is not None else None

    async def find(
        self,
        collection: str,
        condition: Document,
        *,
        fields: Sequence[str] | Mapping[str, Any] | None = None,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 0,
    ) -> list[Document]:
        """All documents that fit, or the first LIMIT, sorted; only FIELDS of them when named.

        FIELDS may be a projection, ``{"name": 1, "_id": 0}``.
        """
        with translated():
            cursor = self.store.collection(collection).find(self._own(condition), fields, limit=limit)
            if sort:
                cursor = cursor.sort(list(sort))
            return [_read(document) for document in await cursor.to_list(None)]

    async def exists(self, collection: str, condition: Document) -> bool:
        """Whether any document fits."""
        with translated():
            found = await self.store.collection(collection).find_one(self._own(condition), {"_id": 1})
        return found is not None

    async def listed(self, query: Query, skip: int, limit: int) -> tuple[Page, int]:
        """The ``page``, and the ``count``."""
        query = self._query(query)
        if not rememberable(query):
            total = await self.count(query)
            return (await self.page(query, skip, limit) if skip < total else []), total
        if not query.where and skip < BLOCK:  # they are where they would be looked for
            sizes, found = await asyncio.gather(self.store.counts.sizes(query), self.page(query, skip, limit))
            return found, sizes.total
        sizes = await self.store.counts.sizes(query)
        spans, left = sizes.window(skip, limit)
        found = await self._window(query, query.within(spans), left, limit) if spans else []
        if spans and spans[-1][1] != END and not (isinstance(found, list) and len(found) == limit):
            # Some of them have just been deleted; of a large page it would be too late when that is seen.
            found = await self._window(query, query.within([(spans[0][0], END)]), left, limit)
        return found, sizes.total

    async def _window(self, query: Query, condition: Document, skip: int, limit: int) -> Page:
        async with self.store.reads.turn(self.account_id):
            with translated():
                found = await self.store.find_window(query, condition, skip, limit)
        if found is not None:
            return [_read(document) for document in found]

        async def opened() -> Any:
            collection = self.store.raw_collection(query.collection)
            return collection.find(condition, batch_size=LARGE_BATCH).sort("_id", 1).skip(skip).limit(limit)

        return LargePage(opened)

    async def page(self, query: Query, skip: int, limit: int) -> Page:
        """LIMIT documents of the query, after the first SKIP, in order of id."""
        query = self._query(query)
        if query.limit is not None:
            limit = max(0, min(limit, query.limit - skip))
        if limit == 0:
            return []
        if query.plain:
            return await self._window(query, query.condition, skip, limit)
        source, stages = self._source(query), query.page(skip, limit)
        command = {"aggregate": source, "pipeline": stages, "allowDiskUse": True, "cursor": {"batchSize": limit + 1}}
        async with self.store.reads.turn(self.account_id):
            with translated():
                found = await self.store.run_at_once(source, command)
        if found is not None:
            return [_read(document) for document in found]
        collection = self.store.raw_collection(source)
        return LargePage(partial(collection.aggregate, stages, allowDiskUse=True, batchSize=LARGE_BATCH))

    async def count(self, query: Query) -> int:
        """How many documents the query has."""
        query = self._query(query)
        if rememberable(query):
            return (await self.store.counts.sizes(query)).total
        collection = self.store.collection(query.collection)
        with translated():
            if query.limit == 0:
                return 0
            if query.plain:
                most: dict[str, Any] = {"limit": query.limit} if query.limit else {}
                return int(await collection.count_documents(query.condition, **most))
            counting = await self.store.collection(self._source(query)).aggregate(query.counting(), allowDiskUse=True)
            counted = await counting.to_list(1)
        return int(counted[0]["total"]) if counted else 0

    async def pieces(self, query: Query, fields: Sequence[str] | None = None) -> AsyncGenerator[list[Document], None]:
        """All documents of the query, by id, in lists of about MAX_PIECE bytes; only FIELDS of them when named.

        Nothing but the list is held while the caller uses it, so he may take his time. How many documents are asked
        for follows from the size of those before: what MongoDB sends at once has 16 MB at most, and most of the time
        little more than a list. The query's own limit is not applied. Times are without a zone, as in ``listed``.
        """
        query, last, count = self._query(query), 0, MIN_PIECE
        while True:
            found, size = await self._piece(query, last, fields, count)
            if not found:
                return
            last = found[-1]["_id"]
            count = max(1, min(4 * count, len(found) * MAX_PIECE // size, MAX_NAMED))
            yield found

    async def _piece(
        self, query: Query, last: int, fields: Sequence[str] | None, count: int
    ) -> tuple[list[Document], int]:
        """Up to COUNT documents beyond LAST and about MAX_PIECE bytes, and how many bytes these are."""
        found: list[Document] = []
        size = 0
        async with self.store.reads.turn(self.account_id):
            with translated():
                cursor = await self._beyond(query, last, fields, count, count, self.store.raw_collection)
                try:
                    async for raw in cursor:
                        found.append(_read(driver.decoded(raw)))
                        size += len(raw.raw)
                        if size >= MAX_PIECE:
                            break
                finally:
                    await cursor.close()
        return found, size

    def _source(self, query: Query) -> str:
        while query.through is not None:
            query = query.through
        return query.collection

    async def batches(
        self, query: Query, last: int, size: int, fields: Sequence[str] | None = None
    ) -> AsyncGenerator[list[Document], None]:
        """All documents of the query beyond LAST, by id, SIZE at a time; its own limit is not applied.

        One cursor reads them, as MongoDB looks ahead in a join much farther than a thousand documents. What a cursor
        gives may be as old as the cursor, so none gets old: see ``leaving``. What is asked of their newest, though,
        is looked for beside it: in the pipeline the join would cost several times as much.
        """
        joined, query = query.newest, self._query(replace(query, newest=()))
        fit: list[Document] = []
        while True:
            with translated():
                cursor, until = await self._beyond(query, last, fields, size), time.monotonic() + CURSOR_SECONDS
            try:
                while found := await self._some(cursor, size):
                    last = found[-1]["_id"]
                    fit += await self._fitting(joined, found)
                    while len(fit) >= size:
                        yield fit[:size]
                        fit = fit[size:]
                    if time.monotonic() >= until:
                        break
            finally:
                await cursor.close()
            if fit:
                yield fit
                fit = []
            if not found:
                return

    @staticmethod
    async def _some(cursor: Any, size: int) -> list[Document]:
        with translated():
            return [_read(document) for document in await cursor.to_list(size)]

    async def _fitting(self, joined: Sequence[Newest], documents: list[Document]) -> list[Document]:
        """Those of the documents whose newest are as asked."""
        for newest in joined:
            pipeline = newest.deciding([document["_id"] for document in documents])
            with translated():
                cursor = await self.store.collection(newest.collection).aggregate(
                    pipeline, batchSize=len(documents) + 1
                )
                decided = {one["_id"] for one in await cursor.to_list(None)}
            documents = newest.leaves(documents, decided)
        return documents

    async def _beyond(
        self,
        query: Query,
        last: int,
        fields: Sequence[str] | None,
        size: int,
        limit: int = 0,
        collection: Callable[[str], driver.Collection] | None = None,
    ) -> Any:
        """A cursor on the documents beyond LAST, by id, that reads SIZE at a time."""
        collection = collection or self.store.collection
        if query.plain:
            condition = all_of([query.condition, {"_id": {"$gt": last}}])
            found = collection(query.collection).find(condition, fields, batch_size=size)
            return found.sort("_id", 1).limit(limit)
        pipeline = query.pipeline(after=last)
        if limit:
            pipeline.append({"$limit": limit})
        if fields is not None:
            pipeline.append({"$project": dict.fromkeys(["_id", *fields], 1)})
        return await collection(self._source(query)).aggregate(pipeline, allowDiskUse=True, batchSize=size)

    async def insert(self, kind: str, collection: str, document: Document) -> Document:
        """Store a new document under its ``_id``, if it has one from ``new_ids``, or else under the next of its kind.

        Raises Taken and stores nothing.
        """
        register = self.store.register(kind)
        number = document.get("_id")
        while True:
            if number is None or not register.holds([number]):
                number = (await register.new_ids(1))[0]
            numbered = {**self._own({}), **document, "_id": number}
            try:
                await self.store.insert_one(collection, numbered)
            except Taken as taken:
                if taken.index != "_id_":
                    await register.give_back(number)
                    raise
                register.settle([number])
                number = None  # MongoDB has died, and given this one again
            else:
                register.settle([number])
                return numbered

    async def add(self, collection: str, document: Document) -> None:
        """Store a document that carries its id; raises Taken."""
        with translated():
            await self.store.collection(collection).insert_one(_stored(document))

    async def insert_many(
        self, collection: str, documents: Sequence[Document], common: Document | None = None
    ) -> set[int]:
        """Store new documents, leaving out those a unique index refuses; the ids of those left out.

        The documents carry their ids already. What they have in COMMON is escaped once for all; with it, the rest of
        them must be plain values.
        """
        if common is None:
            stored = [_stored({**self._own({}), **document}) for document in documents]
        else:
            shared = _stored({**self._own({}), **common})
            stored = [{**shared, **document} for document in documents]
        numbers = [document["_id"] for document in stored]
        register = self.store.register(KINDS[collection]) if collection in KINDS else None
        if register is not None and not register.holds(numbers):
            raise Unavailable(f"new {collection} were not stored in time")
        refused = await self._insert_many(collection, stored)
        if register is not None:
            register.settle(numbers)
        return refused

    async def _insert_many(self, collection: str, stored: list[Document]) -> set[int]:
        try:
            with translated():
                await self.store.collection(collection).insert_many(stored, ordered=False)
        except BulkWriteError as error:
            failures = (error.details or {}).get("writeErrors", [])
            if any(failure["code"] != DUPLICATE for failure in failures):
                raise
            if any(_index_of(failure) == "_id_" for failure in failures):
                raise Unavailable("MongoDB has died, and given ids again that it had given before") from None
            return {stored[failure["index"]]["_id"] for failure in failures}
        return set()

    async def update(self, collection: str, condition: Document, change: Document) -> Document | None:
        """Apply CHANGE (names to values) to a document that fits, atomically; it as it then is, or None.

        A name with the value None is set to null. Raises Taken.
        """
        return await self.apply(collection, condition, {"$set": change})

    async def apply(self, collection: str, condition: Document, update: Document) -> Document | None:
        """Like ``update``, with MongoDB's update operators."""
        async with self._announced(collection, [(condition, update)]):
            with translated():
                document = await self.store.collection(collection).find_one_and_update(
                    self._own(condition), _operators(update), return_document=ReturnDocument.AFTER
                )
        return _read(document) if document is not None else None

    async def apply_to(
        self, collection: str, number: int, condition: Document | None = None, update: Document | None = None
    ) -> Document | None:
        """Apply UPDATE to one document if it fits, or just look at it; its BOOKKEEPING, or None if it is gone.

        Cheaper than ``apply`` under load, but does not tell whether it fitted.
        """
        own = self._own({"_id": number, **(condition or {})})
        async with self._announced(collection, [(own, update)] if update else []):
            books = await self.store.update_one(collection, own, _operators(update) if update else None)
        return books if books and self.account_id in (None, books.get("account_id")) else None

    async def swap(self, collection: str, document: Document, change: Document) -> bool:
        """Set CHANGE in a document if nobody has changed it since it was read; whether it was set.

        Each leaves a mark in the document, as what is written together is not answered one by one. Raises Unavailable
        where others have changed the document so often meanwhile that this cannot be told.
        """
        number, version, mark = document["_id"], document.get("_version", 1), secrets.randbits(62)
        update = {
            "$set": {**change, "_version": version + 1},
            "$push": {"_swaps": {"$each": [mark], "$slice": -MAX_SWAPS}},
        }
        books = await self.apply_to(collection, number, {"_version": version}, update)
        if books is None or mark in books.get("_swaps", ()):
            return books is not None
        if books.get("_version", 1) > version + MAX_SWAPS:
            raise Unavailable(f"{collection} {number} is changed by too many at a time")
        return False

    async def update_many(self, collection: str, condition: Document, update: Document) -> int:
        """Apply MongoDB's UPDATE to all that fit; how many were changed."""
        async with self._announced(collection, [(condition, update)]):
            with translated():
                changed = self.store.collection(collection).update_many(self._own(condition), _operators(update))
                return int((await changed).modified_count)

    async def update_each(
        self, collection: str, updates: Iterable[tuple[Document, Document]], *, many: bool = False
    ) -> int:
        """Apply each (condition, update) of UPDATES in one round trip; how many documents were changed."""
        operation = UpdateMany if many else UpdateOne
        updates = list(updates)
        operations = [operation(self._own(condition), _operators(update)) for condition, update in updates]
        if not operations:
            return 0
        async with self._announced(collection, updates):
            with translated():
                result = await self.store.collection(collection).bulk_write(operations, ordered=False)
        return int(result.modified_count)

    async def remove(self, collection: str, condition: Document) -> int:
        """Remove all that fit; how many there were."""
        async with self._announced(collection, [(condition, REMOVAL)]):
            with translated():
                result = await self.store.collection(collection).delete_many(self._own(condition))
        return int(result.deleted_count)

    @asynccontextmanager
    async def _announced(self, collection: str, updates: Sequence[tuple[Document, Document]]) -> AsyncGenerator[None]:
        """Within it (condition, update)s are carried out; those that what is remembered may depend on are announced.

        What fails may still be carried out, so the register is not told that it has ended: see Register.
        """
        conditions = [condition for condition, update in updates if collection in KINDS and announces(update)]
        if not conditions:
            yield
            return
        register = self.store.register(KINDS[collection])
        number = await register.announce(blocks_of(conditions))
        try:
            yield
        except Taken:
            register.changed(number)
            raise
        register.changed(number)

    # What follows keeps references whole without transactions, which a standalone MongoDB lacks. Who deletes
    # marks the document first and looks for what refers to it second; who refers to it stores its reference
    # first and looks for the mark second. Whichever comes first, one of the two sees the other.

    async def mark_deleting(self, collection: str, number: int) -> str:
        """Announce that a document is to be deleted, when no other deletion of it is under way; the token that
        ends it. Raises NotFound, Unavailable.
        """
        token = secrets.token_hex(8)
        for _ in range(DELETE_LOOKS):
            mark = {"token": token, "until": now() + DELETE_LEASE}
            if await self.apply(collection, {"_id": number, **unmarked()}, {"$set": {"_deleting": mark}}):
                return token
            if not await self.exists(collection, {"_id": number}):
                raise NotFound
            await asyncio.sleep(DELETE_LOOK_SECONDS)
        raise Unavailable(f"the deletion of {collection} {number} does not end")

    async def unmark(self, collection: str, number: int, token: str) -> None:
        """Take the announcement back."""
        await self.apply(collection, {"_id": number, "_deleting.token": token}, {"$unset": {"_deleting": ""}})

    async def standing(self, collection: str, numbers: Sequence[int]) -> set[int]:
        """Which of the documents are there and are not being deleted."""
        found = await self._marks(collection, numbers)
        if any(document.get("_deleting") for document in found):
            abandoned = {"_id": {"$in": list(numbers)}, "_deleting.until": {"$lt": now()}}
            await self.update_many(collection, abandoned, {"$unset": {"_deleting": ""}})
            found = await self._marks(collection, numbers)
        return {document["_id"] for document in found if not document.get("_deleting")}

    async def leaving(self, named: Mapping[str, set[int]]) -> dict[str, set[int]]:
        """Which of the documents, by their collections, may be being deleted, or have been; they were there of late.

        It costs the same for a thousand as for one: deletions are few, and each is written down before it is done.
        """
        everyone, named = self.store.everyone, {name: numbers for name, numbers in named.items() if numbers}
        if not named:
            return {}
        # In this order: whose mark is gone with it by now has been written down before.
        marked = {"_deleting.until": {"$exists": True}}
        marks = await asyncio.gather(*(everyone.find(name, marked, fields=["_id"], sort=()) for name in named))
        leaving = {name: {one["_id"] for one in found} for name, found in zip(named, marks, strict=True)}
        deleted = [
            {"collection": name, "number": {"$gte": min(numbers), "$lte": max(numbers)}}
            for name, numbers in named.items()
        ]
        for one in await everyone.find(DELETIONS, {"$or": deleted}, fields=["collection", "number"], sort=()):
            leaving[one["collection"]].add(one["number"])
        return {name: numbers & leaving[name] for name, numbers in named.items()}

    async def _marks(self, collection: str, numbers: Sequence[int]) -> list[Document]:
        if len(numbers) == 1:
            found = await self.first_by(collection, "_id", numbers[0])
            return [] if found is None else [found]
        return await self.find(collection, {"_id": {"$in": list(numbers)}}, fields=["_id", "_deleting"], sort=())
