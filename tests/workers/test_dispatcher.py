"""Sending queued calls: each once, whatever the provider, the database or the clock does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.calls.find_call import find_call
from scfm.clock import now
from scfm.errors import Unavailable
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import NotSent, Unknown
from scfm.runtime.backoff import Backoff
from scfm.simulator.faults import Faults
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import placement_recorder as module
from scfm.workers.reconciler import MAY_HAVE_RUNG
from tests.workers.background import (
    Background,
    account,
    background,
    calls_of,
    carrier,
    eventually,
    largest_file,
    pass_over,
    queued_calls,
    settings_for,
)
from tests.workers.webhooks import webhook

NUMBERS = [f"+1555000{number:04}" for number in range(40)]


async def only(store: Store) -> Document:
    """The one call there is."""
    (call,) = await calls_of(store)
    return call


async def settled(jobs: Background) -> list[Document]:
    """Every call, once none is queued any more."""

    async def ended() -> list[Document] | None:
        await pass_over(jobs.reconciler)
        await pass_over(jobs.dispatcher)
        calls = await calls_of(jobs.store)
        return calls if all(call["status"] != "queued" for call in calls) else None

    return await eventually(ended)


async def let_leases_run_out(store: Store) -> None:
    """As if all that is held had been held for too long."""
    past = {"$set": {"_work.lease": now() - timedelta(seconds=1)}}
    await store.all_tenants.update_many("phone_calls", {"_work.lease": {"$exists": True}}, past)


async def test_a_queued_call_is_placed_once_and_shows_the_providers_answer(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        assert await pass_over(jobs.dispatcher) == 1
        assert await pass_over(jobs.dispatcher) == 0
        call = await only(store)
        assert call["status"] == call["remote_queue_response"]["status"].replace("queued", "remotely_queued")
        assert call["remote_call_id"] == simulator.ledger.requests[0].sid
        assert call["remote_direction"] == "outbound-api"
        assert call["remotely_queued_at"] is not None and "_work" not in call
        assert simulator.ledger.accepted_by_number() == {NUMBERS[0]: 1}


async def test_two_processes_share_what_is_queued_and_place_each_call_once(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS)
    async with carrier() as simulator:
        settings = replace(settings_for(simulator.base_url, tmp_path), calls_in_flight=5)
        async with background(store, settings) as one, background(store, settings) as other:
            while any(await asyncio.gather(pass_over(one.dispatcher), pass_over(other.dispatcher))):
                pass
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)
    assert {call["status"] for call in await calls_of(store)} == {"remotely_queued"}


async def test_every_account_has_its_turn_however_much_another_has_queued(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:39])
    await queued_calls(store, await account(store), NUMBERS[39:])
    async with carrier() as simulator:
        settings = replace(settings_for(simulator.base_url, tmp_path), calls_in_flight=10)
        async with background(store, settings) as jobs:
            await pass_over(jobs.dispatcher)
            assert simulator.ledger.accepted_by_number()[NUMBERS[39]] == 1


@pytest.mark.parametrize("fault", ["drop_after", "error_after", "malformed"])
async def test_a_call_whose_answer_is_lost_is_found_at_the_provider(store: Store, tmp_path: Path, fault: str) -> None:
    await queued_calls(store, await account(store), NUMBERS[:5])
    async with carrier(faults=Faults(**{fault: 1.0})) as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
            assert {call["status"] for call in await calls_of(store)} == {"queued"}
            calls = await settled(jobs)
        assert {call["remote_call_id"] for call in calls} == {one.sid for one in simulator.ledger.requests}
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:5], 1)
    assert {(call["status"], call["remote_error_message"]) for call in calls} == {("remotely_queued", None)}


async def test_a_call_that_never_arrived_is_errored_and_not_placed_again(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier(faults=Faults(drop_before=1.0)) as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
            (call,) = await settled(jobs)
        assert len(simulator.ledger.requests) == 1
    assert call["status"] == "errored" and call["remote_error_message"].startswith("Unable to create record")


async def test_a_throttled_call_waits_as_long_as_the_provider_says(store: Store, tmp_path: Path) -> None:
    began = now()
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier(faults=Faults(throttle=1.0, retry_after=30.0)) as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
            call = await only(store)
            assert await pass_over(jobs.dispatcher) == 0
        assert len(simulator.ledger.requests) == 1
    assert call["status"] == "queued" and "attempt" not in call["_work"]
    assert call["_work"]["due"] >= began + timedelta(seconds=30)


async def test_a_provider_that_cannot_be_reached_is_tried_again_later(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with background(store, settings_for("http://127.0.0.1:9", tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
    call = await only(store)
    assert call["status"] == "queued" and call["_work"]["tries"] == 1
    assert "it will be sent again" in call["remote_error_message"]


async def test_a_provider_that_cannot_be_asked_for_too_long_leaves_a_call_that_may_have_rung(
    store: Store, tmp_path: Path
) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier(faults=Faults(drop_after=1.0)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path, unknown_limit_seconds=0.0)
        async with background(store, settings) as jobs:
            await pass_over(jobs.dispatcher)
            await simulator.stop()
            (call,) = await settled(jobs)
    assert call["status"] == "errored" and call["remote_error_message"].startswith(MAY_HAVE_RUNG)


async def test_two_calls_to_one_number_whose_answers_are_lost_each_find_their_own(
    store: Store, tmp_path: Path
) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1] * 2)
    async with carrier(faults=Faults(drop_after=1.0)) as simulator:
        async with background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
            await pass_over(jobs.dispatcher)
            calls = await settled(jobs)
        assert {call["remote_call_id"] for call in calls} == {one.sid for one in simulator.ledger.requests}


async def test_accounts_that_share_credentials_do_not_take_each_others_calls_for_their_own(
    store: Store, tmp_path: Path
) -> None:
    """Of two calls to one number, one arrived, and one was lost on its way, which must not look like a success."""
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        await queued_calls(store, await account(store), NUMBERS[:1])
        jobs.provider.create_call = broken(Unknown("Unable to create record: lost"))  # type: ignore[method-assign]
        await pass_over(jobs.dispatcher)
        calls = await settled(jobs)
    assert [call["status"] for call in calls] == ["remotely_queued", "errored"]


async def test_a_call_that_a_report_has_named_is_not_given_up(store: Store, tmp_path: Path) -> None:
    """The provider's list may lack a call that the provider has already told us of."""
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with (
        carrier(faults=Faults(drop_after=1.0)) as simulator,
        background(store, settings_for(simulator.base_url, tmp_path)) as jobs,
    ):
        await pass_over(jobs.dispatcher)
        sid = simulator.ledger.requests[0].sid
        report = {"CallSid": str(sid), "To": NUMBERS[0], "From": "345", "Direction": "outbound-api"}
        call = await only(store)
        assert await find_call(store.for_account(call["account_id"]), webhook(call["account_id"], report))
        jobs.provider.list_calls = lists_nothing  # type: ignore[method-assign]
        (call,) = await settled(jobs)
    assert (call["status"], call["remote_call_id"]) == ("remotely_queued", sid)


