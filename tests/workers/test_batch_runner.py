"""Running batch operations: whatever cuts a run off, it ends, and what it makes is there once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from scfm.clock import now
from scfm.errors import Unavailable
from scfm.models import references
from scfm.models.batch_operation import TYPES
from scfm.models.batch_operations import operation_links
from scfm.models.batch_operations.callout_population import CalloutPopulation
from scfm.models.batch_operations.phone_call_create import PhoneCallCreate
from scfm.storage import tenant_list
from scfm.storage.query import Document, Query
from scfm.storage.store import Store
from scfm.storage.tenant_view import TenantView
from scfm.workers import batch_run
from tests.workers.background import (
    PARAMS,
    Background,
    account,
    background,
    calls_of,
    eventually,
    pass_over,
    settings_for,
)
from tests.workers.mortal import Life, MortalSendJournal, MortalStore, live

CONTACTS = 8
LIMIT = 5
BATCH = 3
MAX_STEPS = 200
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a few documents has as many parts as one of thousands."""
    monkeypatch.setattr(batch_run, "MAX_BATCH_IDS", BATCH)


async def village(store: Store) -> TenantView:
    """An account with a callout and contacts; its view."""
    view = store.for_account(await account(store))
    moment = now()
    common = {"metadata": {}, "created_at": moment, "updated_at": moment, "_version": 1}
    await view.insert("callouts", {"status": "initialized", "call_flow_logic": None, **common}, "callout")
    await store.counters.ids("contact").allocate(CONTACTS)
    contacts = [{"_id": number, "msisdn": f"+25266234567{number}", **common} for number in range(1, CONTACTS + 1)]
    await view.insert_many("contacts", contacts)
    return view


async def queued(view: TenantView, kind: str, **parameters: Any) -> int:
    """A batch operation that has just been queued; its id."""
    moment = now()
    operation = await view.insert(
        "batch_operations",
        {
            "callout_id": 1 if kind == operation_links.POPULATION else None,
            "parameters": parameters,
            "metadata": {},
            "status": "queued",
            "type": kind,
            "created_at": moment,
            "updated_at": moment,
            "_version": 1,
            "_work": {"due": moment},
        },
        "batch_operation",
    )
    return int(operation["_id"])


async def runs(view: TenantView, jobs: Background, kind: str, **parameters: Any) -> Document:
    """Run an operation to its end; it as it then is."""
    number = await queued(view, kind, **parameters)
    await pass_over(jobs.batch_runner)
    return await view.get("batch_operations", number)


async def finishes(store: Store, tmp_path: Path) -> None:
    """A new process finishes every operation, at once."""

    async def finished() -> bool:
        await pass_over(jobs.reconciler)
        await pass_over(jobs.batch_runner)
        operations = await store.all_tenants.find("batch_operations", {})
        return all(one["status"] == "finished" and "_work" not in one for one in operations)

    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await eventually(finished)


async def runs_until_death(store: Store, tmp_path: Path, ends_at: int) -> Life:
    """Run what is queued as a process that dies at that step; its life."""
    life = Life(ends_at)
    send_journal = MortalSendJournal.within(tmp_path, life)
    process = Background(MortalStore.within(store, life), settings_for(NOWHERE, tmp_path), send_journal=send_journal)

    async def run() -> None:
        await pass_over(process.batch_runner)

    await live(run(), life)
    await process.close()
    return life


async def dies_at_every_step(
    store: Store, tmp_path: Path, begin: Callable[[], Awaitable[int]], check: Callable[[int], Awaitable[None]]
) -> None:
    """Let a process die at every step of a run that ``begin`` queues, and ``check`` what the next makes of it."""
    for step in range(1, MAX_STEPS):
        number = await begin()
        life = await runs_until_death(store, tmp_path, step)
        await finishes(store, tmp_path)
        await check(number)
        if not life.over:
            break
    assert not life.over and step > 15


async def test_a_population_is_cut_off_at_every_step(store: Store, tmp_path: Path) -> None:
    view = await village(store)

    async def begin() -> int:
        await view.remove("callout_participations", {})
        return await queued(view, operation_links.POPULATION)

    async def check(number: int) -> None:
        participations = await view.find("callout_participations", {"callout_population_id": number})
        assert [one["contact_id"] for one in participations] == list(range(1, CONTACTS + 1))

    await dies_at_every_step(store, tmp_path, begin, check)


