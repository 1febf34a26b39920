"""What happens to people is worked into their outcomes, whoever dies or is beside it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from scfm.models import call_cancellations, call_lifecycle, call_placement, call_reports
from scfm.models.call_reports import reported_status
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.declaration import initial_fields
from scfm.models.outcome import MARK, OUTCOME_VERSION, new_mark
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import outcome_keeper
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_writer import store_outcomes
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.people import call, callout, insert, participation

CALLS, PARTICIPATIONS = "phone_calls", "callout_participations"
RESPONSE = {"sid": "CA1", "direction": "outbound-api", "status": "queued"}
MAX_STEPS = 100


@pytest.fixture(autouse=True)
def no_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_keeper, "MAX_GATHER_SECONDS", 0.0)


async def one_person(store: Store, **call_fields: Any) -> int:
    """An account with a callout, in which one person is called; its id."""
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout())
    await insert(store, account_id, PARTICIPATIONS, person(1))
    await insert(store, account_id, CALLS, {**new_call(1), **call_fields})
    return account_id


def person(number: int, **fields: Any) -> Document:
    known = {"_id": number, "callout_id": 1, "contact_id": number, "msisdn": f"+1555000{number:04}"}
    return {**initial_fields(CALLOUT_PARTICIPATIONS), **known, **fields}


def new_call(number: int) -> Document:
    shown = {"callout_id": 1, "contact_id": number, "msisdn": f"+1555000{number:04}", "remote_status": None}
    return {**call(number, "created"), "callout_participation_id": number, **shown, "remote_error_message": None}


async def move(store: Store, *transitions: call_lifecycle.Transition | None) -> None:
    """Make those of the transitions that are possible."""
    for transition in transitions:
        assert transition is not None
        await store.all_tenants.update_one(CALLS, *transition)


async def the_call(store: Store, number: int = 1) -> Document:
    return (await store.all_tenants.find(CALLS, {"_id": number}))[0]


async def marked(store: Store) -> list[int]:
    """The ids of what is marked, calls and participations."""
    marks = {MARK: {"$exists": True}}
    return [one["_id"] for name in (CALLS, PARTICIPATIONS) for one in await store.all_tenants.find(name, marks)]


async def kept(store: Store) -> tuple[str, str | None, int]:
    """The outcome, its reason and the attempts, once all marks are worked off."""
    assert await pass_over(OutcomeKeeper(store)) == 1
    assert await marked(store) == []
    found = await participation(store)
    return found["outcome"], found["outcome_reason"], found["attempts"]


async def reported(store: Store, **details: str) -> call_lifecycle.Transition | None:
    return call_reports.report(await the_call(store), reported_status(details))


async def test_an_outcome_follows_a_call_through_its_life(store: Store) -> None:
    account_id = await one_person(store)
    view = store.for_account(account_id)
    await move(store, call_lifecycle.queue(await the_call(store), {}))
    assert await kept(store) == ("calling", None, 0)
    found = await the_call(store)
    lease = found["_work"]["due"]
    attempt: Any = {"id": "f00d", "at": lease, "log": None}
    await move(store, call_lifecycle.claim([1], "queued", lease, lease, attempt))
    assert await marked(store) == []
    await move(store, call_placement.accept(await the_call(store), RESPONSE, None)[0])
    assert await kept(store) == ("calling", None, 1)
    await move(store, await reported(store, CallStatus="ringing"))
    assert await kept(store) == ("calling", None, 1)
    await move(store, await reported(store, CallStatus="no-answer", SequenceNumber="2"))
    assert await kept(store) == ("unreached", "not_answered", 1)
    await move(store, await reported(store, CallStatus="completed", CallDuration="7", SequenceNumber="9"))
    assert await kept(store) == ("reached", None, 1)
    found = await participation(store)
    assert found["_duration"] == 7
    assert [one["status"] for one in found["_calls"]] == ["completed"]
    assert found["last_attempt_at"] == (await the_call(store))["remotely_queued_at"]
    # What nobody has changed keeps its version for clients.
    assert (found["_version"], found["updated_at"]) == (1, (await view.get("callouts", 1))["updated_at"])


async def test_nothing_is_done_where_nothing_is_marked(store: Store) -> None:
    await one_person(store)
    assert await pass_over(OutcomeKeeper(store)) == 0


async def test_a_mark_wakes_the_keeper(store: Store) -> None:
    await one_person(store)
    woken = asyncio.Event()
    OutcomeKeeper(store).wake = woken.set  # type: ignore[method-assign]
    keeper = OutcomeKeeper(store)
    keeper.wake = woken.set  # type: ignore[method-assign]
    await store.all_tenants.update_one(CALLS, {"_id": 1}, {"$set": {"remote_status": "ringing"}})
    assert not woken.is_set()
    await move(store, call_lifecycle.queue(await the_call(store), {}))
    assert woken.is_set()


async def test_what_is_marked_meanwhile_is_done_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await one_person(store)
    await move(store, call_lifecycle.queue(await the_call(store), {}))

    async def canceled_meanwhile(*given: Any) -> set[int]:
        settled = await store_outcomes(*given)
        await move(store, call_cancellations.cancel_callout(account_id, 1))
        return settled

    with monkeypatch.context() as patch:
        patch.setattr(outcome_keeper, "store_outcomes", canceled_meanwhile)
        await pass_over(OutcomeKeeper(store))
    assert (await participation(store))["outcome"] == "calling"
    assert await marked(store) == [1]
    assert await kept(store) == ("pending", None, 0)


async def test_what_was_derived_from_older_documents_is_not_stored(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes are at the same person: the slower one finds that it was slower, and keeps the mark."""
    account_id = await one_person(store)
    view = store.for_account(account_id)
    await move(store, call_lifecycle.queue(await the_call(store), {}))
    bulk_update = type(view).bulk_update

    async def slowly(self: Any, collection: str, updates: Any, **options: Any) -> int:
        monkeypatch.undo()
        await move(store, call_cancellations.cancel_callout(account_id, 1))
        assert await store_outcomes(view, [1]) == {1}
        return await bulk_update(self, collection, updates, **options)

    monkeypatch.setattr(type(view), "bulk_update", slowly)
    await pass_over(OutcomeKeeper(store))
    assert (await participation(store))["outcome"] == "pending"
    assert await marked(store) == [1]
    assert await kept(store) == ("pending", None, 0)


