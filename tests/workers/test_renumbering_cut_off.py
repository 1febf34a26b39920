"""A correction of a number that meets others at work, or whose process dies: nobody keeps the old number."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scfm.clock import now
from scfm.errors import Invalid
from scfm.models import renumbering
from scfm.models.renumbering import CALLOUT_MARK, RENUMBERED
from scfm.storage.database import Database
from scfm.storage.document_batches import DocumentBatches
from scfm.storage.query import Document
from scfm.storage.store import Store
from tests.workers.background import (
    PARAMS,
    Background,
    background,
    pass_over,
    settings_for,
)
from tests.workers.corrected import NEW, NOWHERE, OLD, OTHER, House
from tests.workers.mortal import Life, MortalStore, live

# Before each step of many a death takes long: make deaths tries all.
EVERY = int(os.environ.get("DEATHS_EVERY", "3"))


class Late(Database):
    """A database in which something happens before the next documents of a collection are stored."""

    before: Callable[[], Awaitable[None]] | None = None
    where = ""

    async def _now(self, collection: str) -> None:
        if collection == self.where and self.before is not None:
            before, self.before = self.before, None
            await before()

    def collection(self, name: str) -> Any:
        found = super().collection(name)
        if name != self.where or self.before is None:
            return found
        return _LateCollection(found, self)


class LateBatches(DocumentBatches):
    """The same for documents that are stored together."""

    def __init__(self, late: Late) -> None:
        super().__init__(late, {})
        self._late = late

    async def insert_one(self, collection: str, document: Document) -> None:
        await self._late._now(collection)
        await super().insert_one(collection, document)


class _LateCollection:
    def __init__(self, collection: Any, database: Late) -> None:
        self._collection, self._database = collection, database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    async def insert_many(self, *given: Any, **options: Any) -> Any:
        await self._database._now(self._database.where)
        return await self._collection.insert_many(*given, **options)


@pytest.mark.parametrize("made", ["population", "calls", "participation", "call"])
async def test_what_is_made_from_a_number_read_before_its_correction_gets_the_new_one(
    store: Store, tmp_path: Path, made: str
) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    late = Late(store.database.client, store.database.name)
    late_store = Store(late, store.backend.counted)
    late_store.backend.batches = LateBatches(late)
    slow = House(late_store, house.account_id, house.callout)
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
        jobs = Background(late_store, settings_for(NOWHERE, tmp_path))
        await pass_over(jobs.batch_runner)
        await jobs.close()
    await late_store.quiesce()
    assert late.before is None
    assert await house.numbers(late.where) == [NEW]


async def test_a_process_that_corrects_a_number_may_die_at_any_step(store: Store, tmp_path: Path) -> None:
    """Whatever step it was: contact, participations and calls have one number, and only that rings."""
    house = await House.open(store)
    for step in range(1, 200, EVERY):
        for name in ("phone_calls", "callout_participations", "contacts"):
            await store.all_tenants.remove(name, {})
        contact, blocked = await house.contact(OLD), await house.contact(OTHER)
        for one in (contact, blocked):
            part = await house.participation(one)
            await house.call(part)
            await house.call(part, "queue")
        life = Life(step)
        mortal = House(MortalStore.within(store, life), house.account_id, house.callout)
        await live(mortal.renumber(contact, NEW), life)
        changed = (await house.view.get("contacts", contact))["msisdn"]
        async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
            # Another takes the number that was given up, if it was.
            if changed == NEW:
                await house.renumber(blocked, OLD)
            await store.all_tenants.update_many(
                "contacts", {RENUMBERED: {"$exists": True}}, {"$set": {f"{RENUMBERED}.due": now()}}
            )
            while await pass_over(jobs.renumber_contacts):
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
    monkeypatch.setattr("scfm.workers.batch_run.MAX_BATCH_IDS", 2)
    house = await House.open(store)
    for number in range(6):
        await house.contact(f"+8551255502{number:02}")
    stranger = await house.contact(OTHER)
    operation = await house.operation("CalloutPopulation")
    for step in range(1, 200, EVERY):
        await store.all_tenants.remove("callout_participations", {})
        await house.participation(stranger, msisdn="+855125550202")
        fresh = {"$set": {"status": "queued", "_work": {"due": now()}, "metadata": {}}}
        await store.all_tenants.update_one("batch_operations", {"_id": operation}, fresh)
        life = Life(step)
        process = Background(MortalStore.within(store, life), settings_for(NOWHERE, tmp_path))

        async def run(process: Background = process) -> None:
            await pass_over(process.batch_runner)

        await live(run(), life)
        await process.close()
        async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
            # What the dead process sent last may reach the database late, and put the lease off once more.
            while (await house.view.get("batch_operations", operation))["status"] != "finished":
                due = {"$set": {"_work.due": now()}}
                await store.all_tenants.update_one("batch_operations", {"_work": {"$exists": True}}, due)
                await pass_over(jobs.batch_runner)
        done = await house.view.get("batch_operations", operation)
        assert (done["status"], done["metadata"]) == ("finished", {"skipped": {"number_taken": 1}}), step
        if not life.over:
            break
    assert not life.over


async def test_the_marks_of_a_change_go_when_nobody_can_hold_the_old_number(store: Store, tmp_path: Path) -> None:
    house = await House.open(store)
    contact = await house.contact(OLD)
    number = await house.call(await house.participation(contact), "queue")
    long_ago = now() - renumbering.MARK_RETENTION - timedelta(minutes=1)
    past = {"$set": {f"{RENUMBERED}.due": long_ago, f"{RENUMBERED}.from.0.at": long_ago}}
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await jobs.dispatcher.claim(5)
        await house.renumber(contact, NEW)
        await store.all_tenants.update_one("contacts", {"_id": contact}, past)
        await pass_over(jobs.renumber_contacts)
        assert RENUMBERED in await house.view.get("contacts", contact), "a call is still held"
        assert CALLOUT_MARK in await house.view.get("callouts", house.callout)
        await store.all_tenants.update_one("phone_calls", {"_id": number}, {"$set": {"_work": {"due": now()}}})
        await store.all_tenants.update_one("contacts", {"_id": contact}, past)
        await pass_over(jobs.renumber_contacts)
    assert RENUMBERED not in await house.view.get("contacts", contact)
    assert CALLOUT_MARK not in await house.view.get("callouts", house.callout)
    assert await house.numbers("phone_calls") == [NEW]


async def test_a_number_that_changes_without_end_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renumbering, "MAX_FORMER_NUMBERS", 2)
    house = await House.open(store)
    contact = await house.contact(OLD)
    for number in (NEW, OTHER, NEW, OTHER):
        await house.renumber(contact, number)
    with pytest.raises(Invalid):
        await house.renumber(contact, "+855125550077")
