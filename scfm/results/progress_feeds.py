"""The statistics of callouts as they change: one computation for all who follow the same callout."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import orjson

from scfm.errors import NotFound, Overloaded, Unavailable, Unreachable
from scfm.results.callout_statistics import CalloutStatistics
from scfm.results.statistics_reader import StatisticsReader
from scfm.storage.store import Store

log = logging.getLogger("scfm.http")

# Statistics change at most so often for readers.
FEED_SECONDS = 1.0
# Readers of all accounts. They have a fourth of all connections at most, and those of one account half of that.
MAX_READERS = 2000
READERS_SHARE = 4

FeedKey = tuple[int, int]
"""The ids of an account and of a callout."""


class ProgressUpdate(NamedTuple):
    """``event``: statistics as a server-sent event; ``event_id``: its id. ``last``: no other will follow."""

    event_id: str
    event: bytes
    last: bool

    @classmethod
    def of(cls, statistics: CalloutStatistics) -> ProgressUpdate:
        """Any process that computes the same statistics gives them the same id."""
        data = orjson.dumps(statistics)
        event_id = hashlib.md5(data, usedforsecurity=False).hexdigest()
        event = b"event: statistics\nid: %s\ndata: %s\n\n" % (event_id.encode(), data)
        return cls(event_id, event, statistics["completed_at"] is not None)


class ProgressReader:
    """One who follows a callout."""

    def __init__(self) -> None:
        self._newest: ProgressUpdate | None = None
        self._changed = asyncio.Event()
        self._closed = False

    def publish(self, update: ProgressUpdate) -> None:
        """UPDATE is the newest; one that has not been taken is left out."""
        self._newest = update
        self._changed.set()

    def close(self) -> None:
        """Nothing more follows."""
        self._closed = True
        self._changed.set()

    async def after(self, event_id: str | None) -> ProgressUpdate | None:
        """The newest update once it has another id than EVENT_ID; None when nothing more follows."""
        while True:
            newest = self._newest
            if newest is not None and newest.event_id != event_id:
                return newest
            if self._closed or (newest is not None and newest.last):
                return None
            self._changed.clear()
            await self._changed.wait()


class ProgressFeeds:
    """A feed for each callout that is followed, as long as it is."""

    def __init__(
        self,
        store: Store,
        statistics: StatisticsReader,
        unreachable: Callable[[Unreachable], None],
        connections: int,
    ) -> None:
        """``unreachable`` is told where it is that the database does not answer; CONNECTIONS may be open at most."""
        self._store, self._statistics, self._unreachable = store, statistics, unreachable
        self._max_readers = min(MAX_READERS, connections // READERS_SHARE)
        self._feeds: dict[FeedKey, _Feed] = {}
        self._readers: Counter[int] = Counter()
        self._closed = False

    @asynccontextmanager
    async def reader(self, account_id: int, callout_id: int) -> AsyncIterator[ProgressReader]:
        """A context: as long as it lasts, the callout is followed. Raises Overloaded where too many do so."""
        if self._readers.total() >= self._max_readers or self._readers[account_id] >= self._max_readers // 2:
            raise Overloaded("too many streams are open; close some, or try again")
        key, reader = (account_id, callout_id), ProgressReader()
        if self._closed:
            reader.close()
        feed = self._feeds.get(key)
        if feed is None:
            read = partial(self._statistics.of_callout, self._store.for_account(account_id), callout_id)
            feed = self._feeds[key] = _Feed(key, read, self._unreachable)
        feed.add(reader)
        self._readers[account_id] += 1
        try:
            yield reader
        finally:
            self._readers[account_id] -= 1
            if not feed.remove(reader) and self._feeds.get(key) is feed:
                del self._feeds[key]

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in self._feeds.values():
            feed.close()


class _Feed:
    """Computes the statistics of one callout, again and again, for its readers."""

    def __init__(
        self,
        key: FeedKey,
        read: Callable[[], Awaitable[CalloutStatistics]],
        unreachable: Callable[[Unreachable], None],
    ) -> None:
        """READ raises NotFound, and Unavailable."""
        self._key, self._read, self._unreachable = key, read, unreachable
        self._readers: set[ProgressReader] = set()
        self._newest: ProgressUpdate | None = None
        self._task = asyncio.create_task(self._run())

    def add(self, reader: ProgressReader) -> None:
        """READER is told what is known, and what changes."""
        self._readers.add(reader)
        if self._task.done():
            reader.close()
        if self._newest is not None:
            reader.publish(self._newest)

    def remove(self, reader: ProgressReader) -> bool:
        """READER is told no more; whether others are."""
        self._readers.discard(reader)
        if not self._readers:
            self._task.cancel()
        return bool(self._readers)

    def close(self) -> None:
        """Tell the readers that nothing more follows."""
        self._task.cancel()
        for reader in self._readers:
            reader.close()

    async def _run(self) -> None:
        try:
            while self._newest is None or not self._newest.last:
                await self._look()
                await asyncio.sleep(FEED_SECONDS)
        except NotFound:
            pass  # it has been deleted
        except Exception:
            log.exception("the progress of callout %d of account %d cannot be told", self._key[1], self._key[0])
        finally:
            for reader in self._readers:
                reader.close()

    async def _look(self) -> None:
        try:
            update = ProgressUpdate.of(await self._read())
        except Unreachable as error:
            self._unreachable(error)
            return
        except Unavailable:
            return
        if self._newest is None or update.event_id != self._newest.event_id:
            self._newest = update
            for reader in self._readers:
                reader.publish(update)