async def test_what_a_person_replies_is_worked_in_by_the_mark_of_the_participation(store: Store) -> None:
    account_id = await one_person(store)
    view = store.for_account(account_id)
    acknowledged = {"$set": {"_acknowledged": (await participation(store))["created_at"], MARK: new_mark()}}
    await view.update_one(PARTICIPATIONS, {"_id": 1}, acknowledged)
    assert await kept(store) == ("acknowledged", None, 0)


async def test_a_mark_set_while_an_outcome_is_stored_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await one_person(store)
    view = store.for_account(account_id)
    await view.update_one(PARTICIPATIONS, {"_id": 1}, {"$set": {MARK: new_mark()}})
    bulk_update = type(view).bulk_update

    async def slowly(self: Any, collection: str, updates: Any, **options: Any) -> int:
        monkeypatch.undo()
        await view.update_one(PARTICIPATIONS, {"_id": 1}, {"$set": {"_opted_out": new_mark(), MARK: new_mark()}})
        return await bulk_update(self, collection, updates, **options)

    monkeypatch.setattr(type(view), "bulk_update", slowly)
    await pass_over(OutcomeKeeper(store))
    assert await marked(store) == [1]
    assert await kept(store) == ("excluded", "opted_out", 0)


async def test_marks_of_what_has_no_outcome_go(store: Store) -> None:
    """A call that came in, one whose participation is gone, and a participation whose callout is."""
    account_id = await account(store)
    mark = {MARK: new_mark()}
    await insert(store, account_id, CALLS, {**new_call(1), "callout_participation_id": None, **mark})
    await insert(store, account_id, CALLS, {**new_call(2), **mark})
    await insert(store, account_id, PARTICIPATIONS, person(3, **mark))
    assert await pass_over(OutcomeKeeper(store)) == 1
    assert await marked(store) == []


async def test_what_cannot_be_understood_keeps_nobody_from_an_outcome(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout(), callout(_id=2, plan={"no": "plan"}))
    damaged: list[Document] = [{}, {"callout_id": 2}, {"callout_id": None}, {"callout_id": "one"}]
    mark = {MARK: new_mark()}
    for number, fields in enumerate(damaged, 1):
        await insert(store, account_id, PARTICIPATIONS, person(number, **fields))
        await insert(store, account_id, CALLS, {**new_call(number), **mark})
    await insert(store, account_id, PARTICIPATIONS, {"_id": 5, **mark}, person(6))
    await insert(store, account_id, CALLS, {"_id": 6, "callout_participation_id": 6, "status": "completed", **mark})
    await insert(store, account_id, CALLS, {"_id": 7, **mark}, {"_id": 8, "callout_participation_id": "one", **mark})
    await insert(store, account_id, CALLS, {"_id": 9, "callout_participation_id": {"a": 1}, **mark})
    await store.all_tenants.insert(CALLS, {"_id": 10, MARK: "marked"})
    with caplog.at_level(logging.ERROR, "scfm.work"):
        assert await pass_over(OutcomeKeeper(store)) == 1
    await store.all_tenants.remove(CALLS, {"_id": 10})
    assert (await participation(store))["outcome"] == "pending"
    assert await marked(store) == []
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"the outcome of participation {number} cannot be told" for number in (2, 6)]


