"""A callout that is paused or stopped: from that moment on none of its queued calls leaves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scfm.simulator.faults import Faults
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers import call_holds
from scfm.workers import callout_hold as module
from scfm.workers.call_holds import CallHolds
from scfm.workers.callout_hold import CalloutHold
from tests.workers.background import (
    Background,
    account,
    background,
    calls_of,
    carrier,
    eventually,
    nothing_claimed,
    pass_over,
    queued_calls,
    reached,
    settings_for,
)

CALLOUT = 1
NUMBERS = [f"+1555001{number:04}" for number in range(30)]


async def callout(store: Store, status: str, numbers: list[str]) -> int:
    """A callout of a new account, and a queued call to each of the numbers; the account's id."""
    own = await account(store)
    await store.for_account(own).insert_many("callouts", [{"_id": CALLOUT, "status": status}])
    await queued_calls(store, own, numbers, callout_id=CALLOUT)
    return own


async def becomes(jobs: Background, status: str) -> None:
    """An event moves the callout, as it comes to this process."""
    moved = await jobs.store.all_tenants.update_one("callouts", {"_id": CALLOUT}, {"$set": {"status": status}})
    assert moved is not None
    await jobs.callout_hold.on_event(moved)


async def statuses(store: Store) -> set[str]:
    return {call["status"] for call in await calls_of(store)}


@pytest.mark.parametrize("status", ["initialized", "running"])
async def test_a_callout_sends_whether_or_not_it_was_started(store: Store, tmp_path: Path, status: str) -> None:
    await callout(store, status, NUMBERS[:2])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        assert len(simulator.ledger.requests) == 2
    assert await statuses(store) == {"remotely_queued"}


@pytest.mark.parametrize(("event", "then"), [("paused", "queued"), ("stopped", "canceled")])
async def test_calls_that_were_claimed_before_the_event_do_not_leave(
    store: Store, tmp_path: Path, event: str, then: str
) -> None:
    await callout(store, "running", NUMBERS[:5])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        claimed = await jobs.dispatcher.claim(5)
        assert len(claimed) == 5
        await becomes(jobs, event)
        for item in claimed:
            await jobs.dispatcher.process(item)
        assert not simulator.ledger.requests
        assert await statuses(store) == {then}
        assert await pass_over(jobs.dispatcher) == 0


async def test_a_pause_holds_every_queued_call_at_once_and_a_resume_lets_them_go(
    store: Store, tmp_path: Path
) -> None:
    await callout(store, "running", NUMBERS)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await becomes(jobs, "paused")
        assert [call["_work"] for call in await calls_of(store)] == [{"held": True}] * len(NUMBERS)
        assert await pass_over(jobs.dispatcher) == 0
        await becomes(jobs, "running")
        await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)
    assert await statuses(store) == {"remotely_queued"}


async def test_a_stop_cancels_what_waits_and_what_a_pause_has_held_and_a_resume_does_not_bring_it_back(
    store: Store, tmp_path: Path
) -> None:
    await callout(store, "running", NUMBERS[:4])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await becomes(jobs, "paused")
        own = (await calls_of(store))[0]["account_id"]
        await queued_calls(store, own, NUMBERS[4:6], callout_id=CALLOUT)
        await becomes(jobs, "stopped")
        assert await statuses(store) == {"canceled"}
        assert all("_work" not in call for call in await calls_of(store))
        await becomes(jobs, "running")
        await queued_calls(store, own, NUMBERS[6:7], callout_id=CALLOUT)
        await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NUMBERS[6]: 1}


async def test_a_pause_in_the_middle_stops_the_sending_and_a_resume_finishes_it(store: Store, tmp_path: Path) -> None:
    await callout(store, "running", NUMBERS)
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.05)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=4)
        async with background(store, settings) as jobs:
            jobs.runner.start()
            await eventually(lambda: reached(simulator, 5))
            await becomes(jobs, "paused")
            left = len(simulator.ledger.requests)
            await eventually(lambda: nothing_claimed(store))
            # Those whose request was being written when the event came.
            assert len(simulator.ledger.requests) <= left + settings.calls_in_flight < len(NUMBERS)
            assert await statuses(store) == {"queued", "remotely_queued"}
            await becomes(jobs, "running")
            jobs.runner.wake()
            await eventually(lambda: reached(simulator, len(NUMBERS)))
            await jobs.runner.stop(patience=5)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)


