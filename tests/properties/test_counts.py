"""Totals and pages are what a walk over every document finds, whoever writes, fails, waits or dies meanwhile.

Several processes share a database; blocks are small, so that a few documents fill many.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import Unavailable
from scfm.models.registry import counted_fields
from scfm.storage import block_counts, block_watch, change_log, counter, id_allocator, tenant_list
from scfm.storage.errors import DuplicateKey
from scfm.storage.large_page import LargePage
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.conftest import DATABASE

BLOCK = 4
OURS, THEIRS = 1, 2
ROUNDS, ACTS, PROCESSES = 12, 8, 3
CONDITIONS: tuple[Document, ...] = (
    {},
    {"metadata.gender": "f"},
    {
        "$or": [{"metadata.gender": {"$eq": "f", "$type": ["string"]}}],
        "$nor": [{"metadata.gender": {"$type": "array"}}],
    },
    {"metadata.rare": "yes"},
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (change_log, block_watch, block_counts, tenant_list):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(counter, "MAX_DIRTY_BLOCKS", 20)


class World:
    """Some processes on one database, and what has been asked of it and been acknowledged."""

    def __init__(self, seed: int, opened: Callable[[], Store]) -> None:
        self.random = random.Random(seed)
        self._opened = opened
        self.stores = [opened() for _ in range(PROCESSES)]
        self.dead: list[Store] = []
        self.begun = {"insert": 0, "delete": 0}
        self.done = {"insert": 0, "delete": 0}
        self.numbers = iter(range(10**9))

    def view(self) -> TenantView:
        return self.random.choice(self.stores).for_account(OURS)

    def contact(self) -> Document:
        # Some are taken already.
        number = self.random.choice([next(self.numbers), self.random.randrange(20)])
        metadata = {"gender": self.random.choice("fm"), **({"rare": "yes"} if self.random.random() < 0.02 else {})}
        return {"msisdn": f"+1555{number:07}", "metadata": metadata, "_version": 1}

    async def insert(self) -> None:
        self.begun["insert"] += 1
        try:
            await self.view().insert("contacts", self.contact(), "contact")
        except DuplicateKey:
            self.begun["insert"] -= 1
        else:
            self.done["insert"] += 1

    async def insert_many(self) -> None:
        view, wanted = self.view(), [self.contact() for _ in range(self.random.randrange(1, 3 * BLOCK))]
        self.begun["insert"] += len(wanted)
        ids = await view.counters.ids("contact").allocate(len(wanted))
        await asyncio.sleep(self.random.random() * 0.02)
        documents = [{"_id": number, **one} for number, one in zip(ids, wanted, strict=True)]
        refused = await view.insert_many("contacts", documents)
        self.begun["insert"] -= len(refused)
        self.done["insert"] += len(wanted) - len(refused)

    async def theirs(self) -> None:
        view = self.random.choice(self.stores).for_account(THEIRS)
        with suppress(DuplicateKey):
            await view.insert("contacts", self.contact(), "contact")

    async def some(self) -> int:
        last = next(self.numbers)
        return self.random.randrange(1, last + 10)

    async def change(self) -> None:
        number = await self.some()
        await self.view().update_one("contacts", {"_id": number}, {"$set": {"metadata": self.contact()["metadata"]}})

    async def change_path(self) -> None:
        await self.view().update_one(
            "contacts", {"_id": await self.some()}, {"$set": {"metadata.gender": self.random.choice("fm")}}
        )

    async def change_many(self) -> None:
        updates = [({"_id": await self.some()}, {"$set": {"metadata": self.contact()["metadata"]}}) for _ in range(3)]
        await self.view().bulk_update("contacts", updates)

    async def remember(self) -> None:
        await self.view().update_one(
            "contacts", {"_id": await self.some()}, {"$set": {"metadata.call_flow_data": {"a": {"b": 1}}}}
        )

    async def delete(self) -> None:
        self.begun["delete"] += 1
        removed = await self.view().remove("contacts", {"_id": await self.some()})
        self.begun["delete"] += removed - 1
        self.done["delete"] += removed

    async def delete_some(self) -> None:
        self.begun["delete"] += 3
        removed = await self.view().remove("contacts", {"_id": {"$in": [await self.some() for _ in range(3)]}})
        self.begun["delete"] += removed - 3
        self.done["delete"] += removed

    async def change_all(self) -> None:
        if self.random.random() < 0.1:
            await self.view().update_many("contacts", {"metadata.gender": "m"}, {"$set": {"metadata.gender": "f"}})

    async def die(self) -> None:
        """A process ends with ids that it never used and a change that it never carried out, or did not say so."""
        dying = self.random.choice(self.stores)
        self.stores[self.stores.index(dying)] = self._opened()
        self.dead.append(dying)
        await dying.counters.ids("contact").allocate(self.random.randrange(1, 2 * BLOCK))
        number = await self.some()
        await dying.counters.changes("contact").begin_change([number // BLOCK])
        if self.random.random() < 0.5:
            change = {"$set": {"metadata.gender": self.random.choice("fm")}}
            await dying.database.collection("contacts").update_one({"_id": number}, change)

    async def count(self) -> None:
        """Whoever counts meanwhile finds what was there before, but for what may have gone, and nothing else."""
        before = dict(self.done)
        total = await self.view().list_of(Query("contacts")).count()
        assert before["insert"] - self.begun["delete"] <= total <= self.begun["insert"] - before["delete"]

    async def act(self) -> None:
        often = (self.insert, self.insert, self.insert_many, self.insert_many, self.insert_many, self.count)
        seldom = (self.change, self.change_path, self.change_many, self.remember, self.delete, self.delete_some)
        rare = (self.theirs, self.change_all, self.die)
        await self.random.choice(self.random.choice((often, often, often, seldom, seldom, rare)))()

    async def check(self) -> None:
        """Everybody finds the same, and finds it where it is."""
        for store in self.stores:
            condition = self.random.choice(CONDITIONS)
            account = self.random.choice((OURS, OURS, OURS, THEIRS, None))
            view = store.all_tenants if account is None else store.for_account(account)
            found = await view.find("contacts", condition)
            skip, limit = self.random.randrange(len(found) + 3 * BLOCK), self.random.randrange(1, 3 * BLOCK)
            query = Query("contacts", (condition,) if condition else ())
            page = found[skip : skip + limit]
            assert await view.list_of(query).page_with_total(skip, limit) == (page, len(found)), (
                query,
                skip,
            )

    async def close(self) -> None:
        for store in (*self.stores, *self.dead):
            await store.quiesce()
            await store.close()


@pytest.fixture
def world_of(io_loop: IOLoop, mongod: PrivateMongod, store: Store) -> Iterator[Callable[[int], World]]:
    worlds: list[World] = []

    def opened() -> Store:
        return Store.open(mongod.uri, DATABASE, counted_fields())

    def build(seed: int) -> World:
        worlds.append(World(seed, opened))
        return worlds[-1]

    yield build
    for world in worlds:
        io_loop.run_sync(world.close)


FEMALE = Query("contacts", ({"metadata.gender": "f"},))


async def people(view: TenantView, count: int) -> list[int]:
    """So many contacts with the gender f; their ids."""
    ids = await view.counters.ids("contact").allocate(count)
    contacts = [{"_id": number, "msisdn": f"+1556{number:07}", "metadata": {"gender": "f"}} for number in ids]
    await view.insert_many("contacts", contacts)
    return list(ids)


async def turn_male(view: TenantView, number: int) -> None:
    """Unannounced, as one who has announced it long ago."""
    await view._backend.database.collection("contacts").update_one(
        {"_id": number}, {"$set": {"metadata.gender": "m"}}
    )


@pytest.mark.parametrize("blocks", [[1], None])
async def test_what_is_announced_is_counted_anew_until_it_is_done(
    world_of: Callable[[int], World], blocks: list[int] | None
) -> None:
    world = world_of(0)
    ours, reader = (store.for_account(OURS) for store in world.stores[:2])
    ids = await people(ours, 5 * BLOCK)
    changes = ours.counters.changes("contact")
    number = await changes.begin_change(blocks)
    other = await changes.begin_change([4])
    changes.end_change(other)
    await ours.counters.quiesce()
    assert await reader.list_of(FEMALE).count() == len(ids)
    await turn_male(ours, BLOCK + 1)
    assert await reader.list_of(FEMALE).count() == len(ids) - 1
    await turn_male(ours, BLOCK + 2)
    changes.end_change(number)
    await ours.counters.quiesce()
    assert await reader.list_of(FEMALE).count() == len(ids) - 2


async def test_ids_that_are_not_used_yet_may_come_at_any_time(world_of: Callable[[int], World]) -> None:
    world = world_of(0)
    ours, reader = (store.for_account(OURS) for store in world.stores[:2])
    early = (await ours.counters.ids("contact").allocate(1))[0]
    await people(ours, 5 * BLOCK)
    await people(ours, 1)
    assert await reader.list_of(FEMALE).count() == 5 * BLOCK + 1
    document = {"_id": early, "msisdn": "+15570000000", "metadata": {"gender": "f"}, "_version": 1}
    await ours.insert("contacts", document, "contact")
    assert await reader.list_of(FEMALE).count() == 5 * BLOCK + 2


async def test_an_id_that_is_given_back_and_given_anew_is_decided_by_the_second(
    world_of: Callable[[int], World],
) -> None:
    counters = world_of(0).stores[0].counters
    contact, changes = counters.ids("contact"), counters.changes("contact")
    together = await asyncio.gather(*(contact.allocate(1) for _ in range(3)))
    first, second, third = [ids[0] for ids in together]
    await contact.release(third)
    assert list(await contact.allocate(1)) == [third]
    contact.commit([third])
    contact.commit([first])
    others = await contact.allocate(1)
    assert contact.holds([second])
    assert (await changes.state()).decided_below <= second
    contact.commit([second, *others])
    await counters.quiesce()
    assert (await changes.state()).quiescent is not None


async def test_what_is_full_and_at_rest_is_not_counted_again(world_of: Callable[[int], World]) -> None:
    world = world_of(0)
    view = world.stores[0].for_account(OURS)
    ids = await people(view, 5 * BLOCK)
    await view.counters.quiesce()
    assert await view.list_of(FEMALE).count() == len(ids)
    await turn_male(view, ids[0])
    assert await view.list_of(FEMALE).count() == len(ids)  # nobody has said that it would change
    await view.update_one("contacts", {"_id": ids[1]}, {"$set": {"metadata.gender": "f"}})
    assert await view.list_of(FEMALE).count() == len(ids) - 1


async def test_a_page_is_full_though_some_of_it_goes_meanwhile(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = world_of(0).stores[0].for_account(OURS)
    ids = await people(view, 5 * BLOCK)
    await view.counters.quiesce()
    database, doomed = view._backend.database, [ids[2 * BLOCK]]

    run_at_once = database.run_at_once

    async def slow(*given: Any) -> list[Document]:
        while doomed:
            await view.remove("contacts", {"_id": doomed.pop()})
        return await run_at_once(*given)

    monkeypatch.setattr(database, "run_at_once", slow)
    page, _ = await view.list_of(Query("contacts")).page_with_total(2 * BLOCK, BLOCK)
    assert [one["_id"] for one in page] == ids[2 * BLOCK + 1 : 3 * BLOCK + 1]


async def test_a_page_of_more_than_the_database_gives_at_once_is_whole(world_of: Callable[[int], World]) -> None:
    view = world_of(0).stores[0].for_account(OURS)
    ids = await people(view, 20)
    await view.update_many("contacts", {}, {"$set": {"metadata.text": "x" * (1 << 20)}})
    page, total = await view.list_of(Query("contacts")).page_with_total(1, 1000)
    assert isinstance(page, LargePage)
    pieces = [[one["_id"] for one in piece] async for piece in page.pieces()]
    assert (pieces, total) == ([[number] for number in ids[1:]], 20)


async def test_what_a_dead_process_had_begun_is_given_up_in_time(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter, "ABANDONED_SECONDS", 0.0)
    monkeypatch.setattr(counter, "CLEAN_SECONDS", 0.0)
    world = world_of(0)
    dead, reader = world.stores[:2]
    await dead.counters.ids("contact").allocate(5 * BLOCK)
    changes = reader.counters.changes("contact")
    async with asyncio.timeout(120):
        while (await changes.state()).decided_below <= 5 * BLOCK:
            await asyncio.sleep(0.001)


async def test_an_id_that_was_given_long_ago_is_not_used_any_more(
    world_of: Callable[[int], World], monkeypatch: pytest.MonkeyPatch
) -> None:
    view = world_of(0).stores[0].for_account(OURS)
    old = (await view.counters.ids("contact").allocate(1))[0]
    more = await view.counters.ids("contact").allocate(2)
    monkeypatch.setattr(id_allocator, "HOLD_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await view.insert_many("contacts", [{"_id": number, "msisdn": f"+1558{number:07}"} for number in more])
    monkeypatch.undo()
    monkeypatch.setattr(counter, "FORGET_SECONDS", 0.0)
    await view.counters.ids("contact").allocate(1)
    made = await view.insert("contacts", {"_id": old, "msisdn": "+15580000000"}, "contact")
    assert made["_id"] > old


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_totals_and_pages_are_exact(world_of: Callable[[int], World], seed: int) -> None:
    world = world_of(seed)
    for _ in range(ROUNDS):
        await asyncio.gather(*(world.act() for _ in range(ACTS)))
        await world.check()
