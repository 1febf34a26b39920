"""What is asked at the same time goes to the database together, and everybody gets his own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from scfm.errors import NotFound, Unavailable
from scfm.storage import batching as module
from scfm.storage.batching import Batcher
from scfm.storage.compare_and_set import MAX_SWAPS, compare_and_set
from scfm.storage.errors import DuplicateKey
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

CONTACTS = "contacts"


class Slow:
    """Doubles numbers, a group at a time, each when it is let go. 13 cannot be doubled, and -1 breaks the line."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = asyncio.Event()

    async def double(self, numbers: list[int]) -> list[int | Exception]:
        self.groups.append(numbers)
        await self.go.wait()
        if -1 in numbers:
            raise NotFound
        return [ValueError("thirteen") if number == 13 else 2 * number for number in numbers]


async def begun(slow: Slow, groups: int) -> None:
    while len(slow.groups) < groups:
        await asyncio.sleep(0)


async def test_what_comes_during_a_round_trip_goes_together_in_the_next() -> None:
    slow = Slow()
    doubled: Batcher[int, int] = Batcher(slow.double)
    first = asyncio.ensure_future(doubled.submit(1))
    await begun(slow, 1)
    later = asyncio.gather(*(doubled.submit(number) for number in range(2, 6)))
    slow.go.set()
    assert (await first, await later) == (2, [4, 6, 8, 10])
    # Whoever asked later is not told what was true before.
    assert slow.groups == [[1], [2, 3, 4, 5]]


