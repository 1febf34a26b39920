"""The store: how the rest of the program comes to the documents in MongoDB.

A ``TenantView`` is how it reads and writes them: ``store.for_account(id)`` sees one account and nothing else, and
leads nowhere else; ``store.all_tenants`` is for what belongs to no account (tokens by digest, work by status).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument

from scfm.storage.backend import Backend
from scfm.storage.counted_fields import CountedFields
from scfm.storage.database import Database
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document
from scfm.storage.tenant_view import TenantView

# What a reservation may end later than it can by rounding, in milliseconds.
CLOCK_SLACK_MS = 1000


class Store:
    """The database. Open one per process with ``Store.open``; ``close`` it at the end."""

    def __init__(self, database: Database, counted: Mapping[str, CountedFields]) -> None:
        """COUNTED: by collection, what those declare whose totals are remembered."""
        self.database = database
        self.backend = Backend(database, counted)
        self.counters = self.backend.counters
        self.written = self.backend.written
        self.watchers = self.backend.watchers
        self.all_tenants = TenantView(self.backend, None)

    @classmethod
    def open(cls, uri: str, database: str, counted: Mapping[str, CountedFields]) -> Store:
        """A store on the MongoDB at URI. Connects when first used; raises StartError for a URI it cannot read."""
        return cls(Database.open(uri, database), counted)

    async def quiesce(self) -> None:
        """Leave word that this process has nothing under way, for those who count after it."""
        await self.counters.quiesce()

    async def close(self) -> None:
        """Let go of every connection."""
        self.counters.close()
        await self.database.close()

    def for_account(self, account_id: int) -> TenantView:
        """The documents of one account, and no others."""
        return TenantView(self.backend, account_id)

    async def reserve(self, collection: str, key: int | str, count: float, rate: float, most: float) -> float:
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
            found = await self.database.collection(collection).find_one_and_update(
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
