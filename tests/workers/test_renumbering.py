"""A contact whose number is corrected: whatever was made with the old number, the new one rings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import renumbering
from scfm.models.batch_operation import BATCH_OPERATIONS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.storage.store import Store
from tests.workers.background import (
    PARAMS,
    background,
    calls_of,
    carrier,
    pass_over,
    settings_for,
)
from tests.workers.corrected import NEW, NOWHERE, OLD, OTHER, House


async def test_a_corrected_number_goes_on_to_participations_and_to_calls_that_have_not_left(store: Store) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    part = await house.participation(contact)
    created, queued, gone = [await house.call(part, event) for event in (None, "queue", "queue")]
    await store.all_tenants.update_one(
        "phone_calls", {"_id": gone}, {"$set": {"status": "completed"}, "$unset": {"_work": ""}}
    )
    await house.renumber(contact, NEW)
    assert await house.numbers("callout_participations") == [NEW]
    numbers = {call["_id"]: call["msisdn"] for call in await calls_of(store)}
    assert numbers == {created: NEW, queued: NEW, gone: OLD}


async def test_numbers_that_the_client_gave_on_purpose_stay(store: Store) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    part = await house.participation(contact, msisdn=OTHER)
    own = await house.call(part)
    named = await house.call(part, msisdn="+855125550009")
    same = await house.call(part, msisdn=OLD)
    await house.renumber(contact, NEW)
    assert await house.numbers("callout_participations") == [OTHER]
    numbers = {call["_id"]: call["msisdn"] for call in await calls_of(store)}
    assert numbers == {own: OTHER, named: "+855125550009", same: NEW}
    # The old number, given on purpose once it is not the contact's any more.
    purpose = await house.call(part, msisdn=OLD)
    await renumbering.propagate(house.view, contact)
    assert (await house.view.get("phone_calls", purpose))["msisdn"] == OLD


async def test_only_one_number_rings_whoever_has_taken_the_call(store: Store, tmp_path: Path) -> None:
    """It waits for its moment in the process that is told, or in another."""
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator:
        settings = settings_for(simulator.base_url, tmp_path)
        async with background(store, settings) as jobs:
            (taken,) = await jobs.dispatcher.claim(5)
            assert await jobs.callout_hold.blocking_status(taken.call) is None  # the callout has just been looked at
            await house.renumber(contact, NEW)
            jobs.callout_hold.on_renumbered(contact)
            await jobs.dispatcher.process(taken)
            assert not simulator.ledger.requests
            await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def test_another_process_sees_the_change_when_it_looks_at_the_callout_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm.workers.callout_hold.CALLOUT_CACHE_SECONDS", 0.0)
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.dispatcher.claim(5)
        await house.renumber(contact, NEW)
        await jobs.dispatcher.process(taken)
        assert not simulator.ledger.requests
        await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def test_a_change_while_the_connection_is_opened_is_not_missed(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.dispatcher.claim(5)
        create = jobs.provider.create_call

        async def slow(*given: Any, **options: Any) -> Any:
            await house.renumber(contact, NEW)
            jobs.callout_hold.on_renumbered(contact)
            return await create(*given, **options)

        jobs.provider.create_call = slow  # type: ignore[method-assign]
        await jobs.dispatcher.process(taken)
        jobs.provider.create_call = create  # type: ignore[method-assign]
        assert not simulator.ledger.accepted_by_number()
        while not await has_rung(store):
            await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def has_rung(store: Store) -> bool:
    return all(call["status"] == "remotely_queued" for call in await calls_of(store))


async def test_a_call_that_comes_back_with_the_old_number_rings_the_new_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died, and whoever queues it again knows nothing of the change."""
    monkeypatch.setattr("scfm.workers.callout_hold.CALLOUT_CACHE_SECONDS", 0.0)
    house = await House.open(store)
    contact = await house.contact(OLD)
    number = await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await jobs.dispatcher.claim(5)
        await house.renumber(contact, NEW)
        await store.all_tenants.update_one("phone_calls", {"_id": number}, {"$set": {"_work": {"due": now()}}})
        assert (await house.view.get("phone_calls", number))["msisdn"] == OLD
        while not await has_rung(store):
            await pass_over(jobs.dispatcher)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def test_two_contacts_may_exchange_their_numbers(store: Store) -> None:
    house = await House.open(store)
    one, other = await house.contact(OLD), await house.contact(NEW)
    for contact in (one, other):
        await house.call(await house.participation(contact))
    for contact, number in ((one, OTHER), (other, OLD), (one, NEW)):
        await house.renumber(contact, number)
    assert await house.numbers("callout_participations") == [NEW, OLD] == await house.numbers("phone_calls")


