"""A database of an older version gets the indexes of this one while it is used: what is unique is so at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pymongo import ASCENDING, IndexModel, MongoClient
from pymongo.database import Database as Documents
from pymongo.errors import DuplicateKeyError
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.registry import OBSOLETE_INDEXES, counted_fields, indexes
from scfm.storage.database import COUNTERS, Database
from scfm.storage.store import Store

DATABASE = "upgraded"
REQUEST = {"_request": {"$gt": ""}}
CALL = ("create_batch_operation_id", "callout_participation_id")
# The unique indexes of the version before this: by collection, their fields and over which documents they are.
BEFORE: dict[str, list[tuple[Sequence[str], dict[str, Any] | None]]] = {
    "contacts": [(["_request"], REQUEST)],
    "callout_participations": [
        (["callout_id", "contact_id"], None),
        (["callout_id", "msisdn"], None),
        (["_request"], REQUEST),
    ],
    "phone_calls": [(CALL, {"create_batch_operation_id": {"$gt": 0}}), (["_request"], REQUEST)],
}
# How the version before found the calls that were due.
WORK_BEFORE = IndexModel(
    [("status", ASCENDING), ("account_id", ASCENDING), ("_work.due", ASCENDING)],
    name="work",
    partialFilterExpression={"_work.due": {"$exists": True}},
)


@pytest.fixture
def database(mongod: PrivateMongod) -> Iterator[Documents[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[DATABASE]
        client.drop_database(DATABASE)


@pytest.fixture
def store(mongod: PrivateMongod, io_loop: IOLoop) -> Iterator[Store]:
    store = Store.open(mongod.uri, DATABASE, counted_fields())
    yield store
    io_loop.run_sync(store.close)


def start_older(database: Documents[dict[str, Any]]) -> None:
    """Make the indexes that a process of the version before makes when it starts."""
    for collection, wanted in BEFORE.items():
        models = []
        for fields, only in wanted:
            name = "unique_" + "_".join(field.strip("_") for field in fields)
            options = {"partialFilterExpression": only} if only else {}
            models.append(IndexModel([(field, ASCENDING) for field in fields], name=name, unique=True, **options))
        database[collection].create_indexes(models)
    database.phone_calls.create_indexes([WORK_BEFORE])


def names(database: Documents[dict[str, Any]]) -> dict[str, set[str]]:
    """By collection, the names of its indexes."""
    return {name: set(database[name].index_information()) - {"_id_"} for name in database.list_collection_names()}


def declared() -> dict[str, set[str]]:
    return {collection: {index.name for index in wanted} for collection, wanted in indexes().items()}


async def test_indexes_of_an_older_version_are_replaced(database: Documents[dict[str, Any]], store: Store) -> None:
    start_older(database)
    database.callout_participations.insert_one({"_id": 1, "account_id": 1, "callout_id": 2, "contact_id": 3})
    await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    assert names(database) == declared()
    with pytest.raises(DuplicateKeyError):
        database.callout_participations.insert_one({"_id": 2, "account_id": 1, "callout_id": 2, "contact_id": 3})


async def test_the_new_are_made_before_the_old_are_dropped_and_the_next_start_goes_on(
    database: Documents[dict[str, Any]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(Exception):
        pass

    async def die(*_: Any) -> None:
        raise Death

    start_older(database)
    before = names(database)
    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(Database, "_drop_index", die)
        await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    between = names(database)
    assert all(between[name] >= declared()[name] | before.get(name, set()) for name in declared())
    await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    assert names(database) == declared()


async def test_a_process_of_an_older_version_can_start_beside_a_newer_one(
    database: Documents[dict[str, Any]], store: Store
) -> None:
    await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    start_older(database)
    await store.database.prepare(indexes(), OBSOLETE_INDEXES)
    assert names(database) == declared()


async def test_ids_are_on_disk_before_they_are_used_where_a_document_may_be_on_another_shard(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mongos:
        async def command(self, name: str) -> dict[str, str]:
            assert name == "hello"
            return {"msg": "isdbgrid"}

    await store.database.prepare({})
    assert store.database.collection(COUNTERS).write_concern.document == {"w": "majority", "j": False}
    monkeypatch.setattr(type(store.database.client), "admin", Mongos(), raising=False)
    await store.database.prepare({})
    assert store.database.collection(COUNTERS).write_concern.document == {"w": "majority", "j": True}
