"""How fast calls leave: by the account's own limits and the server's, and by how the provider is doing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import NotSent, ProviderError, Unknown
from scfm.runtime.backoff import Backoff
from scfm.settings import Settings
from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.workers import circuit_breaker as module
from scfm.workers.circuit_breaker import FAILURES_TO_OPEN
from tests.workers.background import (
    Background,
    account,
    calls_of,
    carrier,
    eventually,
    queued_calls,
    settings_for,
)
from tests.workers.owned_clock import OwnedClock, OwnedStore, Watched

NOWHERE = "http://127.0.0.1:9"
RATE = 40.0
# One account leaves a part of the ten places to others.
ROOM = 7
NUMBERS = [f"+1555002{number:04}" for number in range(40)]
OTHERS = [f"+1555003{number:04}" for number in range(10)]


async def limit(store: Store, account_id: int, **settings: Any) -> None:
    await store.all_tenants.update_one("accounts", {"_id": account_id}, {"$set": {"settings": settings}})


async def rings(simulator: Simulator, numbers: list[str]) -> None:
    """Wait until the carrier has a request for each of the numbers."""

    async def all_asked() -> bool:
        return {request.to for request in simulator.ledger.requests} >= set(numbers)

    await eventually(all_asked)


@asynccontextmanager
async def running(store: Store, settings: Settings, provider: Provider | None = None) -> AsyncIterator[Background]:
    """A process at work."""
    jobs = Background(store, settings, provider)
    jobs.runner.start()
    try:
        yield jobs
    finally:
        await jobs.runner.stop(patience=5)
        await jobs.close()


class Timed:
    """Processes that send calls by a clock that stands still while any of them has something to do."""

    def __init__(self, store: Store, settings: Settings, clock: OwnedClock, processes: int) -> None:
        self.clock = clock
        self.provider = Watched(clock)
        owned = OwnedStore.within(store, clock)
        self.processes = [Background(owned, settings, self.provider, clock=clock) for _ in range(processes)]
        self._working: set[asyncio.Task[None]] = set()

    async def claim(self) -> None:
        """Each process takes what it may; return when all that has been taken waits for its moment, or is done."""
        for jobs in self.processes:
            for item in await jobs.dispatcher.claim(jobs.dispatcher.slots):
                self._working.add(asyncio.create_task(jobs.dispatcher.process(item)))
        await self.settle()

    async def settle(self) -> None:
        """Return when nothing goes on before the clock does."""
        while sum(not task.done() for task in self._working) > self.clock.sleeping:
            await asyncio.sleep(0)
        for task in [task for task in self._working if task.done()]:
            self._working.remove(task)
            task.result()

    async def advance(self, seconds: float) -> None:
        """Let so many seconds go by at once."""
        self.clock.advance(seconds)
        await self.settle()

    async def until_left(self, count: int) -> list[float]:
        """Go on until COUNT calls have left; when they did."""
        for _ in range(10_000):
            if len(self.provider.left) >= count:
                return self.provider.moments
            await self.claim()
            soon = self.clock.monotonic() + 0.01
            await self.advance(min(self.clock.next_waking or soon, soon) - self.clock.monotonic())
        raise AssertionError(f"only {len(self.provider.left)} calls have left")

    async def close(self) -> None:
        for jobs in self.processes:
            await jobs.close()


def has_no_burst(moments: list[float], rate: float = RATE) -> bool:
    """Nowhere do many calls leave together, such as processes would let that knew nothing of each other."""
    early = int(rate / 4)
    return all(late - soon > 0.15 for soon, late in zip(moments, moments[early:], strict=False))


@pytest.mark.parametrize("whose", ["account", "server"])
async def test_the_rate_is_kept_by_two_processes_together(store: Store, tmp_path: Path, whose: str) -> None:
    own = await account(store)
    rate = {"calls_per_second": RATE}
    if whose == "account":
        await limit(store, own, **rate)
    await queued_calls(store, own, NUMBERS)
    settings = settings_for(NOWHERE, tmp_path, **(rate if whose == "server" else {}))
    timed = Timed(store, settings, OwnedClock(), processes=2)
    moments = await timed.until_left(len(NUMBERS))
    await timed.close()
    assert sorted(to for _, to in timed.provider.left) == NUMBERS
    assert moments[-1] - moments[0] >= 0.99 * (len(NUMBERS) - 1) / RATE
    assert has_no_burst(moments)


@pytest.mark.parametrize("rate", [0.01, 0.000001])
async def test_a_rate_that_is_raised_holds_at_once_in_every_process(
    store: Store, tmp_path: Path, rate: float
) -> None:
    own = await account(store)
    await queued_calls(store, own, NUMBERS)
    await limit(store, own, calls_per_second=rate)
    timed = Timed(store, settings_for(NOWHERE, tmp_path), OwnedClock(), processes=2)
    await timed.until_left(1)
    for _ in range(20):
        await timed.claim()
        await timed.advance(0.1)
    assert len(timed.provider.left) == 1
    await limit(store, own, calls_per_second=RATE)
    for jobs in timed.processes:
        jobs.accounts.forget()
    raised = timed.clock.monotonic()
    moments = await timed.until_left(len(NUMBERS))
    await timed.close()
    assert moments[1] - raised < 1
    assert sorted(to for _, to in timed.provider.left) == NUMBERS
    assert has_no_burst(moments)


@pytest.mark.parametrize("whose", ["account", "server"])
async def test_calls_that_missed_their_moments_while_the_machine_stood_still_do_not_leave_together(
    store: Store, tmp_path: Path, whose: str
) -> None:
    own = await account(store)
    rate = {"calls_per_second": RATE}
    if whose == "account":
        await limit(store, own, **rate)
    await queued_calls(store, own, NUMBERS)
    settings = settings_for(NOWHERE, tmp_path, **(rate if whose == "server" else {}))
    timed = Timed(store, settings, OwnedClock(), processes=2)
    await timed.until_left(5)
    for stall in (0.3, 5.0):
        await timed.claim()
        assert timed.clock.sleeping > 5, "else nothing could leave together"
        before = len(timed.provider.left)
        await timed.advance(stall)
        assert len(timed.provider.left) - before <= 3
        await timed.until_left(before + 5)
    moments = await timed.until_left(len(NUMBERS))
    await timed.close()
    assert sorted(to for _, to in timed.provider.left) == NUMBERS
    assert has_no_burst(moments)


async def test_the_rate_of_the_server_holds_for_all_accounts_together(store: Store, tmp_path: Path) -> None:
    for numbers in (NUMBERS[:20], NUMBERS[20:]):
        own = await account(store)
        await limit(store, own, calls_per_second=2 * RATE)
        await queued_calls(store, own, numbers)
    timed = Timed(store, settings_for(NOWHERE, tmp_path, calls_per_second=RATE), OwnedClock(), processes=1)
    moments = await timed.until_left(len(NUMBERS))
    await timed.close()
    assert moments[-1] - moments[0] >= 0.99 * (len(NUMBERS) - 1) / RATE
    assert has_no_burst(moments)


async def test_one_accounts_rate_does_not_slow_another(store: Store, tmp_path: Path) -> None:
    slow = await account(store)
    await limit(store, slow, calls_per_second=1)
    await queued_calls(store, slow, NUMBERS)
    await queued_calls(store, await account(store), OTHERS)
    timed = Timed(store, settings_for(NOWHERE, tmp_path), OwnedClock(), processes=1)
    while not {to for _, to in timed.provider.left} >= set(OTHERS):
        await timed.claim()
    await timed.close()
    assert sum(to in NUMBERS for _, to in timed.provider.left) <= 3


class Crowd(Provider):
    """A provider that counts how many requests are under way at once, over all and by account."""

    def __init__(self) -> None:
        super().__init__(timeout=5)
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        whose = ("all", "own" if to in NUMBERS else "other")
        self.under_way.update(whose)
        for name in whose:
            self.most[name] = max(self.most[name], self.under_way[name])
        try:
            return await super().create_call(credentials, to, params, *leaving)
        finally:
            self.under_way.subtract(whose)


async def test_no_more_calls_are_in_flight_than_the_account_and_the_server_allow(
    store: Store, tmp_path: Path
) -> None:
    modest = await account(store)
    await limit(store, modest, calls_in_flight=3)
    await queued_calls(store, modest, NUMBERS[:15])
    await queued_calls(store, await account(store), OTHERS)
    provider = Crowd()
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.05)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=8)
        async with running(store, settings, provider):
            await rings(simulator, [*NUMBERS[:15], *OTHERS])
    assert provider.most["own"] == 3
    assert 3 < provider.most["other"] <= 6, "one account leaves room for others"
    assert provider.most["all"] <= 8


class Choosy(Provider):
    """Asks the account of one sid to wait, and counts how often it must."""

    refused = 0

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        if to in NUMBERS:
            self.refused += 1
            raise NotSent("Unable to create record: Too many requests", retry_after=60.0)
        return await super().create_call(credentials, to, params, *leaving)


async def test_a_429_slows_its_account_down_and_no_other(store: Store, tmp_path: Path) -> None:
    throttled = await account(store)
    await limit(store, throttled, calls_in_flight=4)
    await queued_calls(store, throttled, NUMBERS)
    provider = Choosy(timeout=5)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=0.05)
        async with running(store, settings, provider) as jobs:

            async def all_back() -> bool:
                return provider.refused > 0 and not await store.all_tenants.exists(
                    "phone_calls", {"_work.lease": {"$exists": True}}
                )

            await eventually(all_back)
            await queued_calls(store, await account(store), OTHERS)
            jobs.runner.wake()
            await rings(simulator, OTHERS)
    assert 1 <= provider.refused <= 4
    waiting = [call for call in await calls_of(store) if call["msisdn"] in NUMBERS]
    assert {call["status"] for call in waiting} == {"queued"}


class Sick(Provider):
    """Fails until it is well; how many were under way together, at each request."""

    def __init__(self, error: ProviderError, failures: int) -> None:
        super().__init__(timeout=5)
        self._error = error
        self._failures = failures
        self._under_way = 0
        self._enough = asyncio.Event()
        self.together: list[int] = []

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        self._under_way += 1
        self.together.append(self._under_way)
        try:
            if len(self.together) >= FAILURES_TO_OPEN:
                self._enough.set()
            if len(self.together) <= self._failures:
                await self._enough.wait()
                raise self._error
            return await super().create_call(credentials, to, params, *leaving)
        finally:
            self._under_way -= 1


@pytest.mark.parametrize("error", [Unknown("HTTP 500"), NotSent("connection refused")], ids=["5xx", "network"])
async def test_a_provider_that_fails_is_tried_with_single_calls_until_it_is_well(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ProviderError
) -> None:
    monkeypatch.setattr(module, "PROBE_BACKOFF", Backoff(0.02, 0.02, jitter=0))
    await queued_calls(store, await account(store), NUMBERS)
    failures = FAILURES_TO_OPEN + 3
    provider = Sick(error, failures)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=0.05, calls_in_flight=7)
        async with running(store, settings, provider):
            await eventually(lambda: is_empty(store))
        rung = simulator.ledger.accepted_by_number()
    assert set(rung.values()) == {1}
    assert max(provider.together[:FAILURES_TO_OPEN]) > 1, "else there was nothing to open"
    assert provider.together[FAILURES_TO_OPEN : failures + 1] == [1, 1, 1, 1]
    assert max(provider.together[failures + 1 :]) > 1, "it is not closed again"


async def is_empty(store: Store) -> bool:
    return not await store.all_tenants.exists("phone_calls", {"status": "queued"})
