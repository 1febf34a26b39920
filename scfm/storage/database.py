"""The connection to MongoDB: collections, indexes, and answers that are read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, NotPrimaryError, OperationFailure, PyMongoError
from pymongo.write_concern import WriteConcern

from scfm.errors import StartError
from scfm.runtime import telemetry
from scfm.storage import driver
from scfm.storage.errors import map_driver_errors, map_startup_errors
from scfm.storage.index import Index
from scfm.storage.query import Document

# A write is acknowledged when it is in the journal, and, on a replica set, in those of the majority.
DURABLE = WriteConcern(w="majority", j=True)
# One more wait for the disk before each new document would be half of what a caller waits for: see IdAllocator, and
# ``prepare`` for sharded clusters.
NOT_JOURNALED = WriteConcern(w="majority", j=False)
# Bytes of documents that are read and shown at once.
MAX_AT_ONCE = 1 << 20
# The collection of the counters: see counter.
COUNTERS = "counters"
# To make an index over tens of millions of documents takes longer than any other answer may.
MAX_BUILD_SECONDS = 6 * 3600.0
# IndexNotFound; NamespaceNotFound: not even the collection is there.
NO_INDEX = frozenset({26, 27})


class Database:
    """One database of a MongoDB. Every acknowledged write is on disk, but for those to ``collection(COUNTERS)``.

    Those are, too, once ``prepare`` has found a sharded cluster.
    """

    def __init__(self, client: driver.DriverClient, name: str) -> None:
        self.client = client
        self.name = name
        self._database = client.get_database(
            name,
            codec_options=CodecOptions(tz_aware=True),
            # What has been written must be seen by the next read, whatever the URI says.
            read_preference=ReadPreference.PRIMARY,
            write_concern=DURABLE,
        )
        # For writes of the counters that are acknowledged when they are on disk.
        self.durable_counters: driver.Collection = self._database[COUNTERS]
        # To make one anew for every operation costs as much as a tenth of a small request.
        counters: driver.Collection = self._database.get_collection(COUNTERS, write_concern=NOT_JOURNALED)
        self._collections = {COUNTERS: counters}

    @classmethod
    def open(cls, uri: str, name: str) -> Database:
        """The database NAME of the MongoDB at URI; it connects when first used. Raises StartError for a wrong URI."""
        try:
            client = driver.DriverClient(
                uri,
                serverSelectionTimeoutMS=3000,
                connectTimeoutMS=3000,
                # Not timeoutMS, which would wait as long for a server that is not there.
                socketTimeoutMS=60000,
                appname="scfm",
                **_listeners(),
            )
        except (PyMongoError, ValueError) as error:
            raise StartError(f"MONGODB_URI cannot be used: {error}") from None
        try:
            return cls(client, name)
        except PyMongoError as error:
            raise StartError(f"MONGODB_DATABASE cannot be used: {error}") from None

    async def close(self) -> None:
        """Let go of every connection."""
        await self.client.close()

    def collection(self, name: str) -> driver.Collection:
        """The MongoDB collection of that name."""
        if name not in self._collections:
            self._collections[name] = self._database[str(name)]
        return self._collections[name]

    async def ping(self) -> None:
        """Return when the database answers; raises Unavailable, or StartError if it does not let us in."""
        with map_startup_errors(), map_driver_errors():
            await self.client.admin.command("ping")

    async def prepare(
        self, indexes: Mapping[str, Sequence[Index]], obsolete: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Make the indexes that are missing; INDEXES maps a collection to those it needs.

        OBSOLETE maps a collection to the names of indexes of older versions, which are dropped when all others are
        there, so that what is unique is so at any time; a process that dies in between leaves it to the next start.
        Others go on reading and writing meanwhile. Raises StartError for a database that does not let us in, or that
        has them in another form.
        """
        with map_startup_errors(), map_driver_errors():
            hello = await self.client.admin.command("hello")
            if hello.get("msg") == "isdbgrid":
                # A sharded cluster: what has an id may be on another shard than the counter, and on disk before it.
                self._collections[COUNTERS] = self.durable_counters
            with pymongo.timeout(MAX_BUILD_SECONDS):
                for collection, wanted in indexes.items():
                    await self.collection(collection).create_indexes([index.model() for index in wanted])
            for collection, names in (obsolete or {}).items():
                for name in names:
                    await self._drop_index(collection, name)

    async def collection_names(self) -> list[str]:
        """The names of all collections, without MongoDB's own."""
        with map_driver_errors():
            found: list[str] = await self._database.list_collection_names()
        return sorted(name for name in found if not name.startswith("system."))

    async def _drop_index(self, collection: str, name: str) -> None:
        try:
            await self.collection(collection).drop_index(name)
        except OperationFailure as error:
            if error.code not in NO_INDEX:  # another process may have been faster
                raise

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
        if cursor_id := answer["cursor"]["id"]:
            await self._database.command({"killCursors": collection, "cursors": [cursor_id]})
        return None

    def raw_collection(self, name: str) -> driver.Collection:
        """The collection of that name, whose documents are for ``driver.decoded``."""
        raw: driver.Collection = self._database.get_collection(name, codec_options=driver.RAW)
        return raw


def _listeners() -> dict[str, Any]:
    """Who hears of commands, as an option of the driver: nobody, unless traces are wanted."""
    if (spans := telemetry.spans()) is None:
        return {}
    from scfm.storage.command_spans import CommandSpans  # noqa: PLC0415 (OpenTelemetry may not be installed)

    return {"event_listeners": [CommandSpans(spans)]}