async def test_a_database_that_fails_before_a_call_has_left_costs_no_call(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        taken = await jobs.dispatcher.claim(len(NUMBERS))
        assert len(taken) == len(NUMBERS)
        jobs.dispatcher._accounts.credentials = broken(Unavailable("gone"))  # type: ignore[method-assign]
        for item in taken:
            with pytest.raises(Unavailable):
                await jobs.dispatcher.process(item)
        del jobs.dispatcher._accounts.credentials
        await let_leases_run_out(store)
        assert {call["status"] for call in await settled(jobs)} == {"remotely_queued"}
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS, 1)


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_jumps_while_a_call_waits_to_leave_rings_nobody_twice(
    store: Store, tmp_path: Path, by: timedelta
) -> None:
    """As a laptop's does that sleeps: the lease has run out, though the process has not noticed."""
    await queued_calls(store, await account(store), NUMBERS[:1])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (item,) = await jobs.dispatcher.claim(1)
        lease = item.call["_work"]["lease"] - by
        await store.all_tenants.update_many("phone_calls", {}, {"$set": {"_work.lease": lease}})
        await pass_over(jobs.reconciler)
        await jobs.dispatcher.process(replace(item, until=item.until - by))
        await settled(jobs)
        assert simulator.ledger.accepted_by_number() == {NUMBERS[0]: 1}


async def test_a_slow_answer_is_waited_for_before_the_call_is_taken_for_abandoned(
    store: Store, tmp_path: Path
) -> None:
    await queued_calls(store, await account(store), NUMBERS[:1])
    settings = settings_for("http://127.0.0.1:9", tmp_path, lease_seconds=1.0, provider_timeout=60.0)
    async with background(store, settings) as jobs:
        (item,) = await jobs.dispatcher.claim(1)
    assert item.call["_work"]["lease"] - item.until >= timedelta(seconds=120)


