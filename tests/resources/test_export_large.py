"""Exports of contacts of any size: what is held at a time is bounded by bytes, and nobody is left out."""

from __future__ import annotations

import gc
import json
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from scfm.models.contact import CONTACTS
from scfm.storage.large_page import MAX_PIECE
from scfm.storage.store import Store
from scfm.storage.tenant_list import MIN_PIECE
from tests.resources.conftest import Documents
from tests.server import Client

SMALL, LARGE = 100, 300_000


async def fill(store: Store, sizes: list[int]) -> list[int]:
    """Contacts of account 1 with metadata of these sizes; their ids."""
    documents = [
        {"_id": number, "account_id": 1, "msisdn": f"+2526623{number:05}", "metadata": {"a": "x" * size}}
        for number, size in enumerate(sizes, 1)
    ]
    collection = store.database.collection(CONTACTS.collection)
    await collection.delete_many({})
    if documents:
        await collection.insert_many(documents)
    return [int(document["_id"]) for document in documents]


async def pieces(store: Store, fields: list[str] | None = None) -> list[list[dict[str, Any]]]:
    return [piece async for piece in store.for_account(1).list_of(CONTACTS.query()).pieces(fields)]


@pytest.mark.gen_test(timeout=300)
@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [LARGE],
        [SMALL] * 3000,
        [LARGE] * 40,
        [*[SMALL] * 1500, *[LARGE] * 30, *[SMALL] * 1500],
        [SMALL, LARGE] * 30,
    ],
)
async def test_pieces_have_all_in_order_and_no_more_bytes_than_one_document_beyond_the_bound(
    store: Store, sizes: list[int]
) -> None:
    numbers = await fill(store, sizes)
    found = await pieces(store)
    assert [one["_id"] for piece in found for one in piece] == numbers
    for piece in found:
        assert piece
        assert sum(len(bson.encode(one)) for one in piece[:-1]) < MAX_PIECE
    # Small ones are not asked for a few at a time.
    assert len(found) <= 6 + sum(sizes) // MAX_PIECE + len(sizes) // 200 + 2 * sizes.count(LARGE)


async def test_pieces_have_the_fields_that_are_named(store: Store) -> None:
    await fill(store, [SMALL] * (MIN_PIECE + 1))
    for piece in await pieces(store, ["msisdn"]):
        assert all(one.keys() == {"_id", "msisdn"} for one in piece)


async def test_nothing_but_a_piece_is_held_while_it_is_used(store: Store) -> None:
    await fill(store, [LARGE] * MIN_PIECE)
    async for _ in store.for_account(1).list_of(CONTACTS.query()).pieces():
        assert not [one for one in gc.get_objects() if type(one) is RawBSONDocument]


async def test_what_is_deleted_or_made_meanwhile_shifts_nothing(store: Store) -> None:
    numbers = await fill(store, [SMALL] * 100)
    seen: list[int] = []
    collection = store.database.collection(CONTACTS.collection)
    async for piece in store.for_account(1).list_of(CONTACTS.query()).pieces():
        seen += [one["_id"] for one in piece]
        await collection.delete_many({"_id": {"$in": [seen[0], seen[-1]]}})
        if len(seen) < len(numbers):
            made = 1000 + len(seen)
            await collection.insert_one({"_id": made, "account_id": 1, "msisdn": str(made), "metadata": {}})
    assert seen[: len(numbers)] == numbers
    assert len(set(seen)) == len(seen)


def test_large_and_small_contacts_are_exported_alike(api: Client, database: Documents) -> None:
    values: list[dict[str, Any]] = [
        {"a": "x" * 40_000, "b.c": number} if number % 7 == 0 else {"$d": number} for number in range(60)
    ]
    for number, metadata in enumerate(values):
        assert api.post("/api/contacts", json={"msisdn": f"+2526623{number:05}", "metadata": metadata}).status == 201
    listed = api.get("/api/contacts?per_page=1000").json
    exported = api.get("/api/contacts/export?format=jsonl").json
    assert [json.loads(line) for line in exported.splitlines()] == listed
    rows = api.get("/api/contacts/export").json.split("\r\n")
    assert rows[0] == "msisdn,a,b\\.c,$d"
    assert len(rows) == 62