async def test_a_limited_creation_of_calls_is_cut_off_at_every_step(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await runs(view, jobs, operation_links.POPULATION)

    async def begin() -> int:
        await view.remove("phone_calls", {})
        return await queued(view, operation_links.CREATE, remote_request_params=PARAMS, limit=LIMIT)

    async def check(number: int) -> None:
        calls = await view.find("phone_calls", {"create_batch_operation_id": number})
        assert Counter(call["contact_id"] for call in calls) == dict.fromkeys(range(1, LIMIT + 1), 1)

    await dies_at_every_step(store, tmp_path, begin, check)


async def test_a_limited_queueing_of_calls_is_cut_off_at_every_step(store: Store, tmp_path: Path) -> None:
    """Calls that are queued match the filter no more; a run that goes on must not take others in their place."""
    view = await village(store)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await runs(view, jobs, operation_links.POPULATION)
        await runs(view, jobs, operation_links.CREATE, remote_request_params=PARAMS)

    async def begin() -> int:
        anew = {"$set": {"status": "created", "queue_batch_operation_id": None}, "$unset": {"_work": ""}}
        await view.update_many("phone_calls", {}, anew)
        return await queued(
            view, operation_links.QUEUE, phone_call_filter_params={"status": "created"}, limit=str(LIMIT)
        )

    async def check(number: int) -> None:
        calls = await calls_of(store)
        assert [call["status"] for call in calls] == ["queued"] * LIMIT + ["created"] * (CONTACTS - LIMIT)
        assert {call["queue_batch_operation_id"] for call in calls[:LIMIT]} == {number}

    await dies_at_every_step(store, tmp_path, begin, check)


async def remembered(store: Store, callout: int, histories: Mapping[int, Sequence[str]]) -> None:
    """Calls that there have been: the statuses of each participation's, the oldest first, all mixed in time."""
    participations = await store.all_tenants.find("callout_participations", {"_id": {"$in": list(histories)}})
    calls = [
        {**common_of(one), "callout_id": callout, "status": status}
        for turn in range(max(map(len, histories.values()), default=0))
        for one in participations
        for status in histories[one["_id"]][turn : turn + 1]
    ]
    if calls:
        numbers = await store.counters.ids("phone_call").allocate(len(calls))
        await store.all_tenants.insert_many(
            "phone_calls", [{**call, "_id": number} for call, number in zip(calls, numbers, strict=True)]
        )


def common_of(participation: Document) -> Document:
    """What a call takes over from its participation."""
    taken = {name: participation[name] for name in ("account_id", "contact_id", "msisdn")}
    return {**taken, "callout_participation_id": participation["_id"], "created_at": now(), "updated_at": now()}


async def invited(view: TenantView, callout: int, numbers: Sequence[int]) -> None:
    """Participations of that many contacts, under these ids."""
    moment = now()
    common = {"callout_id": callout, "call_flow_logic": None, "metadata": {}, "created_at": moment, "_version": 1}
    await view.insert_many(
        "callout_participations",
        [
            {**common, "_id": number, "account_id": view.account_id, "contact_id": number, "msisdn": f"+2526{number}"}
            for number in numbers
        ],
    )


# The filters that ask for the calls of a participation, and whether one with such a newest call, or none, is meant.
BY_CALLS: dict[str, tuple[Document, Callable[[str | None], bool]]] = {
    "either": ({"no_phone_calls_or_last_attempt": "failed,errored"}, lambda it: it in (None, "failed", "errored")),
    "last": ({"last_phone_call_attempt": "failed, errored"}, lambda it: it in ("failed", "errored")),
    "called": ({"has_phone_calls": "true"}, lambda it: it is not None),
    "uncalled": ({"has_phone_calls": "false"}, lambda it: it is None),
    "none": ({"last_phone_call_attempt": ""}, lambda it: False),
    "both": ({"has_phone_calls": "true", "no_phone_calls_or_last_attempt": "failed"}, lambda it: it == "failed"),
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", BY_CALLS)
async def test_a_run_takes_what_its_preview_shows_whatever_calls_there_were(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seed: int
) -> None:
    parameters, meant = BY_CALLS[name]
    chance = random.Random(seed)
    if seed % 2:
        monkeypatch.setattr(tenant_list, "CURSOR_SECONDS", 0.0)
    ours, theirs = await village(store), store.for_account(await account(store))
    # Theirs are between ours, and further ones of ours in another callout.
    ids = await store.counters.ids("callout_participation").allocate(60)
    owners = {number: chance.choice(["ours", "ours", "other callout", "theirs"]) for number in ids}
    numbers = {owner: [one for one, its in owners.items() if its == owner] for owner in set(owners.values())}
    await invited(ours, 1, numbers["ours"])
    await invited(ours, 2, numbers["other callout"])
    await invited(theirs, 3, numbers["theirs"])
    statuses = ["failed", "errored", "created", "completed"]
    histories = {number: chance.choices(statuses, k=chance.choice([0, 0, 1, 2, 9])) for number in owners}
    await remembered(store, 1, histories)
    wanted = [one for one in numbers["ours"] if meant(histories[one][-1] if histories[one] else None)]

    given = {"callout_participation_filter_params": {**parameters, "callout_id": "1"}}
    kind = TYPES[operation_links.CREATE]
    preview = await kind.preview(
        ours, {"type": operation_links.CREATE, "parameters": given}, "callout_participations"
    )
    assert [one["_id"] for one in await ours.list_of(preview).page(0, 100)] == wanted
    assert await ours.list_of(preview).count() == len(wanted)
    read = [len(some) async for some in ours.list_of(preview).batches(0, BATCH)]
    assert seed % 2 or read == [BATCH] * (len(wanted) // BATCH) + [len(wanted) % BATCH] * (len(wanted) % BATCH > 0)

    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        operation = await runs(ours, jobs, operation_links.CREATE, remote_request_params=PARAMS, **given)
    calls = await store.all_tenants.find("phone_calls", {"create_batch_operation_id": operation["_id"]})
    assert [call["callout_participation_id"] for call in calls] == wanted
    assert all(call["account_id"] == ours.account_id for call in calls)


async def test_a_creation_after_earlier_calls_is_cut_off_at_every_step(store: Store, tmp_path: Path) -> None:
    """What it makes comes to nothing at once: whoever goes on finds those as he would find them at first."""
    view = await village(store)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await runs(view, jobs, operation_links.POPULATION)
    histories = {number: ["completed", "failed", "completed"][: number % 4] for number in range(1, CONTACTS + 1)}
    wanted = [number for number, statuses in histories.items() if statuses[-1:] in ([], ["failed"])]
    act = PhoneCallCreate.act

    async def fails_at_once(kind: PhoneCallCreate, where: TenantView, operation: Document, *rest: Any) -> None:
        await act(kind, where, operation, *rest)
        made_by_it = {"create_batch_operation_id": operation["_id"]}
        await view.update_many("phone_calls", made_by_it, {"$set": {"status": "failed"}})

    async def begin() -> int:
        await view.remove("phone_calls", {})
        await remembered(store, 1, histories)
        chosen = {"no_phone_calls_or_last_attempt": "failed"}
        parameters = {"callout_participation_filter_params": chosen, "callout_filter_params": {"id": "1"}}
        return await queued(view, operation_links.CREATE, remote_request_params=PARAMS, **parameters)

    async def check(number: int) -> None:
        calls = await view.find("phone_calls", {"create_batch_operation_id": number})
        assert Counter(call["callout_participation_id"] for call in calls) == dict.fromkeys(wanted, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PhoneCallCreate, "act", fails_at_once)
        await dies_at_every_step(store, tmp_path, begin, check)


async def test_a_run_asks_for_the_newest_calls_as_it_goes(store: Store, tmp_path: Path) -> None:
    """Whoever is reached while it runs is not called again by what it has not come to yet."""
    view = await village(store)
    numbers = await store.counters.ids("callout_participation").allocate(30)
    await invited(view, 1, numbers)
    await remembered(store, 1, {number: ["failed"] for number in numbers})
    act = PhoneCallCreate.act

    async def reached_meanwhile(kind: PhoneCallCreate, *rest: Any) -> None:
        last = {"callout_participation_id": 30, "create_batch_operation_id": None}
        await view.update_many("phone_calls", last, {"$set": {"status": "completed"}})
        await act(kind, *rest)

    chosen = {"last_phone_call_attempt": "failed"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PhoneCallCreate, "act", reached_meanwhile)
        async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
            parameters = {"callout_participation_filter_params": chosen}
            operation = await runs(view, jobs, operation_links.CREATE, remote_request_params=PARAMS, **parameters)
    calls = await view.find("phone_calls", {"create_batch_operation_id": operation["_id"]})
    assert sorted(call["callout_participation_id"] for call in calls) == list(numbers[:-1])


async def test_a_run_again_adds_what_is_new_and_nothing_twice(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        operation = await runs(view, jobs, operation_links.POPULATION)
        moment = now()
        contact = {"msisdn": "+252662345699", "metadata": {}, "created_at": moment, "updated_at": moment}
        await view.insert("contacts", contact, "contact")
        again = {"status": "queued", "_work": {"due": now()}}
        await view.update_one("batch_operations", {"_id": operation["_id"]}, {"$set": again})
        await pass_over(jobs.batch_runner)
    participations = await view.find("callout_participations", {})
    assert [one["contact_id"] for one in participations] == list(range(1, CONTACTS + 2))


async def test_while_people_are_on_the_phone_it_acts_on_few_at_once_and_rests(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_run, "PART", 2)
    view = await village(store)
    await queued(view, operation_links.POPULATION)
    act, parts = CalloutPopulation.act, []

    async def watched(kind: CalloutPopulation, where: TenantView, operation: Document, some: Any, *rest: Any) -> None:
        parts.append(len(some))
        await act(kind, where, operation, some, *rest)

    monkeypatch.setattr(CalloutPopulation, "act", watched)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        jobs.batch_runner._webhooks_recent = lambda: True
        await pass_over(jobs.batch_runner)
    assert parts == [2, 1, 2, 1, 2]
    participations = await view.find("callout_participations", {})
    assert [one["contact_id"] for one in participations] == list(range(1, CONTACTS + 1))


async def test_what_is_deleted_while_its_batch_is_stored_is_not_referred_to(store: Store, tmp_path: Path) -> None:
    """However long it took since the contacts were read."""
    view = await village(store)
    contacts = await view.find("contacts", {})
    await view.remove("contacts", {"_id": 2})
    operation = {"_id": 1, "callout_id": 1, "parameters": {}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(references, "MAX_READ_AGE_SECONDS", 0.0)
        await CalloutPopulation().act(view, operation, contacts, asyncio.Lock())
    participations = await view.find("callout_participations", {})
    assert [one["contact_id"] for one in participations] == [1, *range(3, CONTACTS + 1)]


async def test_what_somebody_is_deleting_is_referred_to_only_if_it_stays(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    contacts = await view.find("contacts", {})
    goes, stays = [await references.mark_deleting(view, "contacts", number) for number in (2, 5)]
    operation = {"_id": 1, "callout_id": 1, "parameters": {}}
    acting = asyncio.ensure_future(CalloutPopulation().act(view, operation, contacts, asyncio.Lock()))

    async def all_but_two() -> bool:
        return len(await view.find("callout_participations", {})) == CONTACTS - 2

    await eventually(all_but_two)
    await references.record_deletion(view, goes, "contacts", 2)
    await view.remove("contacts", {"_id": 2})
    await references.unmark(view, "contacts", 5, stays)
    await acting
    participations = await view.find("callout_participations", {}, sort=[("contact_id", 1)])
    assert [one["contact_id"] for one in participations] == [1, *range(3, CONTACTS + 1)]


async def test_a_cursor_that_gets_old_is_left_for_a_new_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tenant_list, "CURSOR_SECONDS", 0.000001)
    view = await village(store)
    read = [[one["_id"] for one in some] async for some in view.list_of(Query("contacts")).batches(1, 3)]
    assert [number for some in read for number in some] == list(range(2, CONTACTS + 1))
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await runs(view, jobs, operation_links.POPULATION)
    assert len(await view.find("callout_participations", {})) == CONTACTS


async def test_it_goes_on_where_it_has_come_to(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = await village(store)
    number = await queued(view, operation_links.POPULATION)
    act, seen = CalloutPopulation.act, []

    async def fails_at_seven(
        kind: CalloutPopulation, where: TenantView, operation: Document, some: Any, *rest: Any
    ) -> None:
        seen.append([one["_id"] for one in some])
        if seen[-1][0] == 7 and len(seen) <= 3:
            raise ZeroDivisionError
        await act(kind, where, operation, some, *rest)

    monkeypatch.setattr(CalloutPopulation, "act", fails_at_seven)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        (item,) = await jobs.batch_runner.claim(1)
        with pytest.raises(ZeroDivisionError):
            await jobs.batch_runner.process(item)
        await view.update_one("batch_operations", {"_id": number}, {"$set": {"_work.due": now()}})
        await pass_over(jobs.batch_runner)
    assert seen == [[1, 2, 3], [4, 5, 6], [7, 8], [7, 8]]
    assert len(await view.find("callout_participations", {})) == CONTACTS


async def test_what_an_earlier_version_had_pinned_is_acted_on(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    number = await queued(view, operation_links.POPULATION)
    work = {"due": now(), "cursor": 3, "left": None, "pinned": [1, 2, 3]}
    await view.update_one("batch_operations", {"_id": number}, {"$set": {"status": "running", "_work": work}})
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await pass_over(jobs.batch_runner)
    participations = await view.find("callout_participations", {})
    assert [one["contact_id"] for one in participations] == list(range(1, CONTACTS + 1))


async def test_two_processes_never_run_one_operation_together(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    await queued(view, operation_links.POPULATION)
    settings = settings_for(NOWHERE, tmp_path)
    async with background(store, settings) as one, background(store, settings) as other:
        taken = await asyncio.gather(one.batch_runner.claim(2), other.batch_runner.claim(2))
    assert sorted(len(items) for items in taken) == [0, 1]


async def test_a_process_that_was_overtaken_stops(store: Store, tmp_path: Path) -> None:
    view = await village(store)
    number = await queued(view, operation_links.POPULATION)
    settings = settings_for(NOWHERE, tmp_path, lease_seconds=0.0)
    async with background(store, settings) as slow, background(store, settings) as quick:
        (item,) = await slow.batch_runner.claim(1)
        await eventually(lambda: pass_over(quick.batch_runner))
        await slow.batch_runner.process(item)
    assert (await view.get("batch_operations", number))["status"] == "finished"
    participations = await view.find("callout_participations", {})
    assert [one["contact_id"] for one in participations] == list(range(1, CONTACTS + 1))


async def test_a_run_that_a_stop_cuts_off_is_due_at_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await village(store)
    number = await queued(view, operation_links.POPULATION)
    begun = asyncio.Event()

    async def act(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(CalloutPopulation, "act", act)
    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        jobs.runner.start()
        await begun.wait()
        await jobs.runner.stop(patience=0)
    operation = await view.get("batch_operations", number)
    assert operation["status"] == "running" and operation["_work"]["due"] <= now()


async def test_a_run_that_fails_again_and_again_is_set_aside_with_its_reason(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await village(store)
    number = await queued(view, operation_links.POPULATION)

    async def act(*_: object) -> None:
        raise ZeroDivisionError("nothing is left")

    monkeypatch.setattr(CalloutPopulation, "act", act)

    async def set_aside() -> bool:
        await view.update_many("batch_operations", {"_work": {"$exists": True}}, {"$set": {"_work.due": now()}})
        for item in await jobs.batch_runner.claim(1):
            with pytest.raises(ZeroDivisionError) as raised:
                await jobs.batch_runner.process(item)
            await jobs.batch_runner.on_error(item, raised.value)
        return bool((await view.get("batch_operations", number))["status"] == "finished")

    async with background(store, settings_for(NOWHERE, tmp_path)) as jobs:
        await eventually(set_aside)
    operation = await view.get("batch_operations", number)
    assert operation["metadata"] == {"failure": "ZeroDivisionError: nothing is left"}
    assert await view.find("callout_participations", {}) == []


async def test_a_cursor_that_cannot_be_opened_is_the_databases_fault_and_not_the_operations(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone:
        async def aggregate(self, *given: Any, **options: Any) -> None:
            raise AutoReconnect("connection closed")

    view = await village(store)
    with monkeypatch.context() as broken, pytest.raises(Unavailable):
        broken.setattr(view._backend.database, "collection", lambda name: Gone())
        await anext(view.list_of(Query("contacts").limited(2).narrowed({"metadata": {}})).batches(0, BATCH))
