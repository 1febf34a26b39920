"""Whoever holds the view of an account has no way to another account's documents, by whatever verb and condition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from inspect import signature
from typing import Any

import pytest

from scfm.errors import NotFound, Unavailable
from scfm.models.references import DELETIONS
from scfm.models.registry import counted_fields
from scfm.storage.block_tallies import Tally
from scfm.storage.compare_and_set import compare_and_set
from scfm.storage.database import Database
from scfm.storage.driver import Collection, DriverClient
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import ACCOUNT_COLLECTION, Document, Query, owner_field
from scfm.storage.store import Store
from scfm.storage.tenant_list import TenantList
from scfm.storage.tenant_view import TenantView

OURS, THEIRS = 1, 2
SECRET = "theirs"
# Of each kind: totals are remembered, they are not, the accounts themselves, a register that no client sees.
COLLECTIONS = ("contacts", "callouts", "users", ACCOUNT_COLLECTION, DELETIONS)
OWNED = [name for name in COLLECTIONS if name != ACCOUNT_COLLECTION]
CHANGE: Document = {"$set": {"metadata": {"stolen": True}}}
# What names their documents: each gets one of them.
CONDITIONS: dict[str, Callable[[Document], Document]] = {
    "everything": lambda _: {},
    "id": lambda it: {"_id": it["_id"]},
    "ids": lambda it: {"_id": {"$in": [it["_id"]]}},
    "account": lambda it: {"account_id": THEIRS},
    "account and id": lambda it: {"account_id": THEIRS, "_id": it["_id"]},
    "accounts": lambda it: {"account_id": {"$in": [OURS, THEIRS]}, "_id": it["_id"]},
    "any account": lambda it: {"account_id": {"$exists": True}, "_id": it["_id"]},
    "either": lambda it: {"$or": [{"account_id": THEIRS}, {"_id": it["_id"]}]},
    "all of": lambda it: {"$and": [{"account_id": THEIRS}, {"_id": it["_id"]}]},
    "value": lambda it: {"secret": SECRET},
}

Deed = Callable[[TenantView, str, Document, Document], Awaitable[Any]]


async def batches(view: TenantView, query: Query) -> list[Document]:
    return [one async for some in view.list_of(query).batches(0, 10) for one in some]


async def pieces(view: TenantView, query: Query) -> list[Document]:
    return [one async for some in view.list_of(query).pieces() for one in some]


async def tallied(view: TenantView, asked: Query) -> int:
    if asked.collection not in counted_fields():
        return 0
    every = Tally(
        "every", {"_id": 1}, (), {"secret": "$secret"}, {"count": {"$sum": 1}}, lambda it: [((), it["count"])]
    )
    return (await view.list_of(asked).tallied(every)).counts.total()


async def swapped(view: TenantView, collection: str, theirs: Document) -> list[Document]:
    return [theirs] if await compare_and_set(view, collection, theirs, {"metadata": {"stolen": True}}) else []


# By verb, what it is tried with: it gets the view, a collection, their document in it, and a condition that names it.
READS: dict[str, Deed] = {
    "get": lambda view, name, it, _: view.get(name, it["_id"]),
    "first_by": lambda view, name, it, _: view.first_by(name, "secret", SECRET),
    "all_with_references": lambda view, name, it, _: view.all_with_references(name, "secret", SECRET, {}),
    "find_one": lambda view, name, it, condition: view.find_one(name, {"secret": SECRET, **condition}),
    "find": lambda view, name, it, condition: view.find(name, {"secret": SECRET, **condition}),
    "exists": lambda view, name, it, condition: view.exists(name, {"secret": SECRET, **condition}),
    "page_with_total": lambda view, name, it, condition: view.list_of(query(name, condition)).page_with_total(0, 10),
    "page": lambda view, name, it, condition: view.list_of(query(name, condition)).page(0, 10),
    "count": lambda view, name, it, condition: view.list_of(query(name, condition)).count(),
    "tallied": lambda view, name, it, condition: tallied(view, query(name, condition)),
    "pieces": lambda view, name, it, condition: pieces(view, query(name, condition)),
    "batches": lambda view, name, it, condition: batches(view, query(name, condition)),
}
WRITES: dict[str, Deed] = {
    "update_one": lambda view, name, it, condition: view.update_one(name, {"secret": SECRET, **condition}, CHANGE),
    "update_batched": lambda view, name, it, condition: view.update_batched(name, it["_id"], condition, CHANGE),
    "compare_and_set": lambda view, name, it, _: swapped(view, name, it),
    "update_many": lambda view, name, it, condition: view.update_many(name, {"secret": SECRET, **condition}, CHANGE),
    "bulk_update": lambda view, name, it, condition: view.bulk_update(
        name, [({"secret": SECRET, **condition}, CHANGE)], many=True
    ),
    "remove": lambda view, name, it, condition: view.remove(name, {"secret": SECRET, **condition}),
}
INSERTS: dict[str, Callable[[TenantView, str, Document], Awaitable[Any]]] = {
    "insert": lambda view, name, new: view.insert(name, new),
    "insert under the next id": lambda view, name, new: view.insert(name, new, name),
    "insert_many": lambda view, name, new: view.insert_many(name, [new]),
}
# It says of a value whether it is taken, and nothing else.
TELLS_NOTHING = {"is_taken"}


def query(collection: str, condition: Document) -> Query:
    """What they alone have, asked in their name."""
    return Query(collection, ({"secret": SECRET}, condition), account_id=THEIRS)


async def furnish(store: Store) -> dict[str, Document]:
    """Two accounts with a document in each collection; theirs, by collection."""
    theirs: dict[str, Document] = {}
    for account_id in (OURS, THEIRS):
        for number, collection in enumerate(COLLECTIONS, 1):
            new = {"_id": 10 * account_id + number, "account_id": account_id, "_version": 1, "metadata": {}}
            new |= {"msisdn": f"+1555000{account_id}", "email": f"{account_id}@example.org"}
            if collection == ACCOUNT_COLLECTION:
                del new["account_id"]
                new["_id"] = account_id
            if account_id == THEIRS:
                theirs[collection] = {**new, "secret": SECRET}
                new = theirs[collection]
            await store.all_tenants.insert(collection, new)
    return theirs


async def everything_of(store: Store, account_id: int) -> dict[str, list[Document]]:
    return {name: await store.all_tenants.find(name, {owner_field(name): account_id}) for name in COLLECTIONS}


VERBS = {
    name: getattr(owner, name)
    for owner in (TenantView, TenantList)
    for name in dir(owner)
    if not name.startswith("_") and not isinstance(getattr(owner, name), property)  # which asks the database nothing
}


def test_every_verb_is_tried() -> None:
    tried = {*READS, *WRITES, *INSERTS, *TELLS_NOTHING} - {"compare_and_set", "insert under the next id"}
    assert VERBS.keys() == tried | {"list_of"}


@pytest.mark.parametrize("name", VERBS)
def test_no_verb_takes_an_account(name: str) -> None:
    assert not [parameter for parameter in signature(VERBS[name]).parameters if "account" in parameter]


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("verb", [*READS, *WRITES])
async def test_a_verb_finds_and_changes_nothing_of_anothers(store: Store, verb: str, collection: str) -> None:
    theirs = await furnish(store)
    before, view = await everything_of(store, THEIRS), store.for_account(OURS)
    deed = {**READS, **WRITES}[verb]
    for name, condition in CONDITIONS.items():
        try:
            reached = await deed(view, collection, theirs[collection], condition(theirs[collection]))
        except NotFound:
            reached = None
        assert reached in (None, [], 0, ([], 0)), name
        assert await everything_of(store, THEIRS) == before, name


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_a_view_of_all_accounts_reaches_what_these_conditions_name(store: Store, collection: str) -> None:
    """Else the test above would say little."""
    theirs = (await furnish(store))[collection]
    for name, condition in CONDITIONS.items():
        asked = {"secret": SECRET, **condition(theirs)}
        if collection != ACCOUNT_COLLECTION or "account_id" not in str(asked):
            assert await store.all_tenants.find(collection, asked) == [theirs], name


@pytest.mark.parametrize("collection", OWNED)
@pytest.mark.parametrize("verb", INSERTS)
async def test_what_is_stored_is_ones_own_whatever_it_says(store: Store, verb: str, collection: str) -> None:
    await furnish(store)
    before, view = await everything_of(store, THEIRS), store.for_account(OURS)
    new = {"_id": 99, "account_id": THEIRS, "msisdn": "+15550009", "email": "9@example.org", "planted": True}
    try:
        await INSERTS[verb](view, collection, dict(new))
    except Unavailable:  # the id was not allocated
        assert (verb, collection) == ("insert_many", "contacts")
        return
    assert [one["account_id"] for one in await store.all_tenants.find(collection, {"planted": True})] == [OURS]
    assert await everything_of(store, THEIRS) == before


@pytest.mark.parametrize("verb", INSERTS)
async def test_no_account_is_made_by_the_view_of_another(store: Store, verb: str) -> None:
    await furnish(store)
    for number in (OURS, THEIRS, 99):
        with pytest.raises(ValueError, match="stored by the view of all of them"):
            await INSERTS[verb](store.for_account(OURS), ACCOUNT_COLLECTION, {"_id": number})
    assert len(await store.all_tenants.find(ACCOUNT_COLLECTION, {})) == 2


@pytest.mark.parametrize("collection", OWNED)
async def test_an_id_that_is_anothers_is_not_overwritten(store: Store, collection: str) -> None:
    theirs = await furnish(store)
    with pytest.raises(DuplicateKey):
        await store.for_account(OURS).insert(collection, {**theirs[collection], "metadata": {"stolen": True}})
    assert await store.all_tenants.get(collection, theirs[collection]["_id"]) == theirs[collection]


async def test_an_account_sees_and_changes_itself(store: Store) -> None:
    await furnish(store)
    view = store.for_account(OURS)
    own = await view.get(ACCOUNT_COLLECTION, OURS)
    assert own["_id"] == OURS and await view.find(ACCOUNT_COLLECTION, {}) == [own]
    assert await view.list_of(Query(ACCOUNT_COLLECTION)).page_with_total(0, 10) == ([own], 1)
    assert await view.update_one(ACCOUNT_COLLECTION, {"_id": OURS}, CHANGE) == {**own, "metadata": {"stolen": True}}
    assert await view.find(ACCOUNT_COLLECTION, {"_id": {"$in": [OURS, THEIRS]}}, fields=["_id"]) == [{"_id": OURS}]


async def test_whether_a_value_is_taken_is_told_of_values_alone(store: Store) -> None:
    theirs, view = (await furnish(store))["users"], store.for_account(OURS)
    assert await view.is_taken("users", {"email": theirs["email"]}, None)
    assert not await view.is_taken("users", {"email": theirs["email"]}, theirs["_id"])
    for guess in ({"$gt": ""}, {"$regex": "."}, {"$ne": None}, {"$exists": True}):
        assert not await view.is_taken("users", {"email": guess}, None)


async def test_nothing_that_a_view_holds_leads_to_the_store_or_to_another_view(store: Store) -> None:
    view = store.for_account(OURS)
    await furnish(store)
    await view.list_of(Query("contacts")).count()
    found = list(held(view))
    assert not [one for one in found if isinstance(one, Store) or (isinstance(one, TenantView) and one is not view)]
    # It works with the database; but who holds it comes there by no name that is meant for them.
    assert any(isinstance(one, Database) for one in found)
    assert not [one for one in held(view, private=False) if isinstance(one, Database | DriverClient | Collection)]


def held(root: Any, *, private: bool = True) -> Iterator[Any]:
    """All objects of ours that attributes lead to, through lists and mappings; or, if not PRIVATE, public ones."""
    seen, waiting = set(), [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple | set):
            waiting += one
        elif type(one).__module__.startswith("scfm"):
            yield one
            if not isinstance(one, DriverClient | Collection):
                names = vars(one) if hasattr(one, "__dict__") else ()
                waiting += [getattr(one, name) for name in names if private or not name.startswith("_")]
