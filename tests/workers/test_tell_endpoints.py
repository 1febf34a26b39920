"""What happens is told by the write that makes it happen: nothing is lost when a process dies."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from scfm.audio.sound import Sound
from scfm.models.audio_file import AUDIO_FILES, create_audio_file
from scfm.models.call_hold import hold_or_release
from scfm.models.callout import CALLOUTS
from scfm.models.callout_participation import CALLOUT_PARTICIPATIONS
from scfm.models.opt_out import OPT_OUTS
from scfm.models.outcome import MARK, new_mark
from scfm.models.webhook_delivery import DELIVERY_COLLECTION, WEBHOOK_DELIVERIES
from scfm.models.webhook_endpoint import WEBHOOK_ENDPOINTS
from scfm.models.webhook_event import TO_TELL
from scfm.models.webhook_queue import ENDPOINT_COLLECTION
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.workers import tell_endpoints
from scfm.workers.outcome_keeper import OutcomeKeeper
from scfm.workers.outcome_writer import store_outcomes
from tests.workers.background import account, pass_over
from tests.workers.mortal import Life, MortalStore, live
from tests.workers.planned import Planned
from tests.workers.webhook_receiver import Receiver, Teller, receiver, telling_process

URL = "https://example.org/"


def bodies(deliveries: list[Any]) -> list[Document]:
    return [orjson.loads(delivery["_body"]) for delivery in deliveries]


async def participant(teller: Teller, number: int, callout: int) -> int:
    """Somebody in a callout; the participation's id."""
    contact = await teller.view.insert(
        "contacts", {"msisdn": f"+25266234{number:04}", "metadata": {}, "_version": 1}, "contact"
    )
    made = await CALLOUT_PARTICIPATIONS.create(teller.scope, {"contact_id": contact["_id"]}, callout_id=callout)
    return int(made["_id"])


async def called(teller: Teller, participation: int, status: str) -> None:
    """A call of a participation that has ended, or goes on."""
    call = {
        "callout_participation_id": participation,
        "status": status,
        "remote_call_id": "CA1",
        "remotely_queued_at": None,
        "updated_at": (await teller.view.get("callout_participations", participation))["created_at"],
        "answered_by": None,
        "duration": 7,
    }
    await teller.view.insert("phone_calls", {**call, "metadata": {}, "_version": 1, MARK: new_mark()}, "phone_call")


async def test_who_is_settled_is_told_once_and_again_when_it_was_something_else(store: Store) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        callout = (await CALLOUTS.create(teller.scope, {"call_flow_logic": None}))["_id"]
        participation = await participant(teller, 1, callout)
        keeper = OutcomeKeeper(store)
        for status, outcomes in (
            ("remotely_queued", []),
            ("busy", []),
        ):
            await called(teller, participation, status)
            await pass_over(keeper)
            await teller.tell()
            assert [one["data"]["outcome"] for one in bodies(await teller.deliveries())] == outcomes
        # One of them is over: busy.
        await teller.view.update_many("phone_calls", {"status": "remotely_queued"}, {"$set": {"status": "failed"}})
        await store_outcomes(teller.view, [participation])
        await teller.tell()
        (first,) = bodies(await teller.deliveries())
        assert (first["type"], first["data"]["outcome"]) == ("participation.settled", "unreached")
        stored = await teller.view.get("callout_participations", participation)
        (shown,) = await CALLOUT_PARTICIPATIONS.present(teller.view, [{**stored}])
        assert first["data"] == orjson.loads(orjson.dumps(shown))
        # Nothing has changed, so nothing is told.
        await store_outcomes(teller.view, [participation])
        await teller.tell()
        assert len(await teller.deliveries()) == 1
        await called(teller, participation, "completed")
        await pass_over(keeper)
        await teller.tell()
        assert [one["data"]["outcome"] for one in bodies(await teller.deliveries())] == ["unreached", "reached"]


async def test_an_account_without_an_endpoint_keeps_no_event_of_its_people(store: Store) -> None:
    async with telling_process(store) as teller:
        callout = (await CALLOUTS.create(teller.scope, {}))["_id"]
        for types in (None, ["opt_out.created"]):
            if types:
                await teller.endpoint(URL, event_types=types)
            participation = await participant(teller, len(types or ()), callout)
            await called(teller, participation, "completed")
            await pass_over(OutcomeKeeper(store))
            stored = await teller.view.get("callout_participations", participation)
            assert (stored["outcome"], TO_TELL in stored) == ("reached", False)