async def test_a_call_that_waits_for_its_moment_does_not_leave_once_its_callout_is_paused(
    store: Store, tmp_path: Path
) -> None:
    await callout(store, "running", NUMBERS[:3])
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_per_second=8.0)
        async with background(store, settings) as jobs:
            claimed = await eventually(lambda: jobs.dispatcher.claim(3))
            await becomes(jobs, "paused")
            for item in claimed:
                await jobs.dispatcher.process(item)
            assert not simulator.ledger.requests
    assert await statuses(store) == {"queued"}


async def test_another_process_sees_the_event_when_it_looks_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CALLOUT_CACHE_SECONDS", 0.0)
    await callout(store, "running", NUMBERS[:2])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        claimed = await jobs.dispatcher.claim(2)
        await store.all_tenants.update_one("callouts", {"_id": CALLOUT}, {"$set": {"status": "paused"}})
        for item in claimed:
            await jobs.dispatcher.process(item)
        assert not simulator.ledger.requests


class Interrupted(TenantView):
    """A view in which an event comes between what is read and whoever reads it."""

    event: Any = None

    async def find(self, collection: str, *given: Any, **options: Any) -> list[Document]:
        found = await super().find(collection, *given, **options)
        if collection == "callouts" and self.event is not None:
            event, self.event = self.event, None
            await event()
        return found


async def test_an_event_that_comes_while_the_callout_is_looked_at_is_not_missed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await callout(store, "running", NUMBERS[:1])
    view = Interrupted(store.backend, own)
    monkeypatch.setattr(store, "for_account", lambda account_id: view)
    callout_hold = CalloutHold(store)

    async def pause() -> None:
        paused = await view.update_one("callouts", {"_id": CALLOUT}, {"$set": {"status": "paused"}})
        assert paused is not None
        await callout_hold.on_event(paused)

    view.event = pause
    call = {"account_id": own, "callout_id": CALLOUT, "msisdn": NUMBERS[0]}
    assert await callout_hold.blocking_status(call) == "paused"
    assert await callout_hold.blocking_status(call) == "paused"


async def test_what_may_have_rung_is_settled_whatever_becomes_of_its_callout(store: Store, tmp_path: Path) -> None:
    await callout(store, "running", NUMBERS[:2])
    async with carrier(faults=Faults(drop_after=1.0)) as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
            await becomes(jobs, "stopped")
            assert await statuses(store) == {"queued"}
            await eventually(lambda: pass_over(jobs.reconciler))
        rung = {request.sid for request in simulator.ledger.requests}
    calls = await calls_of(store)
    assert {call["remote_call_id"] for call in calls} == rung
    assert await statuses(store) == {"remotely_queued"}


async def test_a_call_without_a_callout_is_not_kept_back(store: Store) -> None:
    callout_hold = CalloutHold(store)
    call = {"account_id": 1, "msisdn": NUMBERS[0]}
    assert await callout_hold.blocking_status({**call, "callout_id": None}) is None
    assert await callout_hold.blocking_status(call) is None


async def test_a_callout_that_is_gone_lets_nothing_through(store: Store) -> None:
    assert await CalloutHold(store).blocking_status({"account_id": 1, "callout_id": 77}) == "stopped"


async def test_many_calls_cost_a_look_at_their_account_and_one_at_each_callout(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The database is so slow that what was seen is out of date when the answer comes.
    monkeypatch.setattr(module, "CALLOUT_CACHE_SECONDS", -1.0)
    monkeypatch.setattr(call_holds, "HOLD_CACHE_SECONDS", -1.0)
    looks: Counter[str] = Counter()

    class Counted(CalloutHold):
        async def _read(self, callout: tuple[int, int]) -> Any:
            looks["callout"] += 1
            return await super()._read(callout)

    class CountedHolds(CallHolds):
        async def _read(self, account_id: int) -> bool:
            looks["account"] += 1
            return await super()._read(account_id)

    own = await callout(store, "running", NUMBERS)
    await store.for_account(own).insert_many("callouts", [{"_id": CALLOUT + 1, "status": "paused"}])
    await queued_calls(store, own, NUMBERS, callout_id=CALLOUT + 1)
    hold = Counted(store)
    hold.holds = CountedHolds(store)
    calls = await calls_of(store)
    found = await hold.blocking_statuses(own, calls)
    assert Counter(found) == {None: len(NUMBERS), "paused": len(NUMBERS)}
    assert looks == {"account": 1, "callout": 2}