async def test_calls_of_a_paused_callout_wait_and_those_of_a_stopped_one_are_canceled(
    store: Store, tmp_path: Path
) -> None:
    own = await account(store)
    for number, status in ((1, "paused"), (2, "stopped"), (3, "running")):
        await store.for_account(own).insert_many("callouts", [{"_id": number, "status": status}])
        await queued_calls(store, own, NUMBERS[number : number + 1], callout_id=number)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        assert [call["status"] for call in await calls_of(store)] == ["queued", "canceled", "remotely_queued"]
        await store.all_tenants.update_one("callouts", {"_id": 1}, {"$set": {"status": "running"}})
        await settled(jobs)
        assert [call["status"] for call in await calls_of(store)] == [
            "remotely_queued",
            "canceled",
            "remotely_queued",
        ]
        assert len(simulator.ledger.requests) == 2


async def test_calls_held_for_a_callout_that_was_stopped_by_a_process_that_died_are_canceled(
    store: Store, tmp_path: Path
) -> None:
    own = await account(store)
    await store.for_account(own).insert_many("callouts", [{"_id": 1, "status": "paused"}])
    await queued_calls(store, own, NUMBERS[:2], callout_id=1)
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await pass_over(jobs.dispatcher)
        await store.all_tenants.update_one("callouts", {"_id": 1}, {"$set": {"status": "stopped"}})
        await pass_over(jobs.reconciler)
        assert [call["status"] for call in await calls_of(store)] == ["canceled", "canceled"]
        assert not simulator.ledger.requests


async def test_no_call_leaves_while_the_disk_takes_no_departures(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:3])
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        taken = await jobs.dispatcher.claim(3)
        with largest_file(20):
            for item in taken:
                await jobs.dispatcher.process(item)
        assert not simulator.ledger.requests
        await store.all_tenants.update_many("phone_calls", {}, {"$set": {"_work.due": now()}})
        await settled(jobs)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:3], 1)


def broken(error: Exception) -> Any:
    """What fails whenever it is called."""

    async def fail(*_: object) -> Any:
        raise error

    return fail


async def lists_nothing(credentials: Credentials, to: str, since: object) -> list[RemoteCall]:
    return []


async def test_the_loop_sends_what_is_queued_when_it_is_woken(store: Store, tmp_path: Path) -> None:
    own = await account(store)
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path, sweep_seconds=60.0)
        async with background(store, settings) as jobs:
            jobs.runner.start()
            await queued_calls(store, own, NUMBERS)
            jobs.runner.wake()

            async def all_sent() -> bool:
                return len(simulator.ledger.requests) == len(NUMBERS)

            await eventually(all_sent)
            await jobs.runner.stop(patience=10)
    assert {call["status"] for call in await calls_of(store)} == {"remotely_queued"}


async def test_what_is_under_way_when_the_loop_stops_is_finished(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS)
    async with carrier(faults=Faults(slow=1.0, slow_seconds=0.3)) as simulator:
        settings = replace(settings_for(simulator.base_url, tmp_path), calls_in_flight=10)
        async with background(store, settings) as jobs:
            jobs.runner.start()

            async def under_way() -> bool:
                return len(simulator.ledger.requests) > 0

            await eventually(under_way)
            await jobs.runner.stop(patience=10)
        sent = simulator.ledger.accepted_by_number()
    calls = await calls_of(store)
    assert {call["msisdn"] for call in calls if call["status"] == "remotely_queued"} == set(sent)
    assert all("lease" not in call.get("_work", {}) for call in calls)
    assert 0 < len(sent) < len(NUMBERS)


async def test_a_call_cut_off_by_a_stop_is_settled_by_the_next_process(store: Store, tmp_path: Path) -> None:
    await queued_calls(store, await account(store), NUMBERS[:10])
    async with carrier(faults=Faults(timeout=1.0)) as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        async with background(store, settings) as jobs:
            jobs.runner.start()

            async def under_way() -> bool:
                return len(simulator.ledger.requests) == 10

            await eventually(under_way)
            await jobs.runner.stop(patience=0)
        async with background(store, settings) as jobs:
            calls = await settled(jobs)
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:10], 1)
    assert {call["status"] for call in calls} == {"remotely_queued"}


class Hesitant(Provider):
    """Every other request is not sent."""

    asked = 0

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        Hesitant.asked += 1
        if Hesitant.asked % 2:
            raise NotSent("Unable to create record: not now", retry_after=0.0)
        return await super().create_call(credentials, to, params, *leaving)


async def test_calls_that_were_not_sent_are_sent_in_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_BACKOFF", Backoff(0.01, 0.05))
    own = await account(store)
    await queued_calls(store, own, NUMBERS[:4])
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        jobs = Background(store, settings, Hesitant(timeout=5))
        try:
            calls = await settled(jobs)
        finally:
            await jobs.close()
        assert simulator.ledger.accepted_by_number() == dict.fromkeys(NUMBERS[:4], 1)
    assert {call["remote_error_message"] for call in calls} == {None}