async def test_an_event_shows_what_was_so_when_it_happened(store: Store) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        callout = (await CALLOUTS.create(teller.scope, {"metadata": {"a": 1}}))["_id"]
        for event in ("start", "pause", "resume", "stop"):
            await CALLOUTS.fire(teller.scope, callout, event)
        await CALLOUTS.update(teller.scope, callout, {"metadata": {"a": 2}})
        await teller.tell()
        told = bodies(await teller.deliveries())
        assert [(one["type"], one["data"]["status"]) for one in told] == [
            ("callout.started", "running"),
            ("callout.paused", "paused"),
            ("callout.started", "running"),
            ("callout.stopped", "stopped"),
        ]
        assert len({delivery["webhook_id"] for delivery in await teller.deliveries()}) == 4
        # What the event is not about is as it is when it is told.
        assert {one["data"]["metadata"]["a"] for one in told} == {2}


async def test_a_callout_that_has_carried_out_its_plan_is_told(planned: Planned, store: Store) -> None:
    async with telling_process(store, planned.view.account_id) as teller:
        await teller.endpoint(URL)
        await planned.contacts("+252662345678")
        callout = await planned.callout("start")
        await planned.finish(callout)
        await teller.tell()
        told = bodies(await teller.deliveries())
        assert sorted(one["type"] for one in told) == [
            "callout.completed",
            "callout.started",
            "participation.settled",
        ]
        completed = next(one for one in told if one["type"] == "callout.completed")
        assert (completed["data"]["id"], completed["data"]["status"]) == (callout, "completed")
        assert completed["data"]["completed_at"] == completed["timestamp"]


async def test_a_hold_is_told_once_and_that_of_the_whole_server_is_not(store: Store) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        for event in ("hold", "hold", "release", "hold"):
            await hold_or_release(store.all_tenants, teller.account_id, event)
        await hold_or_release(store.all_tenants, None, "hold")
        await teller.tell()
        told = bodies(await teller.deliveries())
        assert [one["type"] for one in told] == ["account.held"] * 2
        assert all(one["data"]["calls_held_at"] == one["timestamp"] for one in told)
        assert told[0]["data"]["id"] == teller.account_id


async def test_a_recording_by_phone_is_told_and_an_upload_is_not(store: Store, tmp_path: Any) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        for name, recorded in (("sent", False), ("spoken", True)):
            content = tmp_path / name
            content.write_bytes(name.encode())
            with content.open("rb") as file:
                sound = Sound("mp3", 1.0, name * 2, len(name), file, None)
                await create_audio_file(teller.scope, {"name": name}, sound, recorded=recorded)
        await teller.tell()
        (told,) = bodies(await teller.deliveries())
        assert (told["type"], told["data"]["name"]) == ("audio_file.recorded", "spoken")
        assert list(told["data"]) == [field.name for field in AUDIO_FILES.fields]


async def test_many_events_are_told_in_several_goes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tell_endpoints, "MAX_UNTOLD", 7)
    monkeypatch.setattr(tell_endpoints, "MAX_TOLD_TOGETHER", 3)
    async with telling_process(store) as teller, telling_process(store) as other:
        for one in (teller, other):
            await one.endpoint(URL)
            await one.endpoint(URL, event_types=["opt_out.created"])
            await one.endpoint(URL, event_types=["account.held"])
            for number in range(10):
                await OPT_OUTS.create(one.scope, {"msisdn": f"+25266234{number:04}"})
        goes = 0
        while await pass_over(teller.teller):
            goes += 1
        assert goes == 3
        for one in (teller, other):
            deliveries = await one.deliveries()
            assert len(deliveries) == 20 and len({delivery["webhook_id"] for delivery in deliveries}) == 10
        assert not await store.all_tenants.exists("opt_outs", {TO_TELL: {"$exists": True}})
        # Once for each account.
        assert teller.woken == 4


async def test_this_process_is_woken_by_its_own_events_and_looks_for_others_now_and_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling_process(store) as teller:
        woken: list[None] = []
        teller.teller.wake = lambda: woken.append(None)  # type: ignore[method-assign]
        await pass_over(teller.teller)
        before = len(woken)
        callout = (await CALLOUTS.create(teller.scope, {}))["_id"]
        await CALLOUTS.fire(teller.scope, callout, "start")
        assert len(woken) == before + 1
        assert await pass_over(teller.teller) == 1
        # Another process has left one.
        other = Teller(store, teller.account_id)
        await CALLOUTS.fire(other.scope, callout, "stop")
        monkeypatch.setattr(teller.teller, "_woken", False)
        assert await pass_over(teller.teller) == 0
        monkeypatch.setattr(teller.teller, "_looked_at", 0.0)
        assert await pass_over(teller.teller) == 1


