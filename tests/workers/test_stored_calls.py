"""What is stored of one phone call in each status, whoever has it: an older version's calls are read as they are.

Each story takes one call through the real jobs, with the simulator as its carrier. stored_calls.json has, step by
step, the whole document first, and then what each step has changed in it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from scfm.calls.account_flows import AccountFlows
from scfm.calls.call_event import CallEvent
from scfm.calls.handle_call_event import handle_call_event
from scfm.calls.sender import Owner, Sender
from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.callout import CALLOUTS
from scfm.models.phone_call import PHONE_CALLS
from scfm.providers.answers import RemoteCall
from scfm.providers.client import Provider
from scfm.providers.credentials import Credentials
from scfm.providers.errors import NotSent, Unknown
from scfm.settings import Settings
from scfm.simulator.faults import Faults
from scfm.simulator.simulator import Simulator
from scfm.storage.query import Document
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.conftest import DATABASE
from tests.workers import stored
from tests.workers.background import PARAMS, Background, carrier, pass_over, settings_for
from tests.workers.corrected import House

PINNED = json.loads((Path(__file__).parent / "stored_calls.json").read_text())
NUMBER, CORRECTED, CALLER = "+855125550001", "+855125550002", "+855125550009"
INVALID = "+15005550001"
HOUR = 3600.0
FLOWS = Registry.from_setting("", Settings().default_call_flow_logic)
WORDS = "Unable to create record: Server disconnected"


async def nothing() -> None:
    pass


async def calls_with(_: int) -> bool:
    return True


class Interrupted(Provider):
    """A real provider; while it places a call something else may happen, or raise."""

    def __init__(self) -> None:
        super().__init__(timeout=5)
        self.before_it_leaves: Callable[[], Awaitable[None]] = nothing
        self.when_it_has_left: Callable[[], Awaitable[None]] = nothing
        self.when_it_is_answered: Callable[[RemoteCall], Awaitable[None]] | None = None
        self.when_asked: Callable[[], Awaitable[None]] = nothing

    async def create_call(
        self, credentials: Credentials, to: str, params: Mapping[str, Any], *leaving: Any
    ) -> RemoteCall:
        async def leave() -> None:
            await leaving[0]()
            await self.when_it_has_left()

        await self.before_it_leaves()
        answer = await super().create_call(credentials, to, params, leave)
        if self.when_it_is_answered is not None:
            await self.when_it_is_answered(answer)
        return answer

    async def list_calls(self, *given: Any) -> list[RemoteCall]:
        await self.when_asked()
        return await super().list_calls(*given)

    async def fetch_call(self, *given: Any) -> RemoteCall:
        await self.when_asked()
        return await super().fetch_call(*given)


class Story:
    """One phone call of one process, and what was stored of it after each step."""

    def __init__(self, house: House, store: Store, collections: MongoClient[Any], simulator: Simulator) -> None:
        self.house = house
        self.store = store
        self.simulator = simulator
        self.steps: dict[str, stored.Stored] = {}
        self._database = collections[DATABASE]
        self._before: dict[str, stored.Stored | None] = {}
        self.processes: list[Background] = []
        self.sending: asyncio.Task[None] | None = None
        self.sid = "CA" + "9" * 32
        self.settings = Settings()

    def process(self, data_dir: Path) -> None:
        """A process begins, which is used from now on."""
        self.settings = settings_for(
            self.simulator.base_url,
            data_dir,
            lease_seconds=HOUR,
            unknown_grace_seconds=HOUR,
            status_check_seconds=HOUR,
        )
        self.provider = Interrupted()
        self.jobs = Background(self.store, self.settings, self.provider)
        self.processes.append(self.jobs)

    def note(self, step: str, collection: str = "phone_calls") -> None:
        """Keep what is stored now of the newest document of a collection.

        Afterwards no time in it is recent, and it has no mark, as when its outcome has been worked out.
        """
        found = self._database[collection].find_one({}, sort=[("_id", -1)])
        after = None if found is None else stored.in_words(found)
        assert step not in self.steps
        self.steps[step] = stored.change(self._before.get(collection), after)
        moments = {name: stored.LONG_AGO for name in ("created_at", "updated_at") if found and name in found}
        if found and moments:
            update = {"$set": moments, "$unset": {stored.MARK: ""}}
            self._database[collection].update_one({"_id": found["_id"]}, update)
            after = {**after, **{name: stored.in_words(stored.LONG_AGO) for name in moments}}
            after.pop(stored.MARK, None)
        self._before[collection] = after

    def call(self) -> Document:
        """The phone call as it is stored."""
        return dict(self._database["phone_calls"].find_one({}, sort=[("_id", -1)]))

    def becomes_due(self, field: str = "_work.lease") -> None:
        """As if the time had come until which the call is somebody's, or until it is asked about."""
        past = now() - timedelta(seconds=1)
        changed = self._database["phone_calls"].update_one({field: {"$exists": True}}, {"$set": {field: past}})
        assert changed.modified_count == 1

    def set_fields(self, **fields: Any) -> None:
        """Change the call behind everybody's back."""
        self._database["phone_calls"].update_one({"_id": self.call()["_id"]}, {"$set": fields})

    async def created(self, msisdn: str = NUMBER, **given: Any) -> int:
        """A client makes the call."""
        self.contact = await self.house.contact(msisdn)
        return await self.house.call(await self.house.participation(self.contact), **given)

    async def fires(self, event: str) -> None:
        """A client queues the call, or has its status fetched."""
        await PHONE_CALLS.fire(self.house.scope, self.call()["_id"], event)

    async def queued(self, msisdn: str = NUMBER, **given: Any) -> None:
        """A queued call, which is where most stories begin."""
        await self.created(msisdn, **given)
        await self.fires("queue")
        self.note("queued")

    async def callout(self, event: str) -> None:
        """A client pauses, resumes or stops the callout."""
        moved = await CALLOUTS.fire(self.house.scope, self.house.callout, event)
        await self.jobs.callout_hold.on_event(moved)

    async def sent(self) -> None:
        """The process sends what is due."""
        assert await pass_over(self.jobs.dispatcher) == 1

    async def accepted(self, **given: Any) -> None:
        """A call that the carrier has."""
        await self.queued(**given)
        await self.sent()
        self.sid = self.call()["remote_call_id"]
        self.note("accepted")

    async def stops(self) -> None:
        """What the process was sending is broken off."""
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)

    async def reported(self, status: str, token: str | None = None, **details: str) -> None:
        """The carrier reports on the call."""
        account_id = self.house.account_id
        sender = Sender(frozenset({account_id}), False, {}, Owner(account_id), calls_with)
        about = {"CallSid": self.sid, "To": NUMBER, "CallStatus": status, "Direction": "outbound-api", **details}
        event = CallEvent.read(sender, about, "https://a.example/", token)
        await handle_call_event(self.store, AccountFlows(self.store, FLOWS, FlowSettings()), event)