async def test_changes_that_come_together_leave_the_last_number(store: Store) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    part = await house.participation(contact)
    await house.call(part, "queue")
    numbers = [f"+8551255501{number:02}" for number in range(10)] + [OLD, NEW]
    await asyncio.gather(*(house.renumber(contact, number) for number in numbers))
    last = (await house.view.get("contacts", contact))["msisdn"]
    assert await house.numbers("callout_participations") == [last] == await house.numbers("phone_calls")


async def test_a_number_that_is_taken_in_the_callout_sets_the_participation_aside(
    store: Store, tmp_path: Path
) -> None:
    house = await House.open(store)
    one, other = await house.contact(OLD), await house.contact(OTHER)
    aside, holder = await house.participation(one), await house.participation(other, msisdn=NEW)
    calls = [await house.call(aside), await house.call(aside, "queue"), await house.call(holder, "queue")]
    await house.renumber(one, NEW)
    part = await house.view.get("callout_participations", aside)
    assert (part["msisdn"], part["metadata"]) == (OLD, {"number_taken": NEW})
    found = [await house.view.get("phone_calls", call) for call in calls]
    assert [call["status"] for call in found] == ["canceled", "canceled", "queued"]
    assert all(NEW in str(call["remote_error_message"]) for call in found[:2])
    with pytest.raises(Invalid) as refused:
        await house.call(aside)
    assert refused.value.errors["msisdn"]
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        await house.operation("PhoneCallCreate", remote_request_params=PARAMS)
        await pass_over(jobs.batch_runner)
        await house.operation("PhoneCallQueue")
        await pass_over(jobs.batch_runner)
        while await pass_over(jobs.dispatcher):
            pass
        assert set(simulator.ledger.accepted_by_number()) == {NEW}
    # Once it is free, the next correction brings the participation back.
    await CALLOUT_PARTICIPATIONS.update(house.scope, holder, {"msisdn": "+855125550044"})
    await CALLOUT_PARTICIPATIONS.update(house.scope, aside, {"msisdn": NEW})
    part = await house.view.get("callout_participations", aside)
    assert (part["msisdn"], part["metadata"], part.get("_number")) == (NEW, {}, None)


async def test_a_call_that_was_taken_is_canceled_when_its_new_number_is_taken(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    one, other = await house.contact(OLD), await house.contact(OTHER)
    await house.participation(other, msisdn=NEW)
    number = await house.call(await house.participation(one), "queue")
    async with carrier() as simulator, background(store, settings_for(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.dispatcher.claim(5)
        await house.renumber(one, NEW)
        jobs.callout_hold.on_renumbered(one)
        await jobs.dispatcher.process(taken)
        assert not simulator.ledger.requests
    call = await house.view.get("phone_calls", number)
    assert call["status"] == "canceled" and "_work" not in call


@pytest.mark.parametrize("old_version", [False, True])
async def test_a_population_says_whom_it_leaves_out_and_its_preview_leaves_them_out(
    store: Store, tmp_path: Path, old_version: bool
) -> None:
    house = await House.open(store)
    contacts = [await house.contact(f"+8551255502{number:02}") for number in range(5)]
    stranger = await house.contact(OTHER)
    await house.participation(stranger, msisdn="+855125550201")
    if old_version:  # which knew of no marks
        await store.all_tenants.update_many("callout_participations", {}, {"$unset": {"_number": ""}})
        await store.all_tenants.update_many("callouts", {}, {"$unset": {"_strays_known": ""}})
    operation = await house.operation("CalloutPopulation")
    expected = sorted([contacts[0], *contacts[2:], stranger])
    assert await house.preview(operation) == expected
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        for _ in range(3):  # and then again, which counts anew
            await pass_over(jobs.batch_runner)
            done = await house.view.get("batch_operations", operation)
            assert (done["status"], done["metadata"]) == ("finished", {"skipped": {"number_taken": 1}})
            assert await house.preview(operation) == expected
            await BATCH_OPERATIONS.fire(house.scope, operation, "requeue")
        part = (await house.view.find("callout_participations", {"contact_id": stranger}))[0]
        await CALLOUT_PARTICIPATIONS.update(house.scope, part["_id"], {"msisdn": OTHER})
        assert await house.preview(operation) == sorted([*contacts, stranger])
        await pass_over(jobs.batch_runner)
        assert (await house.view.get("batch_operations", operation))["metadata"] == {}
    assert len(await house.numbers("callout_participations")) == 6


async def test_whoever_gets_a_number_that_another_gave_up_is_populated(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    first = await house.contact(OLD)
    operation = await house.operation("CalloutPopulation")
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await pass_over(jobs.batch_runner)
        await house.renumber(first, NEW)
        second = await house.contact(OLD)
        await BATCH_OPERATIONS.fire(house.scope, operation, "requeue")
        assert await house.preview(operation) == [first, second]
        await pass_over(jobs.batch_runner)
    parts = await house.view.find("callout_participations", {})
    assert {part["contact_id"]: part["msisdn"] for part in parts} == {first: NEW, second: OLD}
    assert (await house.view.get("batch_operations", operation))["metadata"] == {}