async def test_a_deleted_endpoint_leaves_no_delivery(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with telling_process(store) as teller:
        endpoint = await teller.endpoint(URL)
        await OPT_OUTS.create(teller.scope, {"msisdn": "+252662345678"})
        present = OPT_OUTS.present

        async def presenting(*given: Any) -> list[Document]:
            await teller.view.remove(ENDPOINT_COLLECTION, {"_id": endpoint["id"]})  # between two of its steps
            return await present(*given)

        monkeypatch.setattr(OPT_OUTS, "present", presenting)
        await teller.tell()
        assert await teller.deliveries() == []
        assert not await store.all_tenants.exists("opt_outs", {TO_TELL: {"$exists": True}})


async def dying_teller(store: Store, owner: int, step: int) -> Life:
    """A process tells what has happened and sends it, and dies at that step; its life."""
    life = Life(step)
    mortal = MortalStore.within(store, life)
    teller = Teller(mortal, owner)
    try:
        await live(teller.both(), life)
    finally:
        await teller.close()
    return life


async def test_a_process_may_die_at_any_step_and_nothing_is_lost(store: Store) -> None:
    async with receiver() as one:
        owner = await account(store)
        async with telling_process(store, owner) as after:
            await after.endpoint(one.url)
            for step in range(1, 200):
                one.got.clear()
                await OPT_OUTS.create(after.scope, {"msisdn": f"+25266234{step:04}"})
                life = await dying_teller(store, owner, step)
                await _another_goes_on(after, one)
                named = {got.event_id for got in one.got}
                msisdns = {got.event["data"]["msisdn"] for got in one.got}
                assert (len(named), msisdns) == (1, {f"+25266234{step:04}"}), step
                assert len(one.got) <= 2
                if not life.over:
                    break
            else:
                raise AssertionError("it has more steps")
        assert step > 20
        statuses = [one["status"] for one in await store.all_tenants.find(DELIVERY_COLLECTION, {})]
        assert statuses == ["delivered"] * step
        assert not await store.all_tenants.exists("opt_outs", {TO_TELL: {"$exists": True}})


async def _another_goes_on(teller: Teller, one: Receiver) -> None:
    """The lease of the dead process has run out, and another does what it has left."""
    free: Document = {
        "$set": {"_due": (await teller.view.find(ENDPOINT_COLLECTION, {}))[0]["created_at"], "_lease": None}
    }
    await teller.view.update_many(ENDPOINT_COLLECTION, {"_lease": {"$ne": None}}, free)
    await teller.tell()
    await teller.deliver()


async def test_who_settles_people_may_die_at_any_step_and_all_are_told(store: Store) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        callout = (await CALLOUTS.create(teller.scope, {}))["_id"]
        for step in range(1, 100):
            participation = await participant(teller, step, callout)
            await called(teller, participation, "completed")
            life = Life(step)
            mortal = MortalStore.within(store, life)

            async def settle(mortal: MortalStore = mortal) -> None:
                await pass_over(OutcomeKeeper(mortal))

            await live(settle(), life)
            await pass_over(OutcomeKeeper(store))
            await teller.tell()
            told = [one["data"]["id"] for one in bodies(await teller.deliveries())]
            assert told.count(participation) == 1, step
            if not life.over:
                break
        else:
            raise AssertionError("it has more steps")
        assert step > 5


async def test_what_happens_while_others_are_told_is_told_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling_process(store) as teller:
        await teller.endpoint(URL)
        callout = (await CALLOUTS.create(teller.scope, {}))["_id"]
        await CALLOUTS.fire(teller.scope, callout, "start")
        present = CALLOUTS.present

        async def presenting(*given: Any) -> list[Document]:
            monkeypatch.undo()
            await CALLOUTS.fire(teller.scope, callout, "pause")
            return await present(*given)

        monkeypatch.setattr(CALLOUTS, "present", presenting)
        await teller.tell()
        assert [one["type"] for one in bodies(await teller.deliveries())] == ["callout.started"]
        await teller.tell()
        assert [one["type"] for one in bodies(await teller.deliveries())] == ["callout.started", "callout.paused"]
        assert TO_TELL not in await teller.view.get("callouts", callout)


async def test_two_processes_tell_the_same_at_the_same_time(store: Store) -> None:
    owner = await account(store)
    async with telling_process(store, owner) as first, telling_process(store, owner) as second:
        await first.endpoint(URL)
        for number in range(30):
            await OPT_OUTS.create(first.scope, {"msisdn": f"+25266234{number:04}"})
        claimed = [await process.teller.claim(1) for process in (first, second)]
        assert [len(items) for items in claimed] == [1, 1]
        await asyncio.gather(first.teller.process(claimed[0][0]), second.teller.process(claimed[1][0]))
        found = await first.deliveries()
        assert len(found) == len({delivery["webhook_id"] for delivery in found}) == 30
        assert WEBHOOK_DELIVERIES.show({**found[0]})["body"]["type"] == "opt_out.created"
        assert WEBHOOK_ENDPOINTS.kind == "webhook_endpoint"
