"""What a turn asks of the database: as much through a flow of the account's own as through one in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent
from tornado.ioloop import IOLoop

from scfm.calls import account_flows
from scfm.calls.account_flows import AccountFlows
from scfm.calls.handle_call_event import handle_call_event
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models.call_flow import CALL_FLOWS
from scfm.models.call_flow_publication import publish
from scfm.models.fields import Rules
from scfm.models.registry import counted_fields, indexes
from scfm.models.scope import Client, Scope
from scfm.storage.database import Database
from scfm.storage.driver import DriverClient
from scfm.storage.store import Store
from scfm.twiml.flow import FlowSettings
from scfm.twiml.registry import Registry
from tests.flows.odd_flows import Tally
from tests.workers.background import account, queued_calls
from tests.workers.webhooks import webhook

DATABASE = "turn_cost"
REGISTRY = Registry({Tally.name: Tally}, Tally)
# It goes round as often as a key is pressed, up to five times.
MENU = {"digits": {"1": "ask"}, "repeat": 5, "otherwise": "end"}
DEFINITION = {
    "languages": ["en"],
    "start": "ask",
    "steps": {"ask": {"say": {"en": "Press 1."}, "menu": MENU}, "end": {"hang_up": True}},
}


class Recorder(CommandListener):
    """The commands that were sent, by what they do and to which collection."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        collection = event.command[event.command_name]
        if collection != "counters":  # ids are taken in advance, now and then
            self.commands[f"{event.command_name} {collection}"] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def recorded(io_loop: IOLoop, mongod: PrivateMongod, recorder: Recorder) -> Iterator[Store]:
    """A store of which each command is recorded."""

    async def opened() -> Store:
        client = DriverClient(mongod.uri, event_listeners=[recorder], tz_aware=True)
        store = Store(Database(client, DATABASE), counted_fields())
        await store.database.prepare(indexes())
        return store

    store = io_loop.run_sync(opened)
    yield store
    io_loop.run_sync(store.quiesce)
    io_loop.run_sync(store.close)
    with MongoClient[dict[str, object]](mongod.uri) as client:
        client.drop_database(DATABASE)


async def test_a_turn_through_a_definition_asks_what_one_through_a_class_asks(
    recorded: Store, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_flows, "FLOW_CACHE_SECONDS", 3600.0)
    owner = await account(recorded)
    flows = AccountFlows(recorded, REGISTRY, FlowSettings())
    scope = Scope(recorded.for_account(owner), Rules(), Client(owner, 1))
    flow = await CALL_FLOWS.create(scope, {"name": "flood", "definition": DEFINITION})
    await publish(scope, flow["_id"], FlowSettings())
    await flows.prepare(owner, "flood")
    asked: dict[str, Counter[str]] = {}
    for number, name in enumerate(("flood", Tally.name)):
        told = {"status": "in_progress", "remote_call_id": f"CA{number}", "_work": {}, "call_flow_logic": name}
        await queued_calls(recorded, owner, [f"+25266234567{number}"], **told, remote_direction="outbound-api")
        for turn in range(3):
            recorder.commands.clear()
            details = {
                "CallSid": f"CA{number}",
                "CallStatus": "in-progress",
                "Direction": "outbound-api",
                "Digits": "1",
            }
            twiml = await handle_call_event(recorded, flows, webhook(owner, details))
            assert ("Press 1." in twiml) is (name == "flood")
            asked[f"{number} {turn}"] = Counter(recorder.commands)
    assert [asked[f"0 {turn}"] for turn in range(3)] == [asked[f"1 {turn}"] for turn in range(3)]
    assert not [command for commands in asked.values() for command in commands if "call_flow" in command]
