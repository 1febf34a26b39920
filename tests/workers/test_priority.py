"""Within an account calls of a higher priority leave first, however many of a lower one wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from scfm.clock import later, now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.queue_place import queue_place
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.claims import claim_calls
from scfm.workers.fair_queue import FairQueue
from tests.workers.background import account, background, carrier, eventually, pass_over, queued_calls, settings_for

MANY = 20_000


@pytest.fixture
def profile(store: Store, mongod: PrivateMongod) -> Iterator[Database[dict[str, Any]]]:
    """The database, which writes down in ``system.profile`` what each command has cost."""
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        database = client[store.database.name]
        database.command("profile", 2)
        yield database
        database.command("profile", 0)
        database["system.profile"].drop()


def finds(database: Database[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the finds over phone calls have cost, in order."""
    condition = {"op": "query", "ns": f"{database.name}.phone_calls"}
    return list(database["system.profile"].find(condition).sort("ts", 1))


def waiting(number: int, account_id: int, **fields: Any) -> Document:
    return {"_id": number, "account_id": account_id, "status": "queued", "_version": 1, **fields}


async def test_a_claim_costs_what_it_claims_whatever_else_waits(
    store: Store, profile: Database[dict[str, Any]]
) -> None:
    own, moment = await account(store), now()
    due, shut = {"due": moment - timedelta(hours=1)}, {"due": moment + timedelta(hours=1)}
    profile["phone_calls"].insert_many(
        [
            *(waiting(number, own, _rank=4, _work=due) for number in range(MANY)),
            # Of a still higher priority, and none of them due.
            *(waiting(number, own, _rank=0, _work=shut) for number in range(MANY, 2 * MANY)),
            *(waiting(number, own, _rank=2, _work={"due": moment}) for number in range(2 * MANY, 2 * MANY + 100)),
        ]
    )
    claimed = await claim_calls(store.for_account(own), "queued", 60, later(60), None)
    assert [call["_id"] for call in claimed] == list(range(2 * MANY, 2 * MANY + 60))
    assert [account_id async for account_id in FairQueue(store, "queued").accounts()] == [own]
    for cost in finds(profile):
        assert cost["docsExamined"] <= 60 and cost["keysExamined"] <= 70 and "hasSortStage" not in cost, cost


@pytest.mark.parametrize(("plan", "rank"), [(None, 4), ({}, 4), ({"priority": 9}, 0), ({"priority": 0}, 9)])
def test_a_calls_rank_follows_from_its_callouts_plan(plan: dict[str, Any] | None, rank: int) -> None:
    assert queue_place({"_id": 7, "plan": plan})["_rank"] == queue_place({"plan": plan})["_rank"] == rank
    assert queue_place(None)["_rank"] == 4


async def test_calls_leave_by_priority_and_of_one_priority_by_age(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    for rank, numbers in ((4, (1, 2)), (9, (3,)), (0, (4, 5))):
        await queued_calls(store, own, [f"+1555000000{number}" for number in numbers], _rank=rank)
    older = await queued_calls(store, own, ["+15550000009"])  # as a version without priorities has queued it
    assert len(older) == 1
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=1, calls_per_second=0)
        async with background(store, settings) as jobs:
            await eventually(lambda: _all_sent(jobs.dispatcher, store))
        order = [int(request.to[-1]) for request in simulator.ledger.requests]
    assert order == [9, 4, 5, 1, 2, 3]


async def _all_sent(job: Any, store: Store) -> bool:
    await pass_over(job)
    return not await store.all_tenants.exists("phone_calls", {"status": "queued"})
