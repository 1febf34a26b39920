"""Group commit: many updates in few round trips, and each told how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from scfm.errors import Unavailable
from scfm.models.stored_documents import CALLS
from scfm.storage import retrying_updates as module
from scfm.storage.query import Document
from scfm.storage.retrying_updates import ConditionalUpdate, RetryingUpdates
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView

COUNT = 1200


class Watched(TenantView):
    """A view that counts round trips, and fails as often as it is told to."""

    round_trips = 0
    failures = 0

    async def bulk_update(self, collection: str, updates: Iterable[ConditionalUpdate], **options: Any) -> int:
        self.round_trips += 1
        if self.failures:
            self.failures -= 1
            raise Unavailable("gone")
        return await super().bulk_update(collection, updates, **options)


async def watched(store: Store, count: int) -> tuple[Watched, RetryingUpdates]:
    """A view of so many documents, and writes to it."""
    view = Watched(store.backend, None)
    await asyncio.gather(*(view.insert(CALLS, {"_id": number, "account_id": 1, "n": 0}) for number in range(count)))
    return view, RetryingUpdates(view, CALLS)


def counts(number: int) -> tuple[Document, Document]:
    return {"_id": number, "n": 0}, {"$set": {"n": number}}


async def test_updates_that_come_together_share_round_trips(store: Store) -> None:
    view, writes = await watched(store, COUNT)
    await asyncio.gather(*(writes.add(counts(number)) for number in range(COUNT)))
    assert view.round_trips <= COUNT // module.MAX_UPDATES + 2
    assert [found["n"] for found in await view.find(CALLS, {})] == list(range(COUNT))


async def test_updates_that_follow_one_another_closely_share_round_trips_too(store: Store) -> None:
    view, writes = await watched(store, 50)
    await writes.add(counts(1))
    adding = []
    for number in range(2, 50):
        adding.append(asyncio.ensure_future(writes.add(counts(number))))
        await asyncio.sleep(0)
    await asyncio.gather(*adding)
    assert view.round_trips == 2, "the first does not wait for others"
    assert [found["n"] for found in await view.find(CALLS, {})] == list(range(50))


async def test_where_no_document_fits_any_more_the_alternative_is_written(store: Store) -> None:
    view, writes = await watched(store, 2)
    await view.update_one(CALLS, {"_id": 1}, {"$set": {"n": 5}})
    otherwise = ({"_id": 1, "n": 5}, {"$set": {"n": 6}}), ({"_id": 0, "n": 5}, {"$set": {"n": 7}})
    await asyncio.gather(writes.add(counts(1), *otherwise), writes.add(({"_id": 0}, {"$set": {"n": 9}})))
    assert [found["n"] for found in await view.find(CALLS, {})] == [9, 6]


async def test_a_database_that_is_gone_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    view, writes = await watched(store, 3)
    view.failures = 3
    await asyncio.gather(*(writes.add(counts(number)) for number in range(3)))
    assert [found["n"] for found in await view.find(CALLS, {})] == [0, 1, 2]


async def test_what_the_database_refuses_does_not_take_the_others_with_it(store: Store) -> None:
    view, writes = await watched(store, 3)
    refused = {"_id": 1}, {"$set": {"_id": 7}}
    ended = await asyncio.gather(
        writes.add(counts(0)), writes.add(refused), writes.add(counts(2)), return_exceptions=True
    )
    assert [type(one).__name__ for one in ended] == ["NoneType", "BulkWriteError", "NoneType"]
    assert [found["n"] for found in await view.find(CALLS, {})] == [0, 0, 2]


async def test_one_that_waits_no_more_does_not_keep_the_others_waiting(store: Store) -> None:
    view, writes = await watched(store, 2)
    impatient = asyncio.create_task(writes.add(counts(0)))
    patient = asyncio.create_task(writes.add(counts(1)))
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert [found["n"] for found in await view.find(CALLS, {})] == [0, 1]
