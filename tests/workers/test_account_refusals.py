"""A provider refuses an account: its calls wait if it called before, and old knowledge refuses nothing for good."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from scfm.runtime.backoff import Backoff
from scfm.simulator.simulator import Simulator
from scfm.storage.store import Store
from scfm.workers import calling_accounts as accounts_module
from scfm.workers import circuit_breaker
from scfm.workers.account_refusals import WAITS
from tests.workers.background import (
    SID,
    TOKEN,
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
from tests.workers.test_rate_limiter import Crowd, running

NUMBERS = [f"+1555006{number:04}" for number in range(300)]
FIRST = "+15550069999"


async def has_called(store: Store, account_id: int) -> None:
    """A call of the account has gone out before."""
    (number,) = await queued_calls(store, account_id, [FIRST], status="completed", _work=None)
    await store.all_tenants.update_one(
        "phone_calls", {"_id": number}, {"$currentDate": {"remotely_queued_at": True}, "$unset": {"_work": ""}}
    )


def rotate(simulator: Simulator, token: str) -> None:
    simulator.carrier.auth_token = token


async def statuses(store: Store) -> dict[str, int]:
    found: dict[str, int] = {}
    for call in await calls_of(store):
        if call["msisdn"] != FIRST:
            found[call["status"]] = found.get(call["status"], 0) + 1
    return found


async def test_calls_wait_while_the_token_is_wrong_and_are_placed_once_when_it_is_right_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_BACKOFF", Backoff(0.05, 0.05, jitter=0))
    own = await account(store)
    await has_called(store, own)
    await queued_calls(store, own, NUMBERS)
    provider = Crowd()
    refused: list[int] = []
    create = provider.create_call

    async def counting(credentials: Any, to: str, *given: Any) -> Any:
        refused.append(provider.under_way["all"] + 1)
        return await create(credentials, to, *given)

    provider.create_call = counting  # type: ignore[method-assign]
    caplog.set_level(logging.INFO)
    async with carrier() as simulator:
        rotate(simulator, "another")
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=0.02, calls_in_flight=20)
        async with running(store, settings, provider):
            await eventually(lambda: probes(refused, 40))
            assert await statuses(store) == {"queued": len(NUMBERS)}
            waiting = [call["remote_error_message"] for call in await calls_of(store) if call["msisdn"] != FIRST]
            assert all(message and message.endswith(WAITS) for message in waiting)
            rotate(simulator, TOKEN)
            await eventually(lambda: all_placed(store))
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)
    # A first crowd may have been refused together; then single calls try.
    assert set(refused[20:40]) == {1}
    assert [call["remote_error_message"] for call in await calls_of(store)] == [None] * (len(NUMBERS) + 1)
    lines = [record.getMessage() for record in caplog.records if f"account {own}" in record.getMessage()]
    assert len([line for line in lines if "refuses" in line]) == 1, lines


async def probes(refused: list[int], count: int) -> bool:
    return len(refused) >= count


async def all_placed(store: Store) -> bool:
    return await statuses(store) == {"remotely_queued": len(NUMBERS)}


async def test_an_account_that_never_called_gets_the_refusal_on_its_call(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator:
        rotate(simulator, "another")
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
    (call,) = await calls_of(store)
    assert call["status"] == "errored" and call["remote_error_message"].startswith("Unable to create record: ")


@pytest.mark.parametrize("status", [401, 403])
async def test_what_is_waited_for_is_remembered_over_a_restart(store: Store, tmp_path: Path, status: int) -> None:
    own = await account(store)
    await has_called(store, own)
    await queued_calls(store, own, NUMBERS[:2])
    async with carrier() as simulator:
        rotate(simulator, "another")
        for _ in range(2):
            async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
                await pass_over(jobs.dispatcher)
            assert await statuses(store) == {"queued": 2}
        rotate(simulator, TOKEN)
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:2], 1)


async def own_credentials(store: Store, account_id: int, token: str | None) -> None:
    change = {"twilio_account_sid": SID if token else None, "twilio_auth_token": token}
    await store.all_tenants.update_one("accounts", {"_id": account_id}, {"$set": change})


@pytest.mark.parametrize("before", [None, "wrong"])
async def test_credentials_that_have_just_changed_are_looked_up_before_a_call_is_errored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """In another process than the one that was told; what it knows is as old as can be."""
    monkeypatch.setattr(accounts_module, "ACCOUNT_SECONDS", 1000.0)
    own = await account(store)
    await own_credentials(store, own, before)
    await queued_calls(store, own, NUMBERS[:3])
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, twilio_account_sid="", twilio_auth_token="")
        async with background(store, settings) as jobs:
            await jobs.accounts.credentials(own)
            await own_credentials(store, own, TOKEN)
            while set(await statuses(store)) != {"remotely_queued"}:
                assert "errored" not in await statuses(store)
                await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:3], 1)


async def test_waiting_calls_try_at_once_when_the_accounts_credentials_have_changed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_BACKOFF", Backoff(1000.0, 1000.0, jitter=0))
    own = await account(store)
    await has_called(store, own)
    await own_credentials(store, own, "wrong")
    await queued_calls(store, own, NUMBERS[:3])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        assert await pass_over(jobs.dispatcher) == 0
        await own_credentials(store, own, TOKEN)
        jobs.accounts.forget()
        while set(await statuses(store)) != {"remotely_queued"}:
            await pass_over(jobs.dispatcher)


async def test_a_call_that_has_just_been_taken_counts_though_it_is_not_stored_yet(
    store: Store, tmp_path: Path
) -> None:
    await queued_calls(store, await account(store), NUMBERS[:2])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        first, second = await jobs.dispatcher.claim(2)
        record_placement = await jobs.dispatcher._place(first)
        rotate(simulator, "another")
        await jobs.dispatcher.process(second)
        await record_placement()
        assert await statuses(store) == {"remotely_queued": 1, "queued": 1}


async def test_a_second_refusal_of_an_account_is_shown_on_the_calls_that_wait_as_well(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "PROBE_BACKOFF", Backoff(0.0, 0.0))
    own = await account(store)
    await has_called(store, own)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, calls_in_flight=1)
        async with background(store, settings) as jobs:
            for numbers in (NUMBERS[:4], NUMBERS[4:8]):
                await queued_calls(store, own, numbers)
                rotate(simulator, "another")
                await eventually(lambda: pass_over(jobs.dispatcher))
                waiting = [
                    call["remote_error_message"] for call in await calls_of(store) if call["status"] == "queued"
                ]
                assert len(waiting) == 4 and all(message and message.endswith(WAITS) for message in waiting)
                rotate(simulator, TOKEN)
                while (await statuses(store)).get("queued"):
                    await pass_over(jobs.dispatcher)


async def test_a_refusal_that_is_about_the_call_is_the_calls(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    await has_called(store, own)
    refused = "+15005550003"  # Twilio's test number for a country that may not be called
    await queued_calls(store, own, [refused, *NUMBERS[:1]])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
    assert await statuses(store) == {"errored": 1, "remotely_queued": 1}


async def test_a_fetch_asks_again_with_new_credentials_and_goes_back_where_they_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts_module, "ACCOUNT_SECONDS", 1000.0)
    own = await account(store)
    await own_credentials(store, own, "wrong")
    await queued_calls(store, own, NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await own_credentials(store, own, TOKEN)
        await eventually(lambda: pass_over(jobs.dispatcher))
        await own_credentials(store, own, "wrong")
        jobs.accounts.forget()
        await fetch(jobs)
        (call,) = await calls_of(store)
        assert call["status"] == "remotely_queued"
        assert call["remote_error_message"].startswith("Unable to fetch record: ")
        await own_credentials(store, own, TOKEN)
        await fetch(jobs)
        (call,) = await calls_of(store)
        assert (call["status"], call["remote_error_message"]) == ("remotely_queued", None)


async def fetch(jobs: Background) -> None:
    queued = {"$set": {"status": "remote_fetch_queued", "_fetch_from": "remotely_queued"}}
    await jobs.store.all_tenants.update_one("phone_calls", {}, {**queued, "$currentDate": {"_work.due": True}})
    assert await pass_over(jobs.status_fetcher) == 1
