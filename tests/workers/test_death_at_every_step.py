"""A process that sends calls is ended between any two of its steps; the next one finishes what it left.

Whatever the step: no phone rings twice, every call ends, and it ends as the carrier has it.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from scfm.providers.client import Provider
from scfm.settings import Settings
from scfm.simulator.simulator import Simulator
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import call_holds, callout_hold, dispatcher, opt_out_looks
from scfm.workers.reconciler import LOST
from tests.workers.background import (
    Background,
    account,
    background,
    calls_of,
    carrier,
    eventually,
    pass_over,
    queued_calls,
    settings_for,
)
from tests.workers.mortal import Life, MortalProvider, MortalSendJournal, MortalStore, live

MAX_STEPS = 200
# What a process has that dies is another's after so many seconds.
SOON = 0.1


@pytest.fixture(autouse=True)
def looks_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process takes as many steps however busy the machine is: what it has looked at, it does not look at again."""
    monkeypatch.setattr(call_holds, "HOLD_CACHE_SECONDS", 60.0)
    monkeypatch.setattr(opt_out_looks, "OPT_OUT_CACHE_SECONDS", 60.0)
    for module in (callout_hold, dispatcher):
        monkeypatch.setattr(module, "CALLOUT_CACHE_SECONDS", 60.0)


def mortal(store: Store, settings: Settings, life: Life) -> Background:
    """The jobs of a process that dies at a step."""
    return Background(
        MortalStore.within(store, life),
        settings,
        MortalProvider(life, timeout=settings.provider_timeout),
        MortalSendJournal.within(settings.data_dir, life),
    )


async def sends_until_death(store: Store, settings: Settings, ends_at: int | None) -> Life:
    """Send what is queued, as a process that dies at that step; its life."""
    life = Life(ends_at)
    process = mortal(store, settings, life)

    async def send() -> None:
        await pass_over(process.dispatcher)

    await live(send(), life)
    await process.close()
    return life


async def settles_until_death(store: Store, settings: Settings, ends_at: int | None) -> Life:
    """Settle what an earlier process left, as a process that dies at that step; its life."""
    settings = replace(settings, lease_seconds=SOON)
    life = Life(ends_at)
    process = mortal(store, settings, life)

    async def settle() -> None:
        for _ in range(3):
            await pass_over(process.reconciler)
            await pass_over(process.dispatcher)

    await live(settle(), life)
    await process.close()
    return life


async def finishes(store: Store, settings: Settings) -> list[Document]:
    """A new process finishes whatever there is; every call, as it ended."""

    async def ended() -> list[Document] | None:
        await pass_over(jobs.reconciler)
        await pass_over(jobs.dispatcher)
        calls = await calls_of(store)
        return calls if all(call["status"] != "queued" for call in calls) else None

    async with background(store, settings) as jobs:
        return await eventually(ended)


def check(calls: list[Document], simulator: Simulator) -> int:
    """Check every call against what the carrier has; how many it never got."""
    rung = simulator.ledger.accepted_by_number()
    lost = 0
    for call in calls:
        assert rung[call["msisdn"]] <= 1, call
        if rung[call["msisdn"]] == 1:
            assert call["status"] == "remotely_queued", call
            assert call["remote_call_id"] in {one.sid for one in simulator.carrier.calls if one.to == call["msisdn"]}
        else:
            assert (call["status"], call["remote_error_message"]) == ("errored", LOST), call
            lost += 1
        assert "_work" not in call
    return lost


async def begin_anew(store: Store, simulator: Simulator, *numbers: str) -> None:
    """Forget every call, and queue one to each number, in turn from two accounts."""
    await store.all_tenants.remove("phone_calls", {})
    simulator.ledger.requests.clear()
    accounts = [found["_id"] for found in await store.all_tenants.find("accounts", {})]
    for account_id, number in zip(itertools.cycle(accounts), numbers, strict=False):
        await queued_calls(store, account_id, [number])


async def test_a_process_that_sends_a_call_may_die_at_any_step(store: Store, tmp_path: Path) -> None:
    lost = []
    await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        for step in range(1, MAX_STEPS):
            await begin_anew(store, simulator, f"+1555{step:07}")
            life = await sends_until_death(store, settings, step)
            lost.append(check(await finishes(store, settings), simulator))
            if not life.over:
                break
    # Only between the line in the log and the request is it unknown whether a call that the carrier lacks left.
    assert not life.over and len(lost) > 10 and sum(lost) <= 2, lost


async def test_a_process_that_sends_calls_of_two_accounts_may_die_at_any_step(store: Store, tmp_path: Path) -> None:
    lost = []
    await account(store)
    await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        for step in range(1, MAX_STEPS):
            await begin_anew(store, simulator, *(f"+1555{step:04}{call:03}" for call in range(3)))
            life = await sends_until_death(store, settings, step)
            lost.append(check(await finishes(store, settings), simulator))
            if not life.over:
                break
    assert not life.over and len(lost) > 30 and max(lost) <= 1 and sum(lost) <= 6, lost


async def test_a_process_that_settles_calls_may_die_at_any_step(store: Store, tmp_path: Path) -> None:
    """The first process dies when its calls have rung and it has not written so down."""
    await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        after_ringing = await steps_until_ringing(store, settings, simulator)
        for step in range(1, MAX_STEPS):
            await begin_anew(store, simulator, f"+1555{step:07}")
            await sends_until_death(store, settings, after_ringing)
            assert len(simulator.ledger.requests) == 1
            life = await settles_until_death(store, settings, step)
            assert check(await finishes(store, settings), simulator) == 0
            if not life.over:
                break
    assert not life.over and step > 5


async def steps_until_ringing(store: Store, settings: Settings, simulator: Simulator) -> int:
    """How many steps a process lives that dies between the carrier's answer and its own note of it."""
    for step in range(1, MAX_STEPS):
        await begin_anew(store, simulator, "+15550000000")
        await sends_until_death(store, settings, step)
        if simulator.ledger.requests:
            await finishes(store, settings)
            return step
    raise AssertionError("no call was sent")


async def test_two_processes_that_die_one_after_the_other_ring_nobody_twice(store: Store, tmp_path: Path) -> None:
    await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        for first, second in itertools.product(range(1, 24, 4), range(1, 40, 6)):
            await begin_anew(store, simulator, f"+1555{first:03}{second:04}")
            await sends_until_death(store, settings, first)
            await settles_until_death(store, settings, second)
            assert check(await finishes(store, settings), simulator) <= 1


async def test_a_real_provider_is_what_a_mortal_one_is_without_death(store: Store, tmp_path: Path) -> None:
    await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        await begin_anew(store, simulator, "+15550000001")
        assert isinstance(mortal(store, settings, Life(None)).provider, Provider)
        assert not (await sends_until_death(store, settings, None)).over
        assert check(await calls_of(store), simulator) == 0
