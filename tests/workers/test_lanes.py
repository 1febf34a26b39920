"""A plan's own limits hold for its callout's calls, beside those of the account, and hold up nobody else's."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import later, now
from scfm.models.queue_place import queue_place
from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.workers.claims import claim_calls
from tests.workers.background import account, background, calls_of, carrier, eventually, queued_calls, settings_for
from tests.workers.owned_clock import OwnedClock
from tests.workers.test_rate_limiter import NOWHERE, NUMBERS, OTHERS, Timed, limit

PLANNED, OTHER = 7, 8


async def callout_with(store: Store, account_id: int, number: int = PLANNED, **plan: Any) -> dict[str, Any]:
    """A running callout with a plan of these limits; where its calls wait."""
    plan = {"audience": {}, **plan}
    document = {"_id": number, "account_id": account_id, "status": "running", "plan": plan, "metadata": {}}
    await store.all_tenants.insert("callouts", {**document, "created_at": now(), "updated_at": now()})
    return {"callout_id": number, **queue_place(document)}


def moments_of(timed: Timed, numbers: list[str]) -> list[float]:
    return sorted(moment for moment, to in timed.provider.left if to in numbers)


@pytest.mark.parametrize("processes", [1, 2])
async def test_the_rate_of_a_plan_is_kept_by_all_processes_and_keeps_no_other_call_waiting(
    store: Store, tmp_path: Path, processes: int
) -> None:
    own = await account(store)
    place = await callout_with(store, own, calls_per_second=8.0, priority=9)
    assert place == {"callout_id": PLANNED, "_rank": 0, "_lane": PLANNED}
    await queued_calls(store, own, NUMBERS, **place)
    await queued_calls(store, own, OTHERS, _rank=4)
    timed = Timed(store, settings_for(NOWHERE, tmp_path), OwnedClock(), processes)
    begin = timed.clock.monotonic()
    moments = await timed.until_left(len(NUMBERS) + len(OTHERS))
    await timed.close()
    planned = moments_of(timed, NUMBERS)
    assert planned[-1] - planned[0] >= 0.99 * (len(NUMBERS) - 1) / 8.0
    assert all(late - soon > 0.05 for soon, late in itertools.pairwise(planned)), planned
    assert moments_of(timed, OTHERS)[-1] - begin < 1.0
    assert len(moments) == len(NUMBERS) + len(OTHERS)


@pytest.mark.parametrize(("of_account", "of_plan"), [(8.0, 40.0), (40.0, 8.0)])
async def test_the_lower_of_two_rates_holds(store: Store, tmp_path: Path, of_account: float, of_plan: float) -> None:
    own = await account(store)
    await limit(store, own, calls_per_second=of_account)
    await queued_calls(store, own, NUMBERS, **await callout_with(store, own, calls_per_second=of_plan))
    timed = Timed(store, settings_for(NOWHERE, tmp_path), OwnedClock(), 1)
    moments = await timed.until_left(len(NUMBERS))
    await timed.close()
    seconds = (len(NUMBERS) - 1) / 8.0
    assert 0.99 * seconds <= moments[-1] - moments[0] <= 1.3 * seconds


async def test_a_call_that_was_queued_before_its_callout_had_a_limit_keeps_it_all_the_same(
    store: Store, tmp_path: Path
) -> None:
    own = await account(store)
    await callout_with(store, own, calls_per_second=8.0)
    await queued_calls(store, own, NUMBERS[:20], callout_id=PLANNED, _rank=4)
    timed = Timed(store, settings_for(NOWHERE, tmp_path), OwnedClock(), 1)
    moments = await timed.until_left(20)
    await timed.close()
    assert moments[-1] - moments[0] >= 0.99 * 19 / 8.0
    assert {call.get("_lane") for call in await calls_of(store)} >= {PLANNED}


async def test_no_more_calls_of_a_plan_are_in_flight_than_it_says_and_others_leave_beside_them(
    store: Store, tmp_path: Path
) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS, **await callout_with(store, own, calls_in_flight=2, priority=9))
    await queued_calls(store, own, OTHERS, _rank=4)
    slow = Faults(slow=1.0, slow_seconds=0.02)
    async with (
        carrier(faults=slow) as simulator,
        background(store, settings_for(simulator.base_url, tmp_path)) as jobs,
    ):
        jobs.runner.start()
        most = 0
        while not await rung(simulator, NUMBERS + OTHERS):
            most = max(most, jobs.dispatcher._rate_limiter._lanes[PLANNED].in_flight)
            if not await rung(simulator, OTHERS):
                assert len(simulator.ledger.requests) < len(NUMBERS)
            await asyncio.sleep(0)
        await jobs.runner.stop(patience=5)
    assert most == 2


async def rung(simulator: Simulator, numbers: list[str]) -> bool:
    return {request.to for request in simulator.ledger.requests} >= set(numbers)


async def test_what_a_lane_does_not_allow_leaves_room_for_others_by_rank(store: Store) -> None:
    own = await account(store)
    lane = await callout_with(store, own, calls_in_flight=1, priority=9)
    other = await callout_with(store, own, OTHER, calls_in_flight=1, priority=0)
    first = await queued_calls(store, own, NUMBERS[:10], **lane)
    middle = await queued_calls(store, own, NUMBERS[10:13], _rank=4)
    last = await queued_calls(store, own, NUMBERS[20:30], **other)
    view = store.for_account(own)
    claimed = await claim_calls(view, "queued", 6, later(60), None, {PLANNED: 2, OTHER: 9})
    assert [call["_id"] for call in claimed] == [*first[:2], *middle, last[0]]
    assert await claim_calls(view, "queued", 6, later(60), None, {PLANNED: 0, OTHER: 0}) == []
    assert [call["_id"] for call in await claim_calls(view, "queued", 2, later(60), None)] == first[2:4]


async def test_a_limit_that_is_taken_away_lets_the_calls_in_the_lane_go(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS, **await callout_with(store, own, calls_per_second=0.001))
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        jobs.runner.start()
        await eventually(lambda: rung(simulator, NUMBERS[:1]))
        await store.all_tenants.update_one("callouts", {"_id": PLANNED}, {"$set": {"plan": {"audience": {}}}})
        await eventually(lambda: rung(simulator, NUMBERS))
        await jobs.runner.stop(patience=5)
