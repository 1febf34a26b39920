"""What was found a moment ago is found once for all who want it, and not trusted when it has changed."""

from __future__ import annotations

import asyncio

import pytest

from scfm.storage.ttl_cache import TTLCache


class Shelf:
    """A database that answers when it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.value = "old"
        self.asked = 0
        self.error: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def find(self, key: int) -> str:
        self.asked += 1
        found, error = self.value, self.error
        await self.open.wait()
        if error is not None:
            raise error
        return f"{key} {found}"


async def begun(shelf: Shelf, times: int) -> None:
    while shelf.asked < times:
        await asyncio.sleep(0)


async def test_many_who_want_the_same_at_once_share_one_look() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60)
    assert await asyncio.gather(*(recent.get(1) for _ in range(50))) == ["1 old"] * 50
    assert await recent.get(1) == "1 old"
    assert shelf.asked == 1


async def test_a_value_that_is_too_old_is_looked_for_again() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=0)
    await recent.get(1)
    shelf.value = "new"
    while await recent.get(1) != "1 new":
        await asyncio.sleep(0)
    assert shelf.asked >= 2


@pytest.mark.parametrize("key", [1, None])
async def test_what_was_forgotten_during_a_look_is_looked_for_again(key: int | None) -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60)
    shelf.open.clear()
    wanted = asyncio.ensure_future(recent.get(1))
    await begun(shelf, 1)
    shelf.value = "new"
    recent.forget(key)
    shelf.open.set()
    assert await wanted == "1 new"


async def test_an_error_is_told_to_all_who_share_the_look_and_not_remembered() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60)
    shelf.error = LookupError("gone")
    results = await asyncio.gather(*(recent.get(1) for _ in range(5)), return_exceptions=True)
    assert results == [shelf.error] * 5
    assert shelf.asked == 1
    shelf.error = None
    assert await recent.get(1) == "1 old"


async def test_one_who_gives_up_does_not_spoil_the_look_for_the_others() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60)
    shelf.open.clear()
    hasty, patient = asyncio.ensure_future(recent.get(1)), asyncio.ensure_future(recent.get(1))
    await begun(shelf, 1)
    hasty.cancel()
    shelf.open.set()
    assert await patient == "1 old"
    assert shelf.asked == 1


async def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60, max_entries=2)
    for key in (1, 2, 3, 2, 3, 1):
        await recent.get(key)
    assert shelf.asked == 4


async def test_the_values_loaded_longest_ago_are_forgotten_where_all_weigh_too_much() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60, weigh=len, max_bytes=3 * len("1 old"))
    for key in (1, 2, 3, 4):
        await recent.get(key)
    assert [recent.peek(key) for key in (1, 2, 3, 4)] == [None, "2 old", "3 old", "4 old"]
    recent.forget(2)
    await recent.get(5)
    assert recent.peek(3) == "3 old", "what was forgotten still weighs"


async def test_a_value_that_weighs_too_much_alone_is_kept_until_the_next() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60, weigh=len, max_bytes=1)
    await recent.get(1)
    assert recent.peek(1) == "1 old"
    await recent.get(2)
    assert (recent.peek(1), recent.peek(2)) == (None, "2 old")


async def test_a_load_that_failed_or_was_forgotten_weighs_nothing() -> None:
    shelf = Shelf()
    recent = TTLCache(shelf.find, seconds=60, weigh=len, max_bytes=2 * len("1 old"))
    await recent.get(1)
    shelf.error = RuntimeError("away")
    with pytest.raises(RuntimeError):
        await recent.get(2)
    shelf.error = None
    shelf.open.clear()
    wanted = asyncio.ensure_future(recent.get(3))
    await begun(shelf, 3)
    recent.forget(3)
    shelf.open.set()
    await wanted
    await recent.get(4)
    assert [recent.peek(key) for key in (1, 3, 4)] == [None, "3 old", "4 old"]
