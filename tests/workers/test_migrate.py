"""Migrations: each is done once, in order, wherever a process dies; and a program that is too old is kept out."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scfm.errors import StartError
from scfm.models.migrations.listed import MIGRATIONS, PROGRAM, program_of
from scfm.models.migrations.migration import Migration
from scfm.models.outcome import MARK
from scfm.models.stored_documents import PARTICIPATIONS
from scfm.storage.schema import SCHEMA_COLLECTION, Program, SchemaState, StoredSchema
from scfm.storage.store import Store
from scfm.workers import migrate
from scfm.workers.migrate import Migrate
from scfm.workers.schema_watch import SchemaWatch
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.people import callout, insert
from tests.workers.test_outcome_repair import person

BEFORE = Program("0.1", 0, 0)
PEOPLE = 7
# Before which of its steps a process dies: each would take too long here; ``make deaths`` does it.
EVERY = int(os.environ.get("DEATHS_EVERY", "7"))


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "MAX_REST_SECONDS", 0.0)
    monkeypatch.setattr("scfm.models.migrations.outcomes.PARTICIPATIONS_AT_ONCE", 3)


async def add_one(store: Store, after: int) -> int | None:
    """A migration that would do harm if it did a document twice, was it not for its condition."""
    found = await store.all_tenants.find("contacts", {"_id": {"$gt": after}}, fields=["account_id"], limit=2)
    for one in found:
        update = {"$set": {"metadata.step": 1}, "$inc": {"metadata.times": 1}}
        view = store.for_account(one["account_id"])
        await view.update_one("contacts", {"_id": one["_id"], "metadata.step": None}, update)
    return found[-1]["_id"] if found else None


async def add_two(store: Store, after: int) -> int | None:
    """One that needs what the first has done."""
    assert not await store.all_tenants.exists("contacts", {"metadata.step": None})
    done = {"$set": {"metadata.step": 2}, "$inc": {"metadata.times": 1}}
    for one in await store.all_tenants.find("contacts", {"metadata.step": 1}, fields=["account_id"]):
        await store.for_account(one["account_id"]).update_one("contacts", {"_id": one["_id"]}, done)
    return None


TWO = (Migration(1, "add one", add_one), Migration(2, "add two", add_two))


async def older(store: Store, contacts: int = 5) -> None:
    """A database of a version before the first."""
    account_id = await account(store)
    people = [{"_id": number, "msisdn": f"+1555000{number:04}"} for number in range(1, contacts + 1)]
    await insert(store, account_id, "contacts", *people)
    await StoredSchema(store.database).enter(BEFORE, empty=False)


async def migrated(store: Store, migrations: Any = TWO) -> None:
    """Carry them all out: what one that died had under way may come between a job's look and its claim."""
    while (await StoredSchema(store.database).read()).version < len(migrations):
        job = Migrate(store, migrations)
        while await pass_over(job):
            pass


async def metadata(store: Store) -> list[Any]:
    return [one["metadata"] for one in await store.all_tenants.find("contacts", {})]


async def test_migrations_are_done_in_order_and_each_once(store: Store) -> None:
    await older(store)
    await migrated(store, TWO[:1])
    assert (await StoredSchema(store.database).read()).version == 1
    await migrated(store)
    await migrated(store)
    assert await StoredSchema(store.database).read() == SchemaState(2, 0, "0.1", 0)
    assert await metadata(store) == [{"step": 2, "times": 2}] * 5


async def test_a_new_database_has_had_all_migrations(store: Store) -> None:
    assert not await StoredSchema(store.database).enter(PROGRAM, empty=True)
    assert (await StoredSchema(store.database).read()).version == len(MIGRATIONS) == PROGRAM.schema_version
    assert not await pass_over(Migrate(store, MIGRATIONS))


async def test_wherever_a_process_dies_another_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scfm.storage.schema.MIGRATION_LEASE", -timedelta(seconds=1))
    step = 1 - EVERY
    while True:
        step += EVERY
        await older(store)
        life = Life(step)
        mortal = MortalStore.within(store, life)
        await live(migrated(mortal), life)
        died = life.over
        await migrated(store)
        assert await metadata(store) == [{"step": 2, "times": 2}] * 5, step
        assert (await StoredSchema(store.database).read()).version == 2
        for collection in ("contacts", "accounts", "access_tokens", "counters", SCHEMA_COLLECTION):
            await store.all_tenants.remove(collection, {})
        if not died:
            break
    assert step > 20


