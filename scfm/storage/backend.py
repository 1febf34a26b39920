"""What all views of one process share: the database, batches, registers, counts, and the limits of reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from pymongo import ReturnDocument

from scfm.runtime.turns import AccountTurns
from scfm.storage.block_counts import Counts, Span
from scfm.storage.counted_fields import CountedFields
from scfm.storage.database import Database
from scfm.storage.document_batches import DocumentBatches
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document, Query
from scfm.storage.register import BLOCK, Register, State

# How large an answer is shows when it has come, and it may have 16 MB: so many of an account's come at once.
MAX_READS, MAX_READ_WAIT = 16, 20.0
# Batches of an account's imports that are stored at once: two keep MongoDB busy.
MAX_IMPORTS = 2


class Backend:
    """The layers below a TenantView, one of each in a process. Of no account: what is found is anyone's."""

    def __init__(self, database: Database, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self.database = database
        self.counted = counted
        self.batches = DocumentBatches(database)
        self._registers: dict[str, Register] = {}
        self.counts = Counts(counted, self._look, self._count, self._count_blocks)
        self.reads = AccountTurns("large lists and exports are being read", MAX_READS, MAX_READ_WAIT)
        self.imports = AccountTurns("batches are being imported", MAX_IMPORTS)

    async def rest(self) -> None:
        """Leave word that this process has nothing under way: see Register."""
        for register in self._registers.values():
            await register.rest()

    def register(self, kind: str) -> Register:
        """The register of a kind of resource."""
        if kind not in self._registers:
            self._registers[kind] = Register(partial(self._write_register, kind), partial(self._read_register, kind))
        return self._registers[kind]

    async def _write_register(
        self, kind: str, pipeline: list[Document], projection: Document, durable: bool
    ) -> Document:
        with map_driver_errors():
            counters = self.database.durable_counters if durable else self.database.collection("counters")
            return await counters.find_one_and_update(
                {"_id": kind}, pipeline, projection, upsert=True, return_document=ReturnDocument.AFTER
            )

    async def _read_register(self, kind: str) -> Document | None:
        with map_driver_errors():
            return await self.database.collection("counters").find_one({"_id": kind})

    async def _look(self, collection: str) -> State:
        return await self.register(self.counted[collection].kind).state()

    async def _count(self, query: Query, span: Span) -> int:
        with map_driver_errors():
            return int(await self.database.collection(query.collection).count_documents(query.within([span])))

    async def _count_blocks(self, query: Query, spans: Sequence[Span]) -> dict[int, int]:
        block: Document = {"$floor": {"$divide": ["$_id", BLOCK]}}
        pipeline = [{"$match": query.within(spans)}, {"$group": {"_id": block, "total": {"$sum": 1}}}]
        with map_driver_errors():
            cursor = await self.database.collection(query.collection).aggregate(pipeline, allowDiskUse=True)
            found = await cursor.to_list(None)
        return {int(one["_id"]): one["total"] for one in found}
