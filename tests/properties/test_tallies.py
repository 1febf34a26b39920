"""What documents hold is tallied as a walk over every document finds it, whoever writes, waits or dies meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.registry import counted_fields
from scfm.storage import block_tallies, block_watch, change_log, counter
from scfm.storage.block_tallies import Tallied, Tally, TallyKey
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from tests.conftest import DATABASE
from tests.properties.test_counts import ACTS, BLOCK, OURS, ROUNDS, THEIRS, World

ALL = Query("contacts")
CONDITIONS: tuple[Document, ...] = ({}, {"metadata.gender": "f"}, {"metadata.rare": "yes"})
START = datetime(2026, 1, 1, tzinfo=UTC)


def _read(group: Document) -> Iterator[tuple[TallyKey, int]]:
    yield ("people", group["gender"]), group["people"]
    if group["called"] is not None:
        yield ("calls", group["called"]), group["calls"]


# A person for each contact, and a call for each element of its metadata's ``calls``.
TALLY = Tally(
    name="genders",
    index={"account_id": 1, "_id": 1},
    stages=({"$unwind": {"path": "$metadata.calls", "includeArrayIndex": "n", "preserveNullAndEmptyArrays": True}},),
    by={"gender": "$metadata.gender", "called": {"$ifNull": ["$metadata.calls", None]}},
    values={
        "people": {"$sum": {"$cond": [{"$gt": ["$n", 0]}, 0, 1]}},
        "calls": {"$sum": 1},
        "first": {"$min": "$metadata.at"},
        "last": {"$max": "$metadata.at"},
    },
    read=_read,
)


def counted_plainly(contacts: list[Document]) -> Tallied:
    people = Counter(("people", contact["metadata"]["gender"]) for contact in contacts)
    calls = Counter(("calls", call) for contact in contacts for call in contact["metadata"]["calls"])
    moments = [contact["metadata"]["at"] for contact in contacts]
    return Tallied(Counter(people + calls), min(moments, default=None), max(moments, default=None))


class Callers(World):
    """Contacts that have been called, which is tallied."""

    def contact(self) -> Document:
        contact = super().contact()
        calls = [self.random.choice(("busy", "completed")) for _ in range(self.random.randrange(4))]
        at = START + timedelta(minutes=self.random.randrange(1000))
        return {**contact, "metadata": {**contact["metadata"], "calls": calls, "at": at}}

    async def count(self) -> None:
        before = dict(self.done)
        tallied = await self.view().list_of(ALL).tallied(TALLY)
        total = sum(count for key, count in tallied.counts.items() if key[0] == "people")
        assert before["insert"] - self.begun["delete"] <= total <= self.begun["insert"] - before["delete"]

    async def check(self) -> None:
        for store in self.stores:
            condition = self.random.choice(CONDITIONS)
            view = store.for_account(self.random.choice((OURS, OURS, OURS, THEIRS)))
            found = await view.find("contacts", condition)
            query = Query("contacts", (condition,) if condition else ())
            assert await view.list_of(query).tallied(TALLY) == counted_plainly(found), condition


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (change_log, block_watch, block_tallies):
        monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(counter, "MAX_DIRTY_BLOCKS", 20)
    monkeypatch.setattr(block_tallies, "MAX_BLOCKS_AT_ONCE", 5)
    monkeypatch.setattr(block_tallies, "MAX_SPANS", 3)


@pytest.fixture
def opened(io_loop: IOLoop, mongod: PrivateMongod, store: Store) -> Callable[[], Store]:
    return lambda: Store.open(mongod.uri, DATABASE, counted_fields())


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_a_tally_is_exact(opened: Callable[[], Store], seed: int) -> None:
    callers = Callers(seed, opened)
    try:
        for _ in range(ROUNDS):
            await asyncio.gather(*(callers.act() for _ in range(ACTS)))
            await callers.check()
    finally:
        await callers.close()


async def called(view: TenantView, count: int, **metadata: Any) -> list[int]:
    """So many contacts; their ids."""
    ids = await view.counters.ids("contact").allocate(count)
    await view.insert_many(
        "contacts",
        [
            {"_id": number, "msisdn": f"+1556{number:07}", "metadata": {"gender": "f", "calls": [], **metadata}}
            for number in ids
        ],
    )
    await view.counters.quiesce()
    return list(ids)


async def test_only_what_is_announced_is_counted_again(store: Store) -> None:
    view = store.for_account(OURS)
    ids = await called(view, 5 * BLOCK)
    assert (await view.list_of(ALL).tallied(TALLY)).counts == {("people", "f"): len(ids)}
    # Two that nobody has announced, one of them in the block of one who has.
    for number in (ids[1], ids[-2]):
        await store.database.collection("contacts").update_one({"_id": number}, {"$set": {"metadata.gender": "x"}})
    await view.update_one("contacts", {"_id": ids[0]}, {"$set": {"metadata.gender": "m"}})
    counts = (await view.list_of(ALL).tallied(TALLY)).counts
    assert counts[("people", "m")] == 1
    assert counts[("people", "x")] <= 1, "a block was counted again of which nothing was announced"
    assert sum(counts.values()) == len(ids)


async def test_a_count_that_is_cut_off_is_gone_on_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    view = store.for_account(OURS)
    ids = await called(view, 20 * BLOCK)
    count_blocks, asked = block_tallies._KnownTally._count_blocks, []

    async def break_off_at_the_third(known: Any, spans: Any) -> Any:
        asked.append(spans)
        if len(asked) == 3:
            raise ConnectionError
        return await count_blocks(known, spans)

    monkeypatch.setattr(block_tallies._KnownTally, "_count_blocks", break_off_at_the_third)
    with pytest.raises(ConnectionError):
        await view.list_of(ALL).tallied(TALLY)
    await view.update_one("contacts", {"_id": ids[0]}, {"$set": {"metadata.gender": "m"}})
    counts = (await view.list_of(ALL).tallied(TALLY)).counts
    assert counts == {("people", "f"): len(ids) - 1, ("people", "m"): 1}
    assert len(asked) < 2 * 5, "what was counted before was counted again"


async def test_what_is_remembered_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_tallies, "MAX_COUNTS", 10)
    view, tallies = store.for_account(OURS), store.backend.tallies
    await called(view, 8 * BLOCK)
    for condition in ({"_id": {"$gt": number}} for number in range(10)):
        await view.list_of(Query("contacts", (condition,))).tallied(TALLY)
        assert len(tallies._known) == 1 or sum(known.held_counts for known in tallies._known.values()) <= 20
    assert len(tallies._known) <= 3


async def test_of_many_blocks_that_have_changed_only_the_latest_are_counted_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = store.for_account(OURS)
    ids = await called(view, 60 * BLOCK)
    await view.list_of(ALL).tallied(TALLY)
    count_blocks, counted = block_tallies._KnownTally._count_blocks, []

    async def watched(known: Any, spans: Any) -> Any:
        counted.extend(range(begin // BLOCK, end // BLOCK) for begin, end in spans if end != block_watch.END)
        return await count_blocks(known, spans)

    monkeypatch.setattr(block_tallies._KnownTally, "_count_blocks", watched)
    for number in ids[2 * BLOCK :: BLOCK]:
        await view.update_one("contacts", {"_id": number}, {"$set": {"metadata.gender": "m"}})
        await view.list_of(ALL).tallied(TALLY)
    assert sum(map(len, counted)) <= 2 * 60, "what was counted before was counted again"
    # Far more than are told apart, unseen.
    for number in ids[2 * BLOCK :: BLOCK]:
        await view.update_one("contacts", {"_id": number}, {"$set": {"metadata.gender": "d"}})
    counts = (await view.list_of(ALL).tallied(TALLY)).counts
    assert (counts[("people", "d")], counts[("people", "m")]) == (58, 0)
