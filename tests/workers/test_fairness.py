"""However much one account has queued, and however slow its provider is, another's calls leave at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from tests.workers.background import (
    Background,
    account,
    background,
    carrier,
    eventually,
    queued_calls,
    reached,
    settings_for,
)
from tests.workers.owned_clock import OwnedClock

MANY = [f"+1555008{number:04}" for number in range(2000)]
FEW = [f"+1555009{number:04}" for number in range(10)]
HOUR = 3600.0
SLOTS = 20


async def test_ten_calls_wait_for_few_of_the_thousands_that_another_account_has_queued(
    store: Store, tmp_path: Path
) -> None:
    """The provider takes its time: as many of the others' calls may leave meanwhile as a second holds."""
    crowded, small = await account(store), await account(store)
    await queued_calls(store, crowded, MANY)
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.1)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=SLOTS)
        async with background(store, settings) as jobs:
            jobs.runner.start()
            await eventually(lambda: reached(simulator, 3 * SLOTS))
            await queued_calls(store, small, FEW)
            before = len(simulator.ledger.requests)
            jobs.runner.wake()
            await eventually(lambda: all_of_few(simulator))
            assert len(simulator.ledger.requests) - before <= 10 * SLOTS + len(FEW)
            await jobs.runner.stop(patience=5)


async def all_of_few(simulator: Simulator) -> bool:
    return simulator.ledger.accepted_by_number().keys() >= set(FEW)


async def test_an_account_whose_provider_never_answers_keeps_no_other_from_calling(
    store: Store, tmp_path: Path
) -> None:
    stuck, well = await account(store), await account(store)
    somleng = {"settings": {"platform_provider_name": "somleng"}, "somleng_account_sid": "SM1"}
    await store.all_tenants.update_one(
        "accounts", {"_id": well}, {"$set": {**somleng, "somleng_auth_token": "secret"}}
    )
    await queued_calls(store, stuck, MANY[:200])
    async with carrier(faults=Faults(timeout=1.0)) as silent, carrier(account_sid="SM1") as quick:
        settings = settings_for(
            silent.base_url,
            tmp_path,
            calls_in_flight=SLOTS,
            provider_timeout=HOUR,
            lease_seconds=4 * HOUR,
            somleng_client_rest_api_base_url=quick.base_url,
        )
        async with background(store, settings) as jobs:
            jobs.runner.start()
            # A part of what may be in flight is left to others.
            await eventually(lambda: reached(silent, SLOTS * 3 // 4))
            for number in FEW:
                await queued_calls(store, well, [number])
                jobs.runner.wake()
                await eventually(lambda to=number: rung(quick, to))
            await jobs.runner.stop(patience=0)
        assert len(silent.ledger.requests) == SLOTS * 3 // 4


async def rung(simulator: Simulator, number: str) -> bool:
    return simulator.ledger.accepted_by_number()[number] > 0


async def test_no_more_calls_are_held_than_may_be_in_flight_however_many_wait(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await queued_calls(store, own, MANY)
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.02)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=SLOTS)
        async with background(store, settings) as jobs:
            jobs.runner.start()
            most = 0
            while len(simulator.ledger.requests) < 10 * SLOTS:
                most = max(most, await held(jobs))
            await jobs.runner.stop(patience=5)
            # Those that have their answer are held until it is stored.
            assert 0 < most <= 2 * SLOTS
            assert await held(jobs) == 0 and not jobs.send_journal._sent


async def held(jobs: Background) -> int:
    claimed = {"_work.lease": {"$exists": True}}
    return len(await jobs.store.all_tenants.find("phone_calls", claimed, fields=["_id"], sort=()))


async def test_where_the_database_is_slow_the_first_calls_leave_before_others_are_claimed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all of them would be late when the last are claimed, would be queued again, and so on for ever."""
    first, second = await account(store), await account(store)
    for own in (first, second):
        await queued_calls(store, own, FEW[:3])
    clock = OwnedClock()
    settings = settings_for("http://127.0.0.1:9", tmp_path)
    jobs = Background(store, settings, clock=clock)

    async def held(account_id: int) -> bool:
        clock.advance(settings.lease_seconds / 6)
        return False

    monkeypatch.setattr(jobs.callout_hold.holds, "held", held)
    for own in (first, second):
        claimed = await jobs.dispatcher.claim(SLOTS)
        assert [scheduled.call["account_id"] for scheduled in claimed] == [own] * 3
        assert not any(scheduled.late(clock.monotonic()) for scheduled in claimed)
    await jobs.close()
