"""What is older than is kept goes, kind by kind, and nothing else; what is counted stays; whatever dies meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from scfm.clock import now
from scfm.models.doomed_recording import DOOMED_RECORDINGS
from scfm.models.erasure_record import ERASURES
from scfm.models.stored_documents import CALLS, EVENT_COLLECTION, PARTICIPATIONS
from scfm.privacy import retention
from scfm.privacy.retention import PURGED_KINDS, Retention
from scfm.storage.store import Store
from scfm.workers.purge_old import PurgeOld
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.people import insert
from tests.workers.test_erasure import (
    NUMBER,
    OTHER,
    RECORDING,
    at_once,
    figures,
    person,
    populate,
    their_call,
    traces,
    wipe,
    work_outcomes_out,
)

assert at_once  # a fixture

OLD, YOUNG = timedelta(days=400), timedelta(days=100)
YEAR = timedelta(days=365)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_LOOKED_AT", 2)


async def past(store: Store, status: str = "stopped") -> int:
    """Two callouts of 400 days ago, of which the first is over, and a call of 100 days ago to the second person."""
    account_id = await populate(store)
    old, young = now() - OLD, now() - YOUNG
    stamps = {"created_at": old, "updated_at": old}
    for collection in ("contacts", "callouts", PARTICIPATIONS, CALLS, EVENT_COLLECTION):
        await store.for_account(account_id).update_many(collection, {}, {"$set": stamps})
    view = store.for_account(account_id)
    await view.update_many(CALLS, {}, {"$set": {"_ended": old, "remotely_queued_at": old}})
    await view.update_one("callouts", {"_id": 1}, {"$set": {"status": status}})
    recent = {**their_call(9, 2, OTHER, "completed"), "callout_participation_id": None, "callout_id": None}
    await insert(store, account_id, CALLS, recent)
    await view.update_one(CALLS, {"_id": 9}, {"$set": dict.fromkeys(("created_at", "updated_at", "_ended"), young)})
    await work_outcomes_out(store)
    return account_id


async def purge(store: Store, kind: str, *, dry_run: bool = False) -> int:
    return await Retention(store, max_rest=0.0).purge(kind, now() - YEAR, dry_run=dry_run)


async def everything(store: Store) -> dict[str, Any]:
    database: Any = store.database._database
    names = {*await database.list_collection_names()} - {"counters"}
    return {name: await database[name].find({}).sort("_id").to_list(None) for name in names}


@pytest.mark.parametrize(
    ("kind", "count"), [("recordings", 2), ("answers", 1), ("calls", 2), ("callouts", 2), ("contacts", 1)]
)
async def test_a_dry_run_tells_how_many_and_changes_nothing_and_a_second_run_finds_none(
    store: Store, kind: str, count: int
) -> None:
    account_id = await past(store)
    if kind == "contacts":  # but for the second one, who was called 100 days ago, and is to be called
        await store.for_account(account_id).update_one("callouts", {"_id": 2}, {"$set": {"status": "stopped"}})
    before = await everything(store)
    assert await purge(store, kind, dry_run=True) == count
    assert await everything(store) == before
    counted = await figures(store, account_id)
    assert await purge(store, kind) == count
    assert await figures(store, account_id) == counted
    if kind != "contacts":  # which are there until they are erased
        assert await purge(store, kind) == 0


async def test_calls_tell_neither_whom_they_called_nor_what_was_said(store: Store) -> None:
    account_id = await past(store)
    view = store.for_account(account_id)
    await purge(store, "calls")
    calls = {call["_id"]: call for call in await view.find(CALLS, {})}
    assert [calls[number]["msisdn"] for number in (1, 2, 9)] == [None, None, OTHER]
    assert calls[1]["status"] == "completed" and calls[1]["duration"] == 9
    assert calls[1]["metadata"] == calls[1]["remote_queue_response"] == {}
    assert await view.find(EVENT_COLLECTION, {}) == []
    participations = await view.find(PARTICIPATIONS, {})
    assert [one["msisdn"] for one in participations] == [NUMBER, OTHER, NUMBER, OTHER]


async def test_recordings_go_and_other_answers_stay(store: Store) -> None:
    account_id = await past(store)
    view = store.for_account(account_id)
    await purge(store, "recordings")
    (doomed,) = await view.find(DOOMED_RECORDINGS, {})
    assert doomed["url"] == RECORDING
    first = await view.get(PARTICIPATIONS, 1)
    assert first["answers"] == {"needs": {"recording_url": None, "seconds": 4}, "said": "needs a boat"}
    (event,) = await view.find(EVENT_COLLECTION, {})
    assert event["details"] == {"To": NUMBER, "CallSid": "CA77"}


async def test_the_people_of_a_callout_that_is_over_are_counted_and_not_known(store: Store) -> None:
    account_id = await past(store)
    view = store.for_account(account_id)
    await purge(store, "callouts")
    found = await view.find(PARTICIPATIONS, {})
    assert [one["msisdn"] for one in found] == ["erased-1", "erased-2", NUMBER, OTHER]
    assert [one["contact_id"] for one in found] == [-1, -2, 1, 2]
    assert await view.find(DOOMED_RECORDINGS, {}) != []
    # Resumed all the same, it calls nobody any more.
    await view.update_one("callouts", {"_id": 1}, {"$set": {"status": "running"}})
    await view.update_many(PARTICIPATIONS, {"_id": 2}, {"$set": {"_settle": 1}})
    await work_outcomes_out(store)
    assert (await view.get(PARTICIPATIONS, 2))["outcome"] == "unreached"


@pytest.mark.parametrize("status", ["running", "paused", "initialized"])
async def test_a_callout_that_is_not_over_keeps_its_people(store: Store, status: str) -> None:
    await past(store, status)
    assert await purge(store, "callouts") == 0


async def test_contacts_who_were_called_are_kept_also_when_their_calls_do_not_tell(store: Store) -> None:
    account_id = await past(store)
    view = store.for_account(account_id)
    await view.update_one("callouts", {"_id": 2}, {"$set": {"status": "stopped"}})
    # All calls lose whom they called, also the one of 100 days ago.
    await Retention(store, max_rest=0.0).purge("calls", now() - timedelta(days=50))
    assert await view.find(CALLS, {"contact_id": {"$ne": None}}) == []
    assert await purge(store, "contacts") == 1
    (record,) = await view.find(ERASURES, {})
    assert record["contact_id"] == 1


async def test_contacts_who_are_to_be_called_are_kept(store: Store) -> None:
    account_id = await past(store)
    assert await purge(store, "contacts") == 0
    await insert(store, account_id, "contacts", {"_id": 3, "msisdn": "+85511111111"})
    view = store.for_account(account_id)
    await view.update_one("callouts", {"_id": 2}, {"$set": {"status": "stopped"}})
    assert await purge(store, "contacts") == 1  # the new one is not old enough


async def test_other_accounts_are_purged_alike_and_what_is_young_is_not(store: Store) -> None:
    await past(store)
    other = await account(store)
    await insert(store, other, PARTICIPATIONS, person(20, 7, 7, NUMBER, answers={"a": 1}, outcome="reached"))
    view = store.for_account(other)
    await view.update_one(PARTICIPATIONS, {"_id": 20}, {"$set": {"last_attempt_at": now() - YOUNG}})
    assert await purge(store, "answers") == 1
    await view.update_one(PARTICIPATIONS, {"_id": 20}, {"$set": {"last_attempt_at": now() - OLD}})
    assert await purge(store, "answers") == 1
    assert (await view.get(PARTICIPATIONS, 20))["answers"] == {}


@pytest.mark.parametrize("kind", ["calls", "callouts", "recordings"])
async def test_wherever_a_process_dies_the_next_run_does_the_rest(store: Store, kind: str) -> None:
    step = 1
    while True:
        account_id = await past(store)
        counted = await figures(store, account_id)
        life = Life(step, of_writes=True)
        mortal = MortalStore.within(store, life)

        async def work(mortal: Store = mortal) -> None:
            await purge(mortal, kind)

        await live(work(), life)
        await purge(store, kind)
        await work_outcomes_out(store)
        assert await figures(store, account_id) == counted, step
        left = await traces(store)
        if kind == "recordings":
            assert left.get("RE0123") is None
            assert await store.all_tenants.exists(DOOMED_RECORDINGS, {"url": RECORDING})
        else:
            assert CALLS not in left.get(NUMBER[1:], ()) and "CA77" not in left
        died = life.over
        await wipe(store)
        step += 3
        if not died:
            break
    assert step > 4


async def test_the_server_purges_the_kinds_that_have_days(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(PurgeOld, "first_pause_seconds", 0.0)
    await past(store)
    days = {**dict.fromkeys(PURGED_KINDS, 0), "calls": 365}
    with caplog.at_level("INFO", "scfm.privacy"):
        await pass_over(PurgeOld(Retention(store), days))
    assert [record.getMessage() for record in caplog.records if record.name == "scfm.privacy"] == [
        "retention: 2 calls of more than 365 days ago are purged"
    ]
    assert not await pass_over(PurgeOld(Retention(store), dict.fromkeys(PURGED_KINDS, 0)))
