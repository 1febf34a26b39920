"""How much of a collection is due, and since when: for ``GET /metrics``."""

from __future__ import annotations

from typing import Any, NamedTuple

from scfm.storage.database import Database
from scfm.storage.errors import map_driver_errors
from scfm.storage.query import Document

# No more documents than that are counted: a scrape must not cost what an alert needs.
MAX_COUNTED = 100_000


class DueWork(NamedTuple):
    """How many documents there are, up to MAX_COUNTED, and the least value of a field of theirs; None without any."""

    depth: int
    oldest: Any


async def due_work(
    database: Database, collection: str, condition: Document, field: str, *, index: str | None, milliseconds: int
) -> DueWork:
    """What fits CONDITION, of all accounts, with the least of FIELD.

    INDEX is the name of one that has all of that, where MongoDB would choose another. MongoDB gives up after
    MILLISECONDS; then, and where it cannot be reached, raises Unreachable.
    """
    pipeline: list[Document] = [
        {"$match": condition},
        {"$limit": MAX_COUNTED},
        {"$group": {"_id": None, "depth": {"$sum": 1}, "oldest": {"$min": f"${field}"}}},
    ]
    chosen = {"hint": index} if index else {}
    with map_driver_errors():
        cursor = await database.collection(collection).aggregate(pipeline, maxTimeMS=milliseconds, **chosen)
        found = await cursor.to_list(1)
    return DueWork(int(found[0]["depth"]), found[0]["oldest"]) if found else DueWork(0, None)
