"""Calls that a provider has put off, by a 429 or an outage, when their account is given another provider."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import NotSent, ProviderError
from scfm.runtime.backoff import Backoff
from scfm.storage.store import Store
from scfm.workers import circuit_breaker
from scfm.workers import placement_recorder as send_module
from tests.workers.background import TOKEN, account, background, carrier, pass_over, queued_calls, settings_for
from tests.workers.test_account_refusals import NUMBERS, own_credentials, rotate, statuses


class Crowded(Provider):
    """Fails for the token "wrong"."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(timeout=5)
        self._error = error

    async def create_call(self, credentials: Credentials, *given: Any) -> RemoteCall:
        if credentials.auth_token == "wrong":
            raise self._error
        return await super().create_call(credentials, *given)


@pytest.mark.parametrize("retry_after", [3600.0, None])
async def test_calls_that_were_put_off_try_at_once_when_the_accounts_credentials_have_changed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retry_after: float | None
) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_BACKOFF", Backoff(1000.0, 1000.0, jitter=0))
    monkeypatch.setattr(send_module, "SEND_BACKOFF", Backoff(1000.0, 1000.0))
    own = await account(store)
    await own_credentials(store, own, "wrong")
    numbers = NUMBERS[:5]
    await queued_calls(store, own, numbers)
    crowded = Crowded(NotSent("Unable to create record: Too Many Requests", retry_after))
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        jobs.dispatcher._provider = crowded
        assert await pass_over(jobs.dispatcher) == len(numbers)
        assert await pass_over(jobs.dispatcher) == 0
        await own_credentials(store, own, TOKEN)
        jobs.accounts.forget()
        while set(await statuses(store)) != {"remotely_queued"}:
            assert await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(numbers, 1)
        await crowded.close()


async def test_a_429_beside_a_call_that_is_taken_is_not_forgotten(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await own_credentials(store, own, TOKEN)
    await queued_calls(store, own, NUMBERS[:4])
    both, refused = asyncio.Event(), asyncio.Event()

    class Uneven(Crowded):
        async def create_call(self, credentials: Credentials, to: str, *given: Any) -> RemoteCall:
            if to == NUMBERS[0]:
                await both.wait()
                refused.set()
                raise self._error
            both.set()
            await refused.wait()
            return await super().create_call(credentials, to, *given)

    uneven = Uneven(NotSent("Unable to create record: Too Many Requests", 3600.0))
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        jobs.dispatcher._provider = uneven
        await asyncio.gather(*map(jobs.dispatcher.process, await jobs.dispatcher.claim(2)))
        assert await statuses(store) == {"remotely_queued": 1, "queued": 3}
        assert await pass_over(jobs.dispatcher) == 0
        jobs.dispatcher._provider = jobs.provider
        rotate(simulator, "another")
        await own_credentials(store, own, "another")
        jobs.accounts.forget()
        assert await pass_over(jobs.dispatcher) == 3
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:4], 1)
        await uneven.close()


async def test_an_account_that_is_kept_back_and_deleted_keeps_no_other_back(store: Store, tmp_path: Path) -> None:
    own, other = await account(store), await account(store)
    await own_credentials(store, own, "wrong")
    await queued_calls(store, own, NUMBERS[:1])
    crowded = Crowded(NotSent("Unable to create record: Too Many Requests", 3600.0))
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        jobs.dispatcher._provider = crowded
        assert await pass_over(jobs.dispatcher) == 1
        await store.all_tenants.remove("phone_calls", {"account_id": own})
        await store.all_tenants.remove("accounts", {"_id": own})
        jobs.accounts.forget()
        await queued_calls(store, other, NUMBERS[1:2])
        assert await pass_over(jobs.dispatcher) == 1
        assert await statuses(store) == {"remotely_queued": 1}
        await crowded.close()
