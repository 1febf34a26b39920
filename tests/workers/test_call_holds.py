"""Calls of an account, or of the whole server, that are held: from that moment on none of them leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from scfm.models.call_hold import hold_or_release
from scfm.simulator.faults import Faults
from scfm.storage.store import Store
from scfm.workers import call_holds
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

NUMBERS = [f"+1555002{number:04}" for number in range(30)]
# Whose calls are held: the account's own, or everybody's.
EACH = pytest.mark.parametrize("whole_server", [False, True])


async def tell(jobs: Background, account_id: int | None, event: str) -> None:
    """The event, as it comes to this process."""
    await hold_or_release(jobs.store.all_tenants, account_id, event)
    jobs.callout_hold.holds.on_changed(account_id)


async def untouched(store: Store) -> bool:
    """Whether every call waits as on the first day: nobody has it, and nothing is said of it."""
    return all(
        call["status"] == "queued" and "lease" not in call["_work"] and call["remote_error_message"] is None
        for call in await calls_of(store)
    )


@EACH
async def test_calls_that_were_claimed_before_a_hold_do_not_leave(
    store: Store, tmp_path: Path, whole_server: bool
) -> None:
    own = await account(store)
    held = None if whole_server else own
    await queued_calls(store, own, NUMBERS[:5])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        claimed = await jobs.dispatcher.claim(5)
        await tell(jobs, held, "hold")
        for item in claimed:
            await jobs.dispatcher.process(item)
        assert not simulator.ledger.requests
        assert await untouched(store)
        assert await pass_over(jobs.dispatcher) == 0
        await tell(jobs, held, "release")
        assert await pass_over(jobs.dispatcher) == 5
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:5], 1)


@EACH
async def test_a_hold_in_the_middle_stops_the_sending_and_a_release_finishes_it(
    store: Store, tmp_path: Path, whole_server: bool
) -> None:
    own = await account(store)
    held = None if whole_server else own
    await queued_calls(store, own, NUMBERS)
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.05)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=4)
        async with background(store, settings) as jobs:
            jobs.runner.start()
            await eventually(lambda: reached(simulator, 5))
            await tell(jobs, held, "hold")
            left = len(simulator.ledger.requests)
            await eventually(lambda: nothing_claimed(store))
            # Those whose request was being written when the hold came.
            assert len(simulator.ledger.requests) <= left + settings.calls_in_flight < len(NUMBERS)
            await tell(jobs, held, "release")
            jobs.runner.wake()
            await eventually(lambda: reached(simulator, len(NUMBERS)))
            await jobs.runner.stop(patience=5)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)


@EACH
async def test_a_process_that_starts_during_a_hold_sends_nothing(
    store: Store, tmp_path: Path, whole_server: bool
) -> None:
    own = await account(store)
    held = None if whole_server else own
    await queued_calls(store, own, NUMBERS[:3])
    await hold_or_release(store.all_tenants, held, "hold")
    async with carrier() as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            assert await pass_over(jobs.dispatcher) == 0
            assert await untouched(store)
        await hold_or_release(store.all_tenants, held, "release")
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            assert await pass_over(jobs.dispatcher) == 3


async def test_another_process_sees_a_hold_when_it_looks_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_holds, "HOLD_CACHE_SECONDS", 0.0)
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:4])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        for held in (own, None):
            claimed = await jobs.dispatcher.claim(4)
            assert len(claimed) == 4
            await hold_or_release(store.all_tenants, held, "hold")
            for item in claimed:
                await jobs.dispatcher.process(item)
            await hold_or_release(store.all_tenants, held, "release")
        assert not simulator.ledger.requests


async def test_nobody_elses_calls_wait_for_an_account_that_holds_its_own(store: Store, tmp_path: Path) -> None:
    own, other = await account(store), await account(store)
    await queued_calls(store, own, NUMBERS[:20])
    await queued_calls(store, other, NUMBERS[20:])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await tell(jobs, own, "hold")
        assert await pass_over(jobs.dispatcher) == 10
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[20:], 1)


async def test_each_hold_is_lifted_where_it_was_made(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:3])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await tell(jobs, own, "hold")
        await tell(jobs, None, "hold")
        await tell(jobs, None, "release")
        assert await pass_over(jobs.dispatcher) == 0
        await tell(jobs, None, "hold")
        await tell(jobs, own, "release")
        assert await pass_over(jobs.dispatcher) == 0
        await tell(jobs, None, "release")
        assert await pass_over(jobs.dispatcher) == 3
