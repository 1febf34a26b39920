"""A contact whose number is corrected: whatever was made with the old number, the new one rings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import renumbering
from scfm.models.batch_operation import BATCH_OPERATIONS, TYPES
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.contact import CONTACTS
from scfm.models.fields import Rules
from scfm.models.phone_call import PHONE_CALLS
from scfm.models.query import Document
from scfm.models.renumbering import CALLOUT_MARK, MARK
from scfm.models.resource import Client, Scope
from scfm.models.store import Store
from tests.workers.background import (
    PARAMS,
    Background,
    account,
    background,
    calls_of,
    carrier,
    pass_over,
    told,
)
from tests.workers.mortal import Life, MortalStore, live

OLD, NEW, OTHER = "+855125550001", "+855125550002", "+855125550003"
NOWHERE = "http://127.0.0.1:9"


class House:
    """An account with a callout, as its client sees it."""

    def __init__(self, store: Store, account_id: int, callout_id: int = 0) -> None:
        self.account_id, self.callout = account_id, callout_id
        self.within(store)

    def within(self, store: Store) -> House:
        """The same, as another process sees it."""
        self.view = store.for_account(self.account_id)
        self.scope = Scope(self.view, Rules(), Client(self.account_id, 1))
        return self

    @classmethod
    async def open(cls, store: Store) -> House:
        house = cls(store, await account(store))
        house.callout = (await CALLOUTS.create(house.scope, {}))["_id"]
        return house

    async def contact(self, msisdn: str) -> int:
        return int((await CONTACTS.create(self.scope, {"msisdn": msisdn}))["_id"])

    async def participation(self, contact: int, **given: Any) -> int:
        told = {"contact_id": contact, **given}
        return int((await CALLOUT_PARTICIPATIONS.create(self.scope, told, callout_id=self.callout))["_id"])

    async def call(self, participation: int, event: str | None = None, **given: Any) -> int:
        part = await self.view.get("callout_participations", participation)
        known = {
            "callout_participation_id": participation,
            **{name: part[name] for name in ("callout_id", "contact_id")},
        }
        made = await PHONE_CALLS.create(self.scope, {"remote_request_params": PARAMS, **given}, **known)
        if event:
            await PHONE_CALLS.fire(self.scope, made["_id"], event)
        return int(made["_id"])

    async def renumber(self, contact: int, msisdn: str) -> None:
        await CONTACTS.update(self.scope, contact, {"msisdn": msisdn})

    async def operation(self, kind: str, **parameters: Any) -> int:
        given = {"type": f"BatchOperation::{kind}", "parameters": parameters}
        known = {"callout_id": self.callout} if kind == "CalloutPopulation" else {}
        made = await BATCH_OPERATIONS.create(self.scope, given, **known)
        await BATCH_OPERATIONS.fire(self.scope, made["_id"], "queue")
        return int(made["_id"])

    async def numbers(self, collection: str) -> list[str]:
        return [one["msisdn"] for one in await self.view.find(collection, {})]

    async def preview(self, operation: int) -> list[int]:
        found = await self.view.get("batch_operations", operation)
        kind = TYPES[found["type"]]
        query = await kind.preview(self.view, found, "contacts")
        listed, total = await self.view.listed(query, 0, 100)
        assert len(listed) == total
        return [contact["_id"] for contact in listed]


async def test_a_corrected_number_goes_on_to_participations_and_to_calls_that_have_not_left(store: Store) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    part = await house.participation(contact)
    created, queued, gone = [await house.call(part, event) for event in (None, "queue", "queue")]
    await store.everyone.apply(
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
    await renumbering.carry(house.view, contact)
    assert (await house.view.get("phone_calls", purpose))["msisdn"] == OLD


async def test_only_one_number_rings_whoever_has_taken_the_call(store: Store, tmp_path: Path) -> None:
    """It waits for its moment in the process that is told, or in another."""
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator:
        settings = told(simulator.base_url, tmp_path)
        async with background(store, settings) as jobs:
            (taken,) = await jobs.send.take(5)
            assert await jobs.gate.halts(taken.call) is None  # the callout has just been looked at
            await house.renumber(contact, NEW)
            jobs.gate.renumbered(contact)
            await jobs.send.work(taken)
            assert not simulator.ledger.requests
            await pass_over(jobs.send)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def test_another_process_sees_the_change_when_it_looks_at_the_callout_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm.workers.gate.REMEMBERED_SECONDS", 0.0)
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, told(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.send.take(5)
        await house.renumber(contact, NEW)
        await jobs.send.work(taken)
        assert not simulator.ledger.requests
        await pass_over(jobs.send)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def test_a_change_while_the_connection_is_opened_is_not_missed(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, told(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.send.take(5)
        create = jobs.provider.create_call

        async def slow(*given: Any, **options: Any) -> Any:
            await house.renumber(contact, NEW)
            jobs.gate.renumbered(contact)
            return await create(*given, **options)

        jobs.provider.create_call = slow  # type: ignore[method-assign]
        await jobs.send.work(taken)
        jobs.provider.create_call = create  # type: ignore[method-assign]
        assert not simulator.ledger.accepted_by_number()
        while not await has_rung(store):
            await pass_over(jobs.send)
        assert simulator.ledger.accepted_by_number() == {NEW: 1}


async def has_rung(store: Store) -> bool:
    return all(call["status"] == "remotely_queued" for call in await calls_of(store))


async def test_a_call_that_comes_back_with_the_old_number_rings_the_new_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process died, and whoever queues it again knows nothing of the change."""
    monkeypatch.setattr("scfm.workers.gate.REMEMBERED_SECONDS", 0.0)
    house = await House.open(store)
    contact = await house.contact(OLD)
    number = await house.call(await house.participation(contact), "queue")
    async with carrier() as simulator, background(store, told(simulator.base_url, tmp_path)) as jobs:
        await jobs.send.take(5)
        await house.renumber(contact, NEW)
        await store.everyone.update("phone_calls", {"_id": number}, {"_work": {"due": now()}})
        assert (await house.view.get("phone_calls", number))["msisdn"] == OLD
        while not await has_rung(store):
            await pass_over(jobs.send)
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
    async with carrier() as simulator, background(store, told(simulator.base_url, tmp_path)) as jobs:
        await house.operation("PhoneCallCreate", remote_request_params=PARAMS)
        await pass_over(jobs.run)
        await house.operation("PhoneCallQueue")
        await pass_over(jobs.run)
        while await pass_over(jobs.send):
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
    async with carrier() as simulator, background(store, told(simulator.base_url, tmp_path)) as jobs:
        (taken,) = await jobs.send.take(5)
        await house.renumber(one, NEW)
        jobs.gate.renumbered(one)
        await jobs.send.work(taken)
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
        await store.everyone.update_many("callout_participations", {}, {"$unset": {"_number": ""}})
        await store.everyone.update_many("callouts", {}, {"$unset": {"_strays_known": ""}})
    operation = await house.operation("CalloutPopulation")
    expected = sorted([contacts[0], *contacts[2:], stranger])
    assert await house.preview(operation) == expected
    async with background(store, told(NOWHERE, tmp_path)) as jobs:
        for _ in range(3):  # and then again, which counts anew
            await pass_over(jobs.run)
            done = await house.view.get("batch_operations", operation)
            assert (done["status"], done["metadata"]) == ("finished", {"skipped": {"number_taken": 1}})
            assert await house.preview(operation) == expected
            await BATCH_OPERATIONS.fire(house.scope, operation, "requeue")
        part = (await house.view.find("callout_participations", {"contact_id": stranger}))[0]
        await CALLOUT_PARTICIPATIONS.update(house.scope, part["_id"], {"msisdn": OTHER})
        assert await house.preview(operation) == sorted([*contacts, stranger])
        await pass_over(jobs.run)
        assert (await house.view.get("batch_operations", operation))["metadata"] == {}
    assert len(await house.numbers("callout_participations")) == 6


