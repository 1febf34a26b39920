"""After a start every outcome is derived anew: a sound database stays as it is, and an older one gets its own."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from scfm.clock import now
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.outcome import MARK, OUTCOME_VERSION, new_mark
from scfm.models.stored_documents import CALLS, PARTICIPATIONS
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import outcome_keeper, outcome_repair
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_repair import OutcomeRepair
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.people import SENT, call, callout, insert, participation, plan

SHOWN = ("outcome", "outcome_reason", "attempts", "next_attempt_at", "last_attempt_at")
OLDER = {name: value for name, value in initial_fields(CALLOUT_PARTICIPATIONS).items() if name not in SHOWN}


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_keeper, "MAX_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(outcome_repair, "MAX_REST_SECONDS", 0.0)
    monkeypatch.setattr(outcome_repair, "REPAIR_BATCH", 3)


def person(number: int, **fields: Any) -> Document:
    known = {"_id": number, "callout_id": 1, "contact_id": number, "msisdn": f"+1555000{number:04}"}
    return {**OLDER, **known, **fields}


def their_call(number: int, status: str, **fields: Any) -> Document:
    return {**call(number, status, **fields), "callout_participation_id": number, "callout_id": 1}


async def people(store: Store, **of_callout: Any) -> int:
    """A callout of an older version, and in it one who was reached, one who was not, and five who were not called."""
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout(**of_callout))
    await insert(store, account_id, PARTICIPATIONS, *(person(number) for number in range(1, 8)))
    await insert(store, account_id, CALLS, their_call(1, "completed", **SENT), their_call(2, "busy", **SENT))
    return account_id


async def repaired(store: Store) -> tuple[int, int]:
    """What a walk over all has found wrong, and missing; what it has marked is worked off."""
    repair = OutcomeRepair(store)
    while await pass_over(repair):
        pass
    keeper = OutcomeKeeper(store)
    while await pass_over(keeper):
        pass
    return repair.wrong, repair.missing


async def test_what_an_older_version_has_stored_gets_its_outcome(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await people(store)
    with caplog.at_level(logging.WARNING, "scfm.work"):
        assert await repaired(store) == (0, 7)
    assert [record.getMessage() for record in caplog.records] == ["outcomes: 0 were wrong, and 7 not there"]
    found = [await participation(store, number) for number in (1, 2, 3)]
    assert [one["outcome"] for one in found] == ["reached", "unreached", "pending"]
    assert [one["attempts"] for one in found] == [1, 1, 0]


async def test_on_a_sound_database_nothing_is_found_and_nothing_is_written(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    await people(store)
    await repaired(store)
    before = await store.all_tenants.find(PARTICIPATIONS, {})
    caplog.clear()
    assert await repaired(store) == (0, 0)
    assert caplog.records == []
    assert await store.all_tenants.find(PARTICIPATIONS, {}) == before


async def test_new_participations_are_as_they_should_be(store: Store) -> None:
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout())
    known = {"_id": 1, "callout_id": 1, "contact_id": 1, "msisdn": "+15550001"}
    await insert(store, account_id, PARTICIPATIONS, {**initial_fields(CALLOUT_PARTICIPATIONS), **known})
    assert await repaired(store) == (0, 0)


async def test_a_wrong_outcome_is_found(store: Store) -> None:
    account_id = await people(store)
    await repaired(store)
    view = store.for_account(account_id)
    await view.update_one(PARTICIPATIONS, {"_id": 5}, {"$set": {"outcome": "reached"}})
    await view.update_one(CALLS, {"_id": 2}, {"$set": {"status": "failed"}})
    assert await repaired(store) == (2, 0)
    assert (await participation(store, 5))["outcome"] == "pending"
    assert (await participation(store, 2))["outcome_reason"] == "failed"


async def test_what_is_marked_is_not_wrong_but_under_way(store: Store) -> None:
    account_id = await people(store)
    await repaired(store)
    view = store.for_account(account_id)
    await view.update_one(CALLS, {"_id": 2}, {"$set": {"status": "failed", MARK: new_mark()}})
    await view.update_one(PARTICIPATIONS, {"_id": 5}, {"$set": {"_acknowledged": now(), MARK: new_mark()}})
    assert await repaired(store) == (0, 0)
    assert (await participation(store, 5))["outcome"] == "acknowledged"


async def test_what_is_derived_anew_while_it_is_looked_at_is_not_wrong(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await people(store)
    await repaired(store)
    view = store.for_account(account_id)
    derive_all = outcome_repair.derive_all

    async def slowly(*given: Any) -> Any:
        await view.update_one(CALLS, {"_id": 2}, {"$set": {"status": "failed", MARK: new_mark()}})
        derived = await derive_all(*given)
        await pass_over(OutcomeKeeper(store))
        return derived

    monkeypatch.setattr(outcome_repair, "derive_all", slowly)
    version = (await participation(store, 2))[OUTCOME_VERSION]
    assert await repaired(store) == (0, 0)
    assert (await participation(store, 2))[OUTCOME_VERSION] != version


async def test_of_a_plan_what_time_alone_has_changed_is_not_wrong(store: Store) -> None:
    account_id = await people(store, plan=plan())
    await repaired(store)
    assert await repaired(store) == (0, 0)
    over = {"plan.not_after": "2026-04-14T03:00:00Z"}
    await store.for_account(account_id).update_one("callouts", {"_id": 1}, {"$set": over})
    assert await repaired(store) == (0, 0)
    found = await participation(store, 3)
    assert (found["outcome"], found["outcome_reason"], "_due" in found) == ("unreached", "too_late", False)


async def test_a_process_that_repairs_may_die_at_any_step(store: Store) -> None:
    await people(store)
    for step in range(1, 200):
        await store.all_tenants.update_many(PARTICIPATIONS, {}, {"$unset": {"outcome": ""}})
        life = Life(step)

        async def repair(life: Life = life) -> None:
            dying = OutcomeRepair(MortalStore.within(store, life))
            while await pass_over(dying):
                pass

        await live(repair(), life)
        await repaired(store)
        found = [await participation(store, number) for number in range(1, 8)]
        assert [one["outcome"] for one in found] == ["reached", "unreached", *["pending"] * 5]
        if not life.over:
            break
    assert not life.over and step > 10
