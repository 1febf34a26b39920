"""A wall clock that is set: what waits is not kept for as long as the clock went back, and nobody is rung twice."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from scfm.clock import now
from scfm.models.references import DELETIONS, record_deletion
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers.clock_repair import MAX_CLOCK_DIFFERENCE
from scfm.workers.clock_watch import TOLERANCE, ClockWatch
from tests.workers.background import account, background, calls_of, carrier, pass_over, queued_calls, settings_for
from tests.workers.owned_clock import Wall

NOWHERE = "http://127.0.0.1:9"
NUMBERS = [f"+1555007{number:04}" for number in range(5)]
HOUR = timedelta(hours=1)


async def only(store: Store) -> Document:
    (call,) = await calls_of(store)
    return call


@pytest.mark.parametrize("restarted", [False, True])
async def test_queued_calls_leave_though_the_clock_went_back_by_an_hour(
    store: Store, tmp_path: Path, wall: Wall, caplog: pytest.LogCaptureFixture, restarted: bool
) -> None:
    await queued_calls(store, await account(store), NUMBERS)
    caplog.set_level(logging.INFO)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        async with background(store, settings) as jobs:
            await jobs.clock_repair.claim(1)
            if not restarted:
                wall.set(-HOUR)
                assert await pass_over(jobs.dispatcher) == 0, "else there is nothing to mend"
                await jobs.clock_repair.claim(1)
                await pass_over(jobs.dispatcher)
        if restarted:
            wall.set(-HOUR)
            async with background(store, settings) as jobs:
                await jobs.clock_repair.claim(1)
                await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([line for line in lines if "went back by 3600 s" in line]) == (not restarted), lines
    assert len([line for line in lines if line.startswith(f"{len(NUMBERS)} documents")]) == 1, lines


async def test_calls_that_wait_as_they_should_go_on_waiting(store: Store, tmp_path: Path, wall: Wall) -> None:
    own = await account(store)
    waits = {"due": now() + timedelta(minutes=30), "tries": 2}
    await queued_calls(store, own, NUMBERS[:1], _work=waits)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await jobs.clock_repair.claim(1)
        assert (await only(store))["_work"]["due"] == waits["due"]
        wall.set(-HOUR)  # what the provider asked for is over by now, for all that is known
        await jobs.clock_repair.claim(1)
        assert (await only(store))["_work"]["due"] <= now() + TOLERANCE


async def test_everything_that_has_a_time_is_brought_back(store: Store, tmp_path: Path, wall: Wall) -> None:
    own = await account(store)
    view, moment = store.for_account(own), now()
    checked = {"status": "remotely_queued", "_check": moment + timedelta(minutes=5), "_work": None}
    await queued_calls(store, own, NUMBERS[:1], **checked)
    settled = {"lease": moment, "attempt": {"id": "a", "at": moment, "log": None}, "reason": "time-out"}
    await queued_calls(store, own, NUMBERS[1:2], _work=settled)
    operation = {"_id": 1, "status": "queued", "type": "x", "_work": {"due": moment}, "updated_at": moment}
    running = {**operation, "_id": 2, "status": "running", "_work": {"due": moment + timedelta(seconds=30)}}
    await view.insert_many("batch_operations", [operation, running])
    await record_deletion(view, "token", "contacts", 1)
    marked = {"_deleting": {"token": "t", "until": moment + timedelta(seconds=10)}, "_renumbered": {"due": moment}}
    (number,) = await store.counters.ids("contact").allocate(1)
    await view.insert_many("contacts", [{"_id": number, "msisdn": "+1", **marked}])
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await jobs.clock_repair.claim(1)
        wall.set(-2 * HOUR)
        await jobs.clock_repair.claim(1)
        soon = now() + timedelta(minutes=5) + TOLERANCE
        first, second = await calls_of(store)
        assert first["_check"] <= soon and second["_work"]["lease"] <= soon
        assert all(one["_work"]["due"] <= soon for one in await view.find("batch_operations", {}))
        (deletion,) = await store.all_tenants.find(DELETIONS, {})
        assert deletion["due"] <= soon
        contact = await view.get("contacts", number)
        assert contact["_deleting"]["until"] <= soon and contact["_renumbered"]["due"] <= soon


async def test_a_lease_under_which_a_call_may_leave_is_left_alone(store: Store, tmp_path: Path, wall: Wall) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.dispatcher.claim(1)
        lease = (await only(store))["_work"]["lease"]
        wall.set(-HOUR)
        await jobs.clock_repair.claim(1)
        assert (await only(store))["_work"]["lease"] == lease
        await jobs.dispatcher.process(taken)
        assert simulator.ledger.accepted_by_number() == {NUMBERS[0]: 1}


@pytest.mark.parametrize("back_again", [False, True])
async def test_a_clock_that_jumps_forward_gives_no_call_to_two_senders(
    store: Store, tmp_path: Path, wall: Wall, back_again: bool
) -> None:
    """By the clock its lease has run out, but its sender lives."""
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.dispatcher.claim(1)
        wall.set(HOUR)
        assert await pass_over(jobs.reconciler) == 0
        assert await pass_over(jobs.dispatcher) == 0
        if back_again:
            wall.set(-HOUR)
            assert await pass_over(jobs.reconciler) == 0
        await jobs.dispatcher.process(taken)
        while (await only(store))["status"] == "queued":
            await jobs.clock_repair.claim(1)
            await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NUMBERS[0]: 1}


async def test_small_steps_of_the_clock_are_no_matter(wall: Wall, caplog: pytest.LogCaptureFixture) -> None:
    steady = [100.0]
    watch = ClockWatch(lambda: steady[0])
    for step in (TOLERANCE / 3, -TOLERANCE / 3, TOLERANCE / 3):
        wall.set(step)
        assert not watch.was_set_within(60)
    wall.set(-2 * MAX_CLOCK_DIFFERENCE)
    assert watch.was_set_within(60) and watch.gone_back > MAX_CLOCK_DIFFERENCE
    steady[0] += 61
    wall.set(timedelta(seconds=61))
    assert not watch.was_set_within(60)
    assert len(caplog.records) == 1