async def test_whoever_gets_a_number_that_another_gave_up_is_populated(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    first = await house.contact(OLD)
    operation = await house.operation("CalloutPopulation")
    async with background(store, told(NOWHERE, tmp_path)) as jobs:
        await pass_over(jobs.run)
        await house.renumber(first, NEW)
        second = await house.contact(OLD)
        await BATCH_OPERATIONS.fire(house.scope, operation, "requeue")
        assert await house.preview(operation) == [first, second]
        await pass_over(jobs.run)
    parts = await house.view.find("callout_participations", {})
    assert {part["contact_id"]: part["msisdn"] for part in parts} == {first: NEW, second: OLD}
    assert (await house.view.get("batch_operations", operation))["metadata"] == {}


class Late(Store):
    """A store in which something happens before the next documents of a collection are stored."""

    before: Callable[[], Awaitable[None]] | None = None
    where = ""

    async def _now(self, collection: str) -> None:
        if collection == self.where and self.before is not None:
            before, self.before = self.before, None
            await before()

    async def insert_one(self, collection: str, document: Document) -> None:
        await self._now(collection)
        await super().insert_one(collection, document)

    def collection(self, name: str) -> Any:
        found = super().collection(name)
        if name != self.where or self.before is None:
            return found
        return _LateCollection(found, self)


class _LateCollection:
    def __init__(self, collection: Any, store: Late) -> None:
        self._collection, self._store = collection, store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert_many(self, *given: Any, **options: Any) -> Any:
        await self._store._now(self._store.where)
        return await self._collection.insert_many(*given, **options)


@pytest.mark.parametrize("made", ["population", "calls", "participation", "call"])
async def test_what_is_made_from_a_number_read_before_its_correction_gets_the_new_one(
    store: Store, tmp_path: Path, made: str
) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    late = Late(store._client, store._database.name)
    slow = House(late, house.account_id, house.callout)
    late.where = "phone_calls" if made in ("calls", "call") else "callout_participations"
    if late.where == "phone_calls":
        part = await house.participation(contact)
    late.before = lambda: house.renumber(contact, NEW)
    if made == "participation":
        assert (await slow.view.get("callout_participations", await slow.participation(contact)))["msisdn"] == NEW
    elif made == "call":
        assert (await slow.view.get("phone_calls", await slow.call(part)))["msisdn"] == NEW
    else:
        kind = "CalloutPopulation" if made == "population" else "PhoneCallCreate"
        await house.operation(kind, **({"remote_request_params": PARAMS} if made == "calls" else {}))
        jobs = Background(late, told(NOWHERE, tmp_path))
        await pass_over(jobs.run)
        await jobs.close()
    assert late.before is None
    assert await house.numbers(late.where) == [NEW]


async def test_a_process_that_corrects_a_number_may_die_at_any_step(store: Store, tmp_path: Path) -> None:
    """Whatever step it was: contact, participations and calls have one number, and only that rings."""
    house = await House.open(store)
    for step in range(1, 200):
        for name in ("phone_calls", "callout_participations", "contacts"):
            await store.everyone.remove(name, {})
        contact, blocked = await house.contact(OLD), await house.contact(OTHER)
        for one in (contact, blocked):
            part = await house.participation(one)
            await house.call(part)
            await house.call(part, "queue")
        life = Life(step)
        mortal = House(MortalStore.within(store, life), house.account_id, house.callout)
        await live(mortal.renumber(contact, NEW), life)
        changed = (await house.view.get("contacts", contact))["msisdn"]
        async with background(store, told(NOWHERE, tmp_path)) as jobs:
            # Another takes the number that was given up, if it was.
            if changed == NEW:
                await house.renumber(blocked, OLD)
            await store.everyone.update_many("contacts", {MARK: {"$exists": True}}, {"$set": {f"{MARK}.due": now()}})
            while await pass_over(jobs.renumber):
                pass
        for one in (contact, blocked):
            number = (await house.view.get("contacts", one))["msisdn"]
            for name, count in (("callout_participations", 1), ("phone_calls", 2)):
                found = [doc["msisdn"] for doc in await house.view.find(name, {"contact_id": one})]
                assert found == [number] * count, (step, name)
        if not life.over:
            break
    assert not life.over and step > 10


async def test_a_run_that_leaves_somebody_out_may_die_at_any_step_and_counts_him_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm.workers.run_operations.BATCH", 2)
    house = await House.open(store)
    for number in range(6):
        await house.contact(f"+8551255502{number:02}")
    stranger = await house.contact(OTHER)
    operation = await house.operation("CalloutPopulation")
    for step in range(1, 200):
        await store.everyone.remove("callout_participations", {})
        await house.participation(stranger, msisdn="+855125550202")
        fresh = {"$set": {"status": "queued", "_work": {"due": now()}, "metadata": {}}}
        await store.everyone.apply("batch_operations", {"_id": operation}, fresh)
        life = Life(step)
        process = Background(MortalStore.within(store, life), told(NOWHERE, tmp_path))

        async def run(process: Background = process) -> None:
            await pass_over(process.run)

        await live(run(), life)
        await process.close()
        async with background(store, told(NOWHERE, tmp_path)) as jobs:
            due = {"$set": {"_work.due": now()}}
            await store.everyone.apply("batch_operations", {"_work": {"$exists": True}}, due)
            await pass_over(jobs.run)
        done = await house.view.get("batch_operations", operation)
        assert (done["status"], done["metadata"]) == ("finished", {"skipped": {"number_taken": 1}}), step
        if not life.over:
            break
    assert not life.over


async def test_the_marks_of_a_change_go_when_nobody_can_hold_the_old_number(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    number = await house.call(await house.participation(contact), "queue")
    long_ago = now() - renumbering.KEPT - timedelta(minutes=1)
    past = {"$set": {f"{MARK}.due": long_ago, f"{MARK}.from.0.at": long_ago}}
    async with background(store, told(NOWHERE, tmp_path)) as jobs:
        await jobs.send.take(5)
        await house.renumber(contact, NEW)
        await store.everyone.apply("contacts", {"_id": contact}, past)
        await pass_over(jobs.renumber)
        assert MARK in await house.view.get("contacts", contact), "a call is still held"
        assert CALLOUT_MARK in await house.view.get("callouts", house.callout)
        await store.everyone.update("phone_calls", {"_id": number}, {"_work": {"due": now()}})
        await store.everyone.apply("contacts", {"_id": contact}, past)
        await pass_over(jobs.renumber)
    assert MARK not in await house.view.get("contacts", contact)
    assert CALLOUT_MARK not in await house.view.get("callouts", house.callout)
    assert await house.numbers("phone_calls") == [NEW]


async def test_a_number_that_changes_without_end_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renumbering, "MAX_FORMER", 2)
    house = await House.open(store)
    contact = await house.contact(OLD)
    for number in (NEW, OTHER, NEW, OTHER):
        await house.renumber(contact, number)
    with pytest.raises(Invalid):
        await house.renumber(contact, "+855125550077")