async def test_of_two_processes_one_carries_a_migration_out(store: Store) -> None:
    await older(store)
    first, second = Migrate(store, TWO), Migrate(store, TWO)
    (claimed,) = await first.claim(1)
    assert await second.claim(1) == []
    await first.process(claimed)
    assert (await StoredSchema(store.database).read()).version == 1


async def test_a_process_whose_lease_has_run_out_leaves_it_to_the_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scfm.storage.schema.MIGRATION_LEASE", -timedelta(seconds=1))
    await older(store)
    schema = StoredSchema(store.database)
    first = await schema.claim(0)
    second = await schema.claim(0)
    assert first and second
    assert not await schema.advance(first, 4) and not await schema.finish(first)
    assert await schema.advance(second, 2)
    assert (await schema.read()).after == 2
    assert await schema.finish(second) and not await schema.finish(second)
    assert (await schema.read()).version == 1


async def test_a_step_that_fails_is_tried_again_and_nothing_after_it_is_done(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(store: Store, after: int) -> int | None:
        raise ValueError("no")

    await older(store)
    job = Migrate(store, (Migration(1, "fails", fails), TWO[1]))
    (claimed,) = await job.claim(1)
    with pytest.raises(ValueError, match="no"):
        await job.process(claimed)
    await job.on_error(claimed, ValueError("no"))
    assert await job.claim(1) == []
    assert (await StoredSchema(store.database).read()).version == 0


async def test_participations_of_older_versions_are_marked_for_their_outcome(store: Store) -> None:
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout())
    await insert(store, account_id, PARTICIPATIONS, *(person(number) for number in range(1, PEOPLE)))
    await insert(store, account_id, PARTICIPATIONS, {**person(PEOPLE), "outcome": "reached"})
    await StoredSchema(store.database).enter(PROGRAM, empty=False)
    await migrated(store, MIGRATIONS)
    assert await StoredSchema(store.database).read() == SchemaState(len(MIGRATIONS), 0, PROGRAM.release, 0)
    found = await store.all_tenants.find(PARTICIPATIONS, {})
    assert [MARK in one for one in found] == [True] * (PEOPLE - 1) + [False]
    (of_callout,) = await store.all_tenants.find("callouts", {})
    assert of_callout["_strays_known"]


def programs(*shutting_out: int, of: int = 4) -> Program:
    one = [Migration(number, "", add_one, shuts_out=number in shutting_out) for number in range(1, of + 1)]
    return program_of(one, f"0.{of}")


async def test_a_program_that_is_too_old_is_told_what_to_do(store: Store) -> None:
    schema = StoredSchema(store.database)
    assert not await schema.enter(programs(of=2), empty=True)
    assert await schema.enter(programs(3), empty=False)
    with pytest.raises(StartError) as refused:
        await schema.enter(programs(of=2), empty=False)
    assert str(refused.value) == (
        "these data are those of scfm 0.4 (schema 3), and this program, scfm 0.2, knows them only up to schema 2: "
        "start scfm 0.4 or a newer one, or restore a backup from before the upgrade (docs/upgrading.md)"
    )
    assert await schema.read() == SchemaState(2, 3, "0.4")
    assert not await schema.enter(programs(3), empty=False)


async def test_a_running_server_ends_when_a_newer_program_shuts_it_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SchemaWatch, "pause_seconds", 0.0)
    monkeypatch.setattr(SchemaWatch, "first_pause_seconds", 0.0)
    told: list[StartError] = []
    await StoredSchema(store.database).enter(programs(of=2), empty=True)
    watch = SchemaWatch(store, programs(of=2), told.append)
    await pass_over(watch)
    await StoredSchema(store.database).enter(programs(of=4), empty=False)
    await pass_over(watch)
    assert told == []
    await StoredSchema(store.database).enter(programs(4), empty=False)
    await pass_over(watch)
    assert "start scfm 0.4" in str(told[0])


@given(st.lists(st.booleans(), max_size=6), st.lists(st.booleans(), max_size=4))
def test_two_releases_may_work_side_by_side_unless_a_migration_between_them_shuts_the_older_out(
    known: list[bool], added: list[bool]
) -> None:
    both = [Migration(number, "", add_one, shuts_out=flag) for number, flag in enumerate([*known, *added], 1)]
    older_program, newer = program_of(both[: len(known)]), program_of(both)
    state = SchemaState(0, newer.oldest_beside, newer.release)
    if any(added):
        with pytest.raises(StartError):
            state.refuse_newer(older_program)
    else:
        state.refuse_newer(older_program)
    state.refuse_newer(newer)
