"""Work that is bounded for each account waits its turn, and keeps no other account waiting."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from scfm.errors import Overloaded
from scfm.models.contact import CONTACTS
from scfm.runtime.account_concurrency import AccountConcurrency
from scfm.storage.backend import MAX_READS
from scfm.storage.database import Database
from scfm.storage.store import Store


async def test_slots_are_taken_in_order_and_by_account() -> None:
    slots, seen, ends = AccountConcurrency("lists", 2), list[int](), [asyncio.Event() for _ in range(5)]

    async def work(account_id: int, number: int) -> None:
        async with slots.slot(account_id):
            seen.append(number)
            await ends[number].wait()

    tasks = [asyncio.ensure_future(work(1 if number < 4 else 2, number)) for number in range(5)]
    await asyncio.sleep(0)
    assert seen == [0, 1, 4]
    tasks[2].cancel()
    ends[1].set()
    while len(seen) < 4:
        await asyncio.sleep(0)
    assert seen == [0, 1, 4, 3]
    for end in ends:
        end.set()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_waits_too_long_for_a_slot_is_told_so() -> None:
    slots = AccountConcurrency("lists", 1, max_wait=0.0)
    async with slots.slot(1):
        with pytest.raises(Overloaded, match="too many lists"):
            async with slots.slot(1):
                pass
    async with slots.slot(1):
        pass


async def test_no_more_answers_of_unknown_size_are_read_at_once_for_an_account(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once, most = 0, 0
    run_at_once = Database.run_at_once

    async def counted(self: Database, *command: Any) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await run_at_once(self, *command)
        finally:
            at_once -= 1

    monkeypatch.setattr(Database, "run_at_once", counted)
    await asyncio.gather(*(store.for_account(1).list_of(CONTACTS.query()).page_with_total(0, 25) for _ in range(50)))
    assert 1 < most <= MAX_READS
    async with AsyncExitStack() as held:
        for _ in range(MAX_READS):
            await held.enter_async_context(store.backend.reads.slot(1))
        assert await store.for_account(2).list_of(CONTACTS.query()).page_with_total(0, 25) == ([], 0)
        exported = asyncio.ensure_future(anext(store.for_account(1).list_of(CONTACTS.query()).pieces(), None))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not exported.done()
    assert await exported is None
