"""Those who follow a callout share what is computed; nobody is told what he has; what ends them is told to all."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest

from scfm.errors import NotFound, Overloaded, Unavailable, Unreachable
from scfm.results import progress_feeds
from scfm.results.progress_feeds import ProgressFeeds, ProgressReader
from scfm.results.statistics_reader import StatisticsReader
from scfm.storage.store import Store


class Figures:
    """Statistics that a test sets: a StatisticsReader and a Store, as far as feeds need them."""

    def __init__(self) -> None:
        self.total = self.reads = 0
        self.completed_at: str | None = None
        self.error: Exception | None = None
        self.unreachable: list[Unreachable] = []

    def for_account(self, account_id: int) -> int:
        return account_id

    async def of_callout(self, view: Any, callout_id: int) -> Any:
        self.reads += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return {"total": self.total, "completed_at": self.completed_at}

    def feeds(self, connections: int = 1000) -> ProgressFeeds:
        return ProgressFeeds(cast(Store, self), cast(StatisticsReader, self), self.unreachable.append, connections)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_feeds, "FEED_SECONDS", 0.001)


async def next_id(reader: ProgressReader, known: str | None = None) -> str:
    update = await reader.after(known)
    assert update is not None
    return update.event_id


async def test_readers_of_a_callout_share_what_is_computed() -> None:
    figures = Figures()
    feeds = figures.feeds()
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(feeds.reader(1, 1)) for _ in range(100)]
        (first,) = {await next_id(reader) for reader in readers}
        assert figures.reads < 10
        figures.total = 5
        assert len({await next_id(reader, first) for reader in readers}) == 1
    reads = figures.reads
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert figures.reads == reads, "nobody follows the callout any more"


async def test_a_slow_reader_gets_the_newest_alone() -> None:
    figures = Figures()
    async with figures.feeds().reader(1, 1) as reader:
        known = await next_id(reader)
        for figures.total in (1, 2, 3):
            reads = figures.reads
            while figures.reads < reads + 3:
                await asyncio.sleep(0)
        newest = await reader.after(known)
        assert newest is not None and b'"total":3' in newest.event


async def test_the_last_update_ends_every_reader() -> None:
    figures = Figures()
    figures.completed_at = "2026-11-29T10:41:00.000Z"
    feeds = figures.feeds()
    async with feeds.reader(1, 1) as one, feeds.reader(1, 1) as other:
        known = await next_id(one)
        assert await one.after(known) is None
        assert await other.after(known) is None
        async with feeds.reader(1, 1) as late:
            assert await next_id(late) == known
            assert await late.after(known) is None


async def test_a_database_that_does_not_answer_ends_nobody() -> None:
    figures = Figures()
    figures.error = Unreachable("gone")
    async with figures.feeds().reader(1, 1) as reader:
        waiting = asyncio.create_task(reader.after(None))
        while not figures.unreachable:
            await asyncio.sleep(0.001)
        figures.error = Unavailable("moved")
        reads = figures.reads
        while figures.reads < reads + 2:
            await asyncio.sleep(0.001)
        figures.error = None
        assert await waiting is not None


@pytest.mark.parametrize("error", [NotFound(), ZeroDivisionError()])
async def test_a_callout_that_is_gone_ends_every_reader(error: Exception) -> None:
    figures = Figures()
    async with figures.feeds().reader(1, 1) as reader:
        known = await next_id(reader)
        figures.error = error
        assert await reader.after(known) is None


async def test_a_server_that_stops_ends_every_reader() -> None:
    feeds = Figures().feeds()
    async with feeds.reader(1, 1) as reader:
        known = await next_id(reader)
        waiting = asyncio.create_task(reader.after(known))
        await asyncio.sleep(0)
        feeds.close()
        assert await waiting is None
        async with feeds.reader(1, 2) as late:
            assert await late.after(None) is None


async def test_readers_are_a_quarter_of_the_connections_and_half_of_these_for_each_account() -> None:
    feeds = Figures().feeds(connections=16)
    async with feeds.reader(1, 1), feeds.reader(1, 2):
        with pytest.raises(Overloaded):
            async with feeds.reader(1, 1):
                pass
        async with feeds.reader(2, 3), feeds.reader(3, 3):
            with pytest.raises(Overloaded):
                async with feeds.reader(4, 4):
                    pass
    async with feeds.reader(1, 1) as reader:
        await next_id(reader)
