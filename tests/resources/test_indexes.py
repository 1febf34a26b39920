"""Every index as MongoDB has it, against indexes.json: an older database has these, and queries need them.

Whoever changes an index on purpose changes the list with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.registry import counted_fields, indexes
from scfm.storage.store import Store

LISTED = Path(__file__).parent / "indexes.json"
DATABASE = "indexes"


def made(client: MongoClient[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By collection, its indexes by name, without the one of ids, which every collection has."""
    database = client[DATABASE]
    found = {}
    for collection in sorted(database.list_collection_names()):
        known = [{**index, "key": dict(index["key"])} for index in database[collection].list_indexes()]
        wanted = [{name: index[name] for name in index if name != "v"} for index in known if index["name"] != "_id_"]
        found[collection] = sorted(wanted, key=lambda index: str(index["name"]))
    return found


async def test_the_indexes_are_those_that_are_listed(mongod: PrivateMongod) -> None:
    store = Store.open(mongod.uri, DATABASE, counted_fields())
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        try:
            await store.database.prepare(indexes())
            assert made(client) == json.loads(LISTED.read_text())
        finally:
            client.drop_database(DATABASE)
            await store.close()
