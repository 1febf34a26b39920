"""How often something has happened lately, by key, over all processes: a sliding window, kept in MongoDB."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo import ReturnDocument

from scfm.storage.database import Database
from scfm.storage.errors import DuplicateKey, map_driver_errors
from scfm.storage.index import Index
from scfm.storage.query import Document

# What has not been marked lately is removed.
RECENT_MARKS_INDEX = Index("expires_at", expires=timedelta())
# A mark may lie so far in the future, in milliseconds, by rounding; others were made before the clock was set back.
CLOCK_SLACK_MS = 1000


@dataclass(frozen=True)
class Mark:
    """One that was set under all of ``keys`` at once."""

    keys: tuple[str, ...]
    number: int


class RecentMarks:
    """Marks by key in COLLECTION, each forgotten after WINDOW. Only the database's clock is asked.

    A key is a document, ``{_id, marks: [{at, number}], expires_at}``, and has no more marks than its limit.
    """

    def __init__(self, database: Database, collection: str, window: timedelta) -> None:
        self._database = database
        self._collection = collection
        self._window = window

    async def seconds_until_below(self, limits: Mapping[str, int]) -> float:
        """In how many seconds each key has fewer marks than its limit; 0 where each has."""
        stages: list[Document] = [
            {"$match": {"_id": {"$in": list(limits)}}},
            {"$set": {"marks": self._recent}},
            {"$project": {"marks.at": 1, "moment": "$$NOW"}},
        ]
        with map_driver_errors():
            cursor = await self._database.collection(self._collection).aggregate(stages)
            found = await cursor.to_list(None)
        return max((self._wait(one, limits[one["_id"]]) for one in found), default=0.0)

    async def add(self, limits: Mapping[str, int]) -> Mark | float:
        """Mark each key, or, where one has as many marks as its limit, none: in how many seconds it has fewer.

        Of those who ask at the same time no more are told of a mark than there is room for.
        """
        mark = Mark(tuple(limits), secrets.randbits(62))
        found = await asyncio.gather(*(self._add(key, limit, mark.number) for key, limit in limits.items()))
        if all(one["is_marked"] for one in found):
            return mark
        await self.remove(mark)
        return max(self._wait(one, limits[one["_id"]]) for one in found if not one["is_marked"])

    async def remove(self, mark: Mark) -> None:
        """Take a mark back, under all of its keys."""
        keys = {"_id": {"$in": list(mark.keys)}}
        with map_driver_errors():
            marks = self._database.collection(self._collection)
            await marks.update_many(keys, {"$pull": {"marks": {"number": mark.number}}})

    async def _add(self, key: str, limit: int, number: int) -> Document:
        milliseconds = self._window.total_seconds() * 1000
        added: Document = {"$concatArrays": ["$marks", [{"at": "$$NOW", "number": number}]]}
        stages: list[Document] = [
            {"$set": {"marks": self._recent}},
            {"$set": {"marks": {"$cond": [{"$lt": [{"$size": "$marks"}, limit]}, added, "$marks"]}}},
            {"$set": {"expires_at": {"$add": [{"$max": "$marks.at"}, milliseconds]}}},
        ]
        shown = {"marks.at": 1, "moment": "$$NOW", "is_marked": {"$in": [number, "$marks.number"]}}
        marks = self._database.collection(self._collection)
        while True:
            try:
                with map_driver_errors():
                    found: Document = await marks.find_one_and_update(
                        {"_id": key}, stages, projection=shown, upsert=True, return_document=ReturnDocument.AFTER
                    )
                    return found
            except DuplicateKey:  # another has inserted it at the same time
                continue

    @property
    def _recent(self) -> Document:
        """A document's marks that are not older than the window."""
        milliseconds = self._window.total_seconds() * 1000
        after: Document = {"$gt": ["$$this.at", {"$subtract": ["$$NOW", milliseconds]}]}
        before: Document = {"$lte": ["$$this.at", {"$add": ["$$NOW", CLOCK_SLACK_MS]}]}
        return {"$filter": {"input": {"$ifNull": ["$marks", []]}, "cond": {"$and": [after, before]}}}

    def _wait(self, found: Document, limit: int) -> float:
        """In how many seconds one more mark has room, of a document with the ``moment`` at which it was read."""
        times: list[Any] = sorted(mark["at"] for mark in found["marks"])
        if len(times) < limit:
            return 0.0
        return float((times[-limit] + self._window - found["moment"]).total_seconds())