async def answered(story: Story, data_dir: Path) -> None:
    """From the client's request to the last report."""
    await story.created()
    story.note("created")
    await story.fires("queue")
    story.note("queued")
    (taken,) = await story.jobs.dispatcher.claim(5)
    story.note("claimed")

    async def leaves() -> None:
        story.note("sending")

    story.provider.when_it_has_left = leaves
    await story.jobs.dispatcher.process(taken)
    story.sid = story.call()["remote_call_id"]
    story.note("remotely_queued")
    await story.reported("initiated", SequenceNumber="0")
    story.note("initiated")
    await story.reported("ringing", SequenceNumber="1")
    story.note("in_progress")
    await story.reported("in-progress", SequenceNumber="2")
    story.note("answered")
    await story.reported("completed", SequenceNumber="3", CallDuration="12")
    story.note("completed")
    await story.reported("ringing", SequenceNumber="1")
    story.note("an old report is delivered again")


async def not_answered_with_a_status_callback(story: Story, data_dir: Path) -> None:
    await story.accepted(remote_request_params={**PARAMS, "status_callback": "http://127.0.0.1:9/"})
    await story.reported("no-answer")
    story.note("not_answered")


async def busy(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.reported("busy")
    story.note("busy")


async def failed_and_why(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.reported("failed", SequenceNumber="1")
    story.note("failed")
    await story.reported("failed", SequenceNumber="1", ErrorCode="32005", ErrorMessage="Gone", SipResponseCode="503")
    story.note("why")


async def canceled_by_the_carrier(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.reported("canceled")
    story.note("canceled")


async def reported_before_it_is_answered(story: Story, data_dir: Path) -> None:
    await story.queued()

    async def early(answer: RemoteCall) -> None:
        story.sid = answer["sid"]
        await story.reported("ringing")
        story.note("reported while it is being sent")

    story.provider.when_it_is_answered = early
    await story.sent()
    story.note("accepted")


async def reported_and_never_answered(story: Story, data_dir: Path) -> None:
    await story.queued()

    async def lost(answer: RemoteCall) -> None:
        story.sid = answer["sid"]
        await story.reported("in-progress")
        story.note("reported while it is being sent")
        raise Unknown(WORDS)

    story.provider.when_it_is_answered = lost
    await story.sent()
    story.note("not answered")


async def unknown_and_found(story: Story, data_dir: Path) -> None:
    await unanswered(story)
    story.becomes_due()
    (item,) = await story.jobs.reconciler.claim(5)
    story.note("taken to be settled")
    await story.jobs.reconciler.process(item)
    story.note("found")


async def unanswered(story: Story) -> None:
    """The carrier has the call, and its answer is lost."""
    await story.queued()

    async def lost(answer: RemoteCall) -> None:
        raise Unknown(WORDS)

    story.provider.when_it_is_answered = lost
    await story.sent()
    story.note("unknown")


async def unknown_and_not_found(story: Story, data_dir: Path) -> None:
    """The carrier closes the connection before it has the call."""
    await story.queued()
    await story.sent()
    story.note("unknown")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("asked once")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("asked twice")


async def unknown_and_nobody_to_ask(story: Story, data_dir: Path) -> None:
    await unanswered(story)

    async def silent() -> None:
        raise NotSent("Unable to fetch record: no answer")

    story.provider.when_asked = silent
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("asked in vain")
    story.becomes_due()
    story.set_fields(**{"_work.attempt.at": now() - timedelta(days=1)})
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("given up")


async def unknown_and_reported(story: Story, data_dir: Path) -> None:
    await unanswered(story)
    story.sid = "CA" + "8" * 32
    await story.reported("completed")
    story.note("reported")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("finished")


async def settling_fails(story: Story, data_dir: Path) -> None:
    await unanswered(story)
    story.becomes_due()
    (item,) = await story.jobs.reconciler.claim(5)
    await story.jobs.reconciler.on_error(item, RuntimeError())
    story.note("failed once")
    story.becomes_due()
    story.set_fields(**{"_work.failures": 4})
    (item,) = await story.jobs.reconciler.claim(5)
    await story.jobs.reconciler.on_error(item, RuntimeError())
    story.note("failed too often")


async def refused(story: Story, data_dir: Path) -> None:
    await story.queued(INVALID)
    await story.sent()
    story.note("errored")


async def throttled(story: Story, data_dir: Path) -> None:
    await story.queued()

    async def too_many() -> None:
        raise NotSent("Unable to create record: Too Many Requests", retry_after=1.0)

    story.provider.before_it_leaves = too_many
    await story.sent()
    story.note("not sent")


async def account_refused(story: Story, data_dir: Path) -> None:
    """By its first call; one that has called before waits."""
    story.simulator.carrier.auth_token = "another"
    await story.queued()
    await story.sent()
    story.note("errored")


async def account_refused_after_it_called(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.house.call(await story.house.participation(await story.house.contact(CALLER)), "queue")
    story.note("another is queued")
    story.simulator.carrier.auth_token = "another"
    await story.sent()
    story.note("put back")


async def sending_fails(story: Story, data_dir: Path) -> None:
    await story.queued()
    (taken,) = await story.jobs.dispatcher.claim(5)
    await story.jobs.dispatcher.on_error(taken, RuntimeError())
    story.note("failed once")
    story.set_fields(_work={"due": now(), "tries": 4})
    (taken,) = await story.jobs.dispatcher.claim(5)
    story.note("claimed for the last time")
    await story.jobs.dispatcher.on_error(taken, RuntimeError())
    story.note("failed too often")


async def sending_fails_after_it_left(story: Story, data_dir: Path) -> None:
    await story.queued()
    (taken,) = await story.jobs.dispatcher.claim(5)

    async def fails(answer: RemoteCall) -> None:
        raise RuntimeError

    story.provider.when_it_is_answered = fails
    with pytest.raises(RuntimeError):
        await story.jobs.dispatcher.process(taken)
    await story.jobs.dispatcher.on_error(taken, RuntimeError())
    story.note("unknown")


async def stopped_before_it_leaves(story: Story, data_dir: Path) -> None:
    await story.queued()
    async with sending_until(story) as reached:
        story.provider.before_it_leaves = reached
    await story.stops()
    story.note("handed back")


async def stopped_after_it_left(story: Story, data_dir: Path) -> None:
    await story.queued()
    async with sending_until(story) as reached:
        story.provider.when_it_has_left = reached
    await story.stops()
    story.note("unknown")


async def process_dies_before_it_leaves(story: Story, data_dir: Path) -> None:
    await story.queued()
    await story.jobs.dispatcher.claim(5)
    story.note("claimed")
    story.jobs.send_journal.close()
    story.process(data_dir)
    await story.jobs.reconciler.claim(5)
    story.note("taken over")


async def process_dies_after_it_left(story: Story, data_dir: Path) -> None:
    await story.queued()
    async with sending_until(story) as reached:
        story.provider.when_it_has_left = reached
    story.jobs.send_journal.close()
    story.note("left")
    story.process(data_dir)
    await story.jobs.reconciler.claim(5)
    story.note("taken over")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("asked once")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("asked twice")


async def process_dies_after_a_report(story: Story, data_dir: Path) -> None:
    await story.queued()
    async with sending_until(story) as reached:

        async def early(answer: RemoteCall) -> None:
            story.sid = answer["sid"]
            await story.reported("ringing")
            await reached()

        story.provider.when_it_is_answered = early
    story.jobs.send_journal.close()
    story.note("reported while it was being sent")
    story.process(data_dir)
    (item,) = await story.jobs.reconciler.claim(5)
    story.note("taken over")
    await story.jobs.reconciler.process(item)
    story.note("finished")


@asynccontextmanager
async def sending_until(story: Story) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """The process sends the call, and goes no further than to what this gives."""
    here, never = asyncio.Event(), asyncio.Event()

    async def reached() -> None:
        here.set()
        await never.wait()

    yield reached
    (taken,) = await story.jobs.dispatcher.claim(5)
    story.sending = asyncio.create_task(story.jobs.dispatcher.process(taken))
    await here.wait()


async def held(story: Story, data_dir: Path) -> None:
    await story.queued()
    await story.callout("start")
    await story.callout("pause")
    story.note("paused")
    await story.callout("resume")
    story.note("resumed")
    await story.callout("pause")
    story.note("paused again")
    await story.callout("stop")
    story.note("stopped")


async def held_while_it_is_claimed(story: Story, data_dir: Path) -> None:
    await story.queued()
    await story.callout("start")
    (taken,) = await story.jobs.dispatcher.claim(5)
    await story.callout("pause")
    story.note("paused while it is claimed")
    await story.jobs.dispatcher.process(taken)
    story.note("held")


async def stopped_while_it_is_claimed(story: Story, data_dir: Path) -> None:
    await story.queued()
    await story.callout("start")
    (taken,) = await story.jobs.dispatcher.claim(5)
    await story.callout("stop")
    await story.jobs.dispatcher.process(taken)
    story.note("canceled")


async def withheld(story: Story, data_dir: Path) -> None:
    """Its callout is paused between the last look at it and the departure."""
    await story.queued()
    await story.callout("start")

    async def pause() -> None:
        await story.callout("pause")

    story.provider.before_it_leaves = pause
    await story.sent()
    story.note("put back")


async def corrected(story: Story, data_dir: Path) -> None:
    await story.queued()
    await story.house.renumber(story.contact, CORRECTED)
    story.note("corrected")


async def corrected_while_it_is_claimed(story: Story, data_dir: Path) -> None:
    await story.queued()
    (taken,) = await story.jobs.dispatcher.claim(5)
    await story.house.renumber(story.contact, CORRECTED)
    story.jobs.callout_hold.on_renumbered(story.contact)
    await story.jobs.dispatcher.process(taken)
    story.note("queued again")


async def with_a_number_of_its_own(story: Story, data_dir: Path) -> None:
    await story.created(msisdn=NUMBER)
    await story.house.call(int(story.call()["callout_participation_id"]), msisdn=CALLER)
    story.note("created")


async def fetched(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.fires("queue_remote_fetch")
    story.note("fetch is queued")
    (item,) = await story.jobs.status_fetcher.claim(5)
    story.note("fetch is claimed")
    await story.jobs.status_fetcher.process(item)
    story.note("fetched")


async def fetched_in_vain(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.reported("ringing")
    story.note("in_progress")
    await story.fires("queue_remote_fetch")
    story.note("fetch is queued")
    story.set_fields(remote_call_id="CA" + "7" * 32)
    assert await pass_over(story.jobs.status_fetcher) == 1
    story.note("not fetched")
    await story.fires("queue_remote_fetch")
    (item,) = await story.jobs.status_fetcher.claim(5)
    await story.jobs.status_fetcher.on_error(item, RuntimeError())
    story.note("failed")


async def fetch_is_abandoned(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.fires("queue_remote_fetch")
    await story.jobs.status_fetcher.claim(5)
    story.note("fetch is claimed")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("fetch is queued again")


async def reported_while_it_is_fetched(story: Story, data_dir: Path) -> None:
    await story.accepted()
    await story.fires("queue_remote_fetch")
    (item,) = await story.jobs.status_fetcher.claim(5)
    story.note("fetch is claimed")
    await story.reported("completed")
    story.note("completed")
    await story.jobs.status_fetcher.process(item)
    story.note("fetched too late")
    story.becomes_due()
    assert await pass_over(story.jobs.reconciler) == 1
    story.note("finished")


async def polled(story: Story, data_dir: Path) -> None:
    await story.accepted()
    story.becomes_due("_check")
    (item,) = await story.jobs.status_poller.claim(5)
    story.note("taken to be polled")
    await story.jobs.status_poller.process(item)
    story.note("polled")
    await story.reported("completed")
    story.note("completed")
    story.becomes_due("_check")
    assert await pass_over(story.jobs.status_poller) == 1
    story.note("polled for the last time")


async def polled_in_vain(story: Story, data_dir: Path) -> None:
    await story.accepted()
    story.set_fields(remote_call_id="CA" + "7" * 32)
    story.becomes_due("_check")
    assert await pass_over(story.jobs.status_poller) == 1
    story.note("not polled")
    story.becomes_due("_check")
    story.set_fields(remotely_queued_at=now() - timedelta(days=32))
    assert await pass_over(story.jobs.status_poller) == 1
    story.note("given up")


async def came_in(story: Story, data_dir: Path) -> None:
    caller = {"Direction": "inbound", "From": CALLER, "To": "+855125550000"}
    await story.reported("ringing", "a delivery", **caller)
    story.note("call")
    story.note("contact", "contacts")
    story.note("event", "remote_phone_call_events")
    await story.reported("completed", "another delivery", **caller)
    story.note("completed")
    story.note("last event", "remote_phone_call_events")


async def made_by_operations(story: Story, data_dir: Path) -> None:
    await story.house.contact(NUMBER)
    for kind, parameters in (
        ("CalloutPopulation", {}),
        ("PhoneCallCreate", {"remote_request_params": PARAMS}),
        ("PhoneCallQueue", {}),
    ):
        await story.house.operation(kind, **parameters)
        story.note(f"{kind} is queued", "batch_operations")
        (item,) = await story.jobs.batch_runner.claim(5)
        story.note(f"{kind} is claimed", "batch_operations")
        await story.jobs.batch_runner.process(item)
        story.note(f"{kind} is finished", "batch_operations")
        made = "callout_participations" if kind == "CalloutPopulation" else "phone_calls"
        story.note(f"{made} after {kind}", made)
    await story.sent()
    story.note("sent")
    await story.house.operation("PhoneCallQueueRemoteFetch")
    assert await pass_over(story.jobs.batch_runner) == 1
    story.note("fetch is queued")
    for collection in ("contacts", "callouts", "batch_operations"):
        story.note(collection, collection)


STORIES = {
    story.__name__: story
    for story in (
        answered,
        not_answered_with_a_status_callback,
        busy,
        failed_and_why,
        canceled_by_the_carrier,
        reported_before_it_is_answered,
        reported_and_never_answered,
        unknown_and_found,
        unknown_and_not_found,
        unknown_and_nobody_to_ask,
        unknown_and_reported,
        settling_fails,
        refused,
        throttled,
        account_refused,
        account_refused_after_it_called,
        sending_fails,
        sending_fails_after_it_left,
        stopped_before_it_leaves,
        stopped_after_it_left,
        process_dies_before_it_leaves,
        process_dies_after_it_left,
        process_dies_after_a_report,
        held,
        held_while_it_is_claimed,
        stopped_while_it_is_claimed,
        withheld,
        corrected,
        corrected_while_it_is_claimed,
        with_a_number_of_its_own,
        fetched,
        fetched_in_vain,
        fetch_is_abandoned,
        reported_while_it_is_fetched,
        polled,
        polled_in_vain,
        came_in,
        made_by_operations,
    )
}
# What the carrier does wrong.
FAULTS = {"unknown_and_not_found": Faults(drop_before=1.0)}


@asynccontextmanager
async def beginning(store: Store, uri: str, data_dir: Path, faults: Faults) -> AsyncIterator[Story]:
    """A story that begins: an account with a callout, a carrier, and one process."""
    house = await House.open(store)
    async with carrier(faults=faults) as simulator:
        with MongoClient[Any](uri, tz_aware=True) as client:
            story = Story(house, store, client, simulator)
            story.process(data_dir)
            try:
                yield story
            finally:
                await story.stops()
                for process in story.processes:
                    await process.close()


@pytest.mark.parametrize("name", STORIES)
async def test_a_call_is_stored_as_it_is_listed(
    store: Store, mongod: PrivateMongod, tmp_path: Path, name: str
) -> None:
    async with beginning(store, mongod.uri, tmp_path, FAULTS.get(name, Faults())) as story:
        await STORIES[name](story, tmp_path)
    assert story.steps == PINNED[name]


def test_every_story_that_is_listed_is_told() -> None:
    assert list(PINNED) == list(STORIES)