async def test_a_group_is_not_larger_than_the_database_should_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH", 3)
    slow = Slow()
    slow.go.set()
    doubled: Batcher[int, int] = Batcher(slow.double)
    assert await asyncio.gather(*(doubled.submit(number) for number in range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert [len(group) for group in slow.groups] == [3, 3, 1]


async def test_what_fails_alone_fails_alone_and_a_broken_line_fails_all() -> None:
    slow = Slow()
    slow.go.set()
    doubled: Batcher[int, int] = Batcher(slow.double)
    found = await asyncio.gather(*(doubled.submit(number) for number in (1, 13, 3)), return_exceptions=True)
    assert (found[0], found[2]) == (2, 6) and isinstance(found[1], ValueError)
    broken = await asyncio.gather(*(doubled.submit(number) for number in (1, -1)), return_exceptions=True)
    assert [type(error) for error in broken] == [NotFound, NotFound]
    assert await doubled.submit(4) == 8


async def test_one_who_waits_no_more_keeps_no_other_waiting() -> None:
    slow = Slow()
    doubled: Batcher[int, int] = Batcher(slow.double)
    gone, there = asyncio.ensure_future(doubled.submit(1)), asyncio.ensure_future(doubled.submit(2))
    await begun(slow, 1)
    gone.cancel()
    slow.go.set()
    assert await there == 4


# In the store


def contact(number: int, **fields: object) -> Document:
    return {"msisdn": f"+2526623{number:05}", "metadata": {}, "_version": 1, **fields}


async def outcomes(view: TenantView, *documents: Document) -> list[str]:
    """What became of documents that are all stored at once."""
    made = await asyncio.gather(*(view.insert(CONTACTS, one, "contact") for one in documents), return_exceptions=True)
    return [type(one).__name__ if isinstance(one, BaseException) else "stored" for one in made]


async def test_of_documents_stored_together_only_those_are_refused_that_must_be(store: Store) -> None:
    view = store.for_account(1)
    documents = [contact(1), contact(2), contact(1), contact(3)]
    assert await outcomes(view, *documents) == ["stored", "stored", "DuplicateKey", "stored"]
    assert len(await view.find(CONTACTS, {})) == 3


async def test_a_document_too_large_for_the_database_does_not_take_the_others_with_it(store: Store) -> None:
    view = store.for_account(1)
    large = contact(2, metadata={"text": "x" * (17 << 20)})
    assert await outcomes(view, contact(1), large, contact(3)) == ["stored", "DocumentTooLarge", "stored"]
    assert [one["msisdn"] for one in await view.find(CONTACTS, {})] == ["+252662300001", "+252662300003"]


async def test_documents_found_together_are_each_callers_own(store: Store) -> None:
    view, stranger = store.for_account(1), store.for_account(2)
    number = (await view.insert(CONTACTS, contact(1, metadata={"name": {"first": "Alice"}}), "contact"))["_id"]
    one, other = await asyncio.gather(view.get(CONTACTS, number), view.get(CONTACTS, number))
    one["metadata"]["name"]["first"] = "Bob"
    assert other["metadata"] == {"name": {"first": "Alice"}}
    with pytest.raises(NotFound):
        await stranger.get(CONTACTS, number)


async def test_an_id_that_a_database_gives_twice_after_its_death_is_used_once(store: Store) -> None:
    view = store.for_account(1)
    first = await view.insert(CONTACTS, contact(1), "contact")
    await store.all_tenants.update_one("counters", {"_id": "contact"}, {"$set": {"last": first["_id"] - 1}})
    second = await view.insert(CONTACTS, contact(2), "contact")
    assert [one["_id"] for one in await view.find(CONTACTS, {})] == [first["_id"], second["_id"]]
    # Nor does one that is taken for what a document holds lose its own number to another.
    with pytest.raises(DuplicateKey):
        await view.insert(CONTACTS, contact(2), "contact")
    assert (await view.insert(CONTACTS, contact(3), "contact"))["_id"] == second["_id"] + 1


async def test_updates_at_one_time_change_what_fits_and_tell_what_is_there(store: Store) -> None:
    view, stranger = store.for_account(1), store.for_account(2)
    made = [await view.insert(CONTACTS, contact(number, calls=number), "contact") for number in range(1, 5)]
    one, other, gone, last = (document["_id"] for document in made)
    await view.remove(CONTACTS, {"_id": gone})

    def raised(number: int, seen: int, whose: TenantView = view) -> Awaitable[Document | None]:
        return whose.update_batched(CONTACTS, number, {"calls": seen}, {"$inc": {"calls": 10}})

    async def there(*asked: Awaitable[Document | None]) -> list[bool]:
        return [books is not None for books in await asyncio.gather(*asked)]

    async def calls() -> list[int]:
        return [found["calls"] for found in await view.find(CONTACTS, {})]

    looks = (view.update_batched(CONTACTS, other), stranger.update_batched(CONTACTS, other))
    asked = (raised(one, 1), raised(other, 1), raised(gone, 3), raised(last, 4, stranger), *looks)
    assert await there(*asked) == [True, True, False, False, True, False]
    assert await calls() == [11, 2, 4]
    assert await there(raised(last, 4), raised(last, 4)) == [True, True]
    assert await calls() == [11, 2, 14]
    # And so it is for one that asks alone.
    alone = (raised(one, 11), raised(other, 1), raised(gone, 3), view.update_batched(CONTACTS, one))
    assert [await there(update) for update in alone] == [[True], [True], [False], [True]]
    assert await calls() == [21, 2, 14]


async def test_an_update_that_cannot_be_done_does_not_take_the_others_with_it(store: Store) -> None:
    view = store.for_account(1)
    made = [await view.insert(CONTACTS, contact(number), "contact") for number in range(3)]
    texts = ["short", "x" * (17 << 20), "short"]
    swaps = (compare_and_set(view, CONTACTS, one, {"text": text}) for one, text in zip(made, texts, strict=True))
    swapped = await asyncio.gather(*swaps, return_exceptions=True)
    assert (swapped[0], swapped[2]) == (True, True) and isinstance(swapped[1], Exception)
    assert [one.get("text") for one in await view.find(CONTACTS, {})] == ["short", None, "short"]


async def test_of_those_who_swap_one_document_at_one_time_each_knows_whether_it_was_he(store: Store) -> None:
    view = store.for_account(1)
    first = await view.insert(CONTACTS, contact(1), "contact")

    async def rounds(who: int) -> int:
        """How often he has had his way, of so many times."""
        wins = 0
        for _ in range(20):
            wins += await compare_and_set(view, CONTACTS, await view.get(CONTACTS, first["_id"]), {"who": who})
        return wins

    wins = sum(await asyncio.gather(*(rounds(who) for who in range(5))))
    assert wins == (await view.get(CONTACTS, first["_id"]))["_version"] - 1 >= 20


async def test_whoever_has_been_overtaken_by_too_many_to_tell_says_so(store: Store) -> None:
    view = store.for_account(1)
    old = document = await view.insert(CONTACTS, contact(1), "contact")
    for _ in range(MAX_SWAPS):
        assert await compare_and_set(view, CONTACTS, document, {})
        assert not await compare_and_set(view, CONTACTS, document, {})
        document = await view.get(CONTACTS, document["_id"])
    assert not await compare_and_set(view, CONTACTS, old, {})
    assert await compare_and_set(view, CONTACTS, document, {})
    with pytest.raises(Unavailable):
        await compare_and_set(view, CONTACTS, old, {})
    await view.remove(CONTACTS, {"_id": old["_id"]})
    assert not await compare_and_set(view, CONTACTS, document, {})


async def test_whoever_waits_when_it_is_closed_is_cancelled_begun_or_not() -> None:
    slow = Slow()
    doubled: Batcher[int, int] = Batcher(slow.double)
    waiting = [asyncio.ensure_future(doubled.submit(number)) for number in range(2)]
    await begun(slow, 1)
    waiting.append(asyncio.ensure_future(doubled.submit(2)))
    await asyncio.sleep(0)
    doubled.close()
    not_begun: Batcher[int, int] = Batcher(slow.double)
    asking = not_begun.submit(3)
    asking.send(None)  # it has made its task, which has not had a turn yet
    found = not_begun._waiting[0][1]
    not_begun.close()
    await asyncio.wait(waiting)
    assert all(one.cancelled() for one in (*waiting, found))
    asking.close()


def test_a_round_trip_that_a_closed_event_loop_leaves_behind_ends_without_an_error() -> None:
    asked: list[list[str]] = []

    async def never(requests: list[str]) -> list[str]:
        asked.append(requests)
        await asyncio.get_running_loop().create_future()
        return requests

    async def ask() -> list[Any]:
        batcher = Batcher[str, str](never)
        caller = asyncio.create_task(batcher.submit("first"))
        while not asked:
            await asyncio.sleep(0)
        return [caller, batcher._task]

    loop = asyncio.new_event_loop()
    caller, round_trip = loop.run_until_complete(ask())
    loop.close()
    for task in (round_trip, caller):
        task._log_destroy_pending = False
        task.get_coro().close()  # as the garbage collector does