async def test_each_account_has_its_own(store: Store) -> None:
    first, second = await account(store), await account(store)
    mark = {MARK: new_mark()}
    await insert(store, first, "callouts", callout())
    await insert(store, second, "callouts", callout(_id=2))
    await insert(store, first, PARTICIPATIONS, person(1))
    await insert(store, second, PARTICIPATIONS, person(2, callout_id=2))
    # Damage: a call that names another account's participation changes nothing of it.
    await insert(store, second, CALLS, {**new_call(2), "status": "busy", "remotely_queued_at": None, **mark})
    await insert(store, first, CALLS, {**new_call(3), "callout_participation_id": 2, "status": "queued", **mark})
    assert await pass_over(OutcomeKeeper(store)) == 1
    assert (await participation(store, 2))["outcome"] == "pending"
    assert OUTCOME_VERSION not in await participation(store, 1)
    assert await marked(store) == []


async def test_more_than_are_taken_at_once_are_all_done(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_keeper, "MAX_MARKS", 3)
    account_id = await account(store)
    await insert(store, account_id, "callouts", callout())
    for number in range(1, 9):
        await insert(store, account_id, PARTICIPATIONS, person(number))
        await insert(store, account_id, CALLS, {**new_call(number), "status": "queued", MARK: new_mark()})
    keeper, passes = OutcomeKeeper(store), 0
    while await pass_over(keeper):
        passes += 1
    assert passes == 3
    assert {(await participation(store, number))["outcome"] for number in range(1, 9)} == {"calling"}


async def test_a_process_that_keeps_outcomes_may_die_at_any_step(store: Store) -> None:
    account_id = await one_person(store)
    await insert(store, account_id, PARTICIPATIONS, person(2))
    await insert(store, account_id, CALLS, new_call(2))
    view = store.for_account(account_id)
    outcomes = {"busy": "unreached", "completed": "reached"}
    for step in range(1, MAX_STEPS):
        status = "busy" if step % 2 else "completed"
        changed = {"status": status, "remote_call_id": "CA1", MARK: new_mark()}
        await view.update_many(CALLS, {}, {"$set": changed})
        await view.update_one(PARTICIPATIONS, {"_id": 2}, {"$set": {MARK: new_mark()}})
        life = Life(step)

        async def keep(life: Life = life) -> None:
            await pass_over(OutcomeKeeper(MortalStore.within(store, life)))

        await live(keep(), life)
        while await marked(store):
            await pass_over(OutcomeKeeper(store))
        found = [await participation(store, number) for number in (1, 2)]
        assert {one["outcome"] for one in found} == {outcomes[status]}
        assert {len(one["_calls"]) for one in found} == {1}
        if not life.over:
            break
    assert not life.over and step > 10


async def test_two_keepers_at_once_come_to_what_one_comes_to(store: Store) -> None:
    account_id = await one_person(store)
    view = store.for_account(account_id)
    keepers = [OutcomeKeeper(store) for _ in range(3)]
    for turn in range(30):
        status = ("busy", "completed", "queued")[turn % 3]
        await view.update_many(CALLS, {}, {"$set": {"status": status, "remote_call_id": "CA1", MARK: new_mark()}})
        passes = [asyncio.create_task(pass_over(keeper)) for keeper in keepers]
        if turn % 2:
            await view.update_many(CALLS, {}, {"$set": {"status": "failed", MARK: new_mark()}})
            status = "failed"
        await asyncio.gather(*passes)
        while await marked(store):
            await pass_over(keepers[0])
        found = await participation(store)
        assert found["_calls"][0]["status"] == status
        expected = {"busy": "unreached", "failed": "unreached", "completed": "reached", "queued": "calling"}
        assert found["outcome"] == expected[status]


@pytest.mark.parametrize("collection", [CALLS, PARTICIPATIONS])
async def test_what_is_marked_is_found_by_its_index(store: Store, collection: str) -> None:
    found = store.database.collection(collection).find(outcome_keeper.NUMBERED, sort=[(MARK, 1)], limit=5)
    assert "'indexName': 'unsettled'" in str((await found.explain())["queryPlanner"]["winningPlan"])
