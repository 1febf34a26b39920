"""Every collection of accounts' documents can be sharded by the account: see docs/decisions/0012.

A shard sees its own documents alone. So a unique index holds over all only if it begins with the shard key; and what
changes one document must name the shard key: ``_id`` alone is not enough, as mongos refuses a findAndModify without
it, and asks every shard for an update or a delete. A command listener hears what is asked of MongoDB while the guide
is played and more is done, and each condition must name the account, or be among those that may ask every shard.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

import scfm.server
from scfm import settings
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.models import idempotency
from scfm.models.audio_content import AUDIO_CONTENTS
from scfm.models.audio_recording import AUDIO_RECORDINGS
from scfm.models.doomed_recording import DOOMED_RECORDINGS
from scfm.models.erasure_record import ERASURES
from scfm.models.registry import RESOURCES, counted_fields, indexes
from scfm.models.session import SESSIONS
from scfm.simulator.faults import Faults
from scfm.storage import driver
from scfm.storage.grid_files import CHUNKS, FILES
from scfm.storage.store import Store
from tests.browser import Browser
from tests.guide.provider import Provider
from tests.guide.replay import SOMLENG_SID, SOMLENG_TOKEN, Replay
from tests.server import Client, Server, wait_until, with_secret_key
from tests.sounds import fetch, sound, upload
from tests.workers.background import account, background, carrier, eventually, pass_over, queued_calls, settings_for

Document = dict[str, Any]

DATABASE = "shards"
# The collections whose documents belong to an account.
OWNED = {*(one.collection for one in RESOURCES if one.tenant), idempotency.COLLECTION, "deletions"}
OWNED |= {ERASURES, DOOMED_RECORDINGS, SESSIONS, AUDIO_CONTENTS, AUDIO_RECORDINGS, FILES, CHUNKS}

# Unique indexes that cannot begin with the account, and why.
UNIQUE_OVER_ALL = {
    ("access_tokens", "digest"): "whose a token is follows from it: it is looked up before the account is known",
    ("users", "unique_email"): "an email is one user's, whatever the account",
}

# Whose documents keep what webhook endpoints are to be told.
TOLD_OF = ("callouts", "callout_participations", "opt_outs", "audio_files")
# What may ask every shard, by collection, verb and fields, and why.
CLAIM = "the background looks for what is due of all accounts; what it finds it claims by the account"
DEAD = "a process that has died had something of any account"
CLOCK = "after the clock was set back, and once a minute, what waits for times that are too far off is due"
REPORT = "a report that is signed with the server's own credentials is of the account that its call has"
LOST = "the server's own credentials are shared: a call of any account may be what the provider lists"
EVERY_SHARD = {
    ("access_tokens", "find", "digest"): "whose a token is follows from it",
    (SESSIONS, "find", "_id"): "whose a session is follows from it",
    ("users", "find", "email"): "who signs in names an email and no account",
    ("phone_calls", "find", "_work.due account_id status"): CLAIM,
    ("phone_calls", "find", "_work.lease"): CLAIM,
    ("phone_calls", "find", "_work.held callout_id"): CLAIM,
    ("phone_calls", "find", "_check"): CLAIM,
    ("phone_calls", "find", "_hang_up.due"): CLAIM,
    ("callouts", "find", "_hang_up.due"): CLAIM,
    ("callouts", "find", "$or _run.due"): CLAIM,
    ("callouts", "update", "_run.due _run.lease _run.log"): DEAD,
    ("callouts", "update", "$or _run.due"): CLOCK,
    ("callouts", "find", "_run.audience _run.due _run.log _run.review status"): "once in five seconds, for the log",
    ("batch_operations", "find", "_work.due status"): CLAIM,
    ("contacts", "find", "_renumbered.due"): CLAIM,
    ("opt_outs", "find", "_settle_from"): CLAIM,
    ("phone_calls", "find", "_settle"): CLAIM,
    ("callout_participations", "find", "_settle"): CLAIM,
    ("callout_participations", "find", "_id"): "after a start all outcomes are derived once more, in the background",
    ("deletions", "find", "due"): CLAIM,
    ("webhook_endpoints", "find", "$and _due status"): CLAIM,
    **{(collection, "find", "_to_tell.at"): CLAIM for collection in TOLD_OF},
    ("webhook_deliveries", "find", ""): "once in ten minutes, what is older than is kept is dropped",
    ("webhook_endpoints", "update", "_due"): CLOCK,
    ("webhook_endpoints", "update", "_lease"): CLOCK,
    ("webhook_endpoints", "update", "_open_until"): CLOCK,
    ("webhook_deliveries", "update", "_due webhook_endpoint_id"): CLOCK,
    (AUDIO_CONTENTS, "find", "_sweep_at"): CLAIM,
    (AUDIO_RECORDINGS, "find", "due"): CLAIM,
    (AUDIO_CONTENTS, "find", "sha256 state"): "whoever knows what a file is called by its content may play it",
    (ERASURES, "find", "due"): CLAIM,
    (DOOMED_RECORDINGS, "find", "due"): CLAIM,
    (ERASURES, "update", "due"): CLOCK,
    (DOOMED_RECORDINGS, "update", "due"): CLOCK,
    ("webhook_endpoints", "find", ""): "a start counts by which keys the secrets are sealed",
    ("webhook_endpoints", "find", "$or"): "after a start, secrets that are in the clear are sealed",
    ("audit_events", "find", ""): "once in ten minutes, what is older than is kept is dropped",
    ("remote_phone_call_events", "find", "_delivery.at"): "once in ten minutes, what is kept for a day is dropped",
    ("phone_calls", "find", "_work.attempt.log _work.lease"): DEAD,
    ("batch_operations", "update", "_work.due _work.log"): DEAD,
    ("phone_calls", "update", "$or _work.due status"): CLOCK,
    ("phone_calls", "update", "$or _work.lease"): CLOCK,
    ("phone_calls", "update", "$or _check"): CLOCK,
    ("batch_operations", "update", "_work.due status"): CLOCK,
    ("contacts", "update", "_renumbered.due"): CLOCK,
    ("deletions", "update", "due"): CLOCK,
    (AUDIO_RECORDINGS, "update", "due"): CLOCK,
    (AUDIO_CONTENTS, "update", "_sweep_at"): CLOCK,
    ("idempotency_keys", "update", "answer until"): CLOCK,
    **{(one.collection, "update", "_deleting.until"): CLOCK for one in RESOURCES if one.tenant},
    ("phone_calls", "aggregate", "remote_call_id"): REPORT,
}
SETTLING = {
    ("phone_calls", "find", "$or _work.attempt _work.lease msisdn status"): LOST,
    ("phone_calls", "find", "_id remote_call_id"): LOST,
}


@dataclass(frozen=True)
class Asked:
    """A condition that was put to MongoDB: the fields that it is about. ``one``: it is to change one document."""

    collection: str
    verb: str
    fields: str
    names_account: bool
    one: bool


def names_account(condition: Mapping[str, Any]) -> bool:
    """Whether only documents of named accounts can fit."""
    account = condition.get("account_id")
    if isinstance(account, int) or (isinstance(account, dict) and "$in" in account):
        return True
    return any(names_account(one) for one in condition.get("$and", ()))


class Recorder(CommandListener):
    """Every condition that was put to MongoDB over a collection of accounts' documents."""

    def __init__(self) -> None:
        self.asked: set[Asked] = set()

    def started(self, event: CommandStartedEvent) -> None:
        verb = event.command_name
        command: Any = event.command
        if event.database_name != DATABASE or command.get(verb) not in OWNED:
            return
        if verb in ("find", "count", "distinct"):
            self._note(command[verb], verb, command.get("filter") or command.get("query") or {})
        elif verb == "aggregate":
            self._note(command[verb], verb, command["pipeline"][0].get("$match", {}))
        elif verb == "findAndModify":
            self._note(command[verb], verb, command["query"], one=True)
        elif verb == "update":
            for update in command["updates"]:
                self._note(command[verb], verb, update["q"], one=not update.get("multi"))
        elif verb == "delete":
            for delete in command["deletes"]:
                self._note(command[verb], verb, delete["q"], one=delete["limit"] == 1)

    def _note(self, collection: str, verb: str, condition: Any, *, one: bool = False) -> None:
        fields = " ".join(sorted(condition))
        self.asked.add(Asked(collection, verb, fields, names_account(condition), one))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


class ServerHere(Server):
    """A server in a thread of this process, where its commands to MongoDB can be heard."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        super().__init__(data_dir, {**environment, "SCFM_DATA_DIR": str(data_dir), "PORT": "0"})
        self._told = dict(self.environment)
        data_dir.mkdir()

    def start(self) -> ServerHere:
        self._ready, self._thread = (
            threading.Event(),
            threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True),
        )
        self._thread.start()
        assert self._ready.wait(60)
        return self

    async def _serve(self) -> None:
        chosen = settings.load(with_secret_key({**self._told, **self.environment}))
        server = scfm.server.Server(chosen, None, chosen.mongodb_uri)
        await server.open()
        self.host, self.port, self.url = chosen.host, server.port, server.url
        self.token = server.first_account.token if server.first_account else self.token
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        await server.close()

    def restart(self, environment: Mapping[str, str] | None = None) -> ServerHere:
        self.terminate()
        self.environment = {**self._told, **(environment or {})}
        return self.start()

    def stop(self) -> None:
        """Tell it to stop, and do not wait for that."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def terminate(self) -> int:
        self.stop()
        self._thread.join(60)
        assert not self._thread.is_alive()
        return 0

    def __exit__(self, *_: object) -> None:
        self.terminate()


def play(mongod: PrivateMongod, folder: Path) -> None:
    """The guide, from its first request to its last; then an alert."""
    (folder / "empty").mkdir()
    server = ServerHere(folder / "data", {"MONGODB_URI": mongod.uri, "MONGODB_DATABASE": DATABASE})
    with Provider(SOMLENG_SID, SOMLENG_TOKEN) as provider, server:
        Replay(folder / "empty", server, provider).play()
        server.restart(
            {
                "PLATFORM_PROVIDER": "simulator",
                "STATUS_CHECK": "always",
                "STATUS_CHECK_SECONDS": "0.1",
                "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1",
            }
        )
        alert(server, server.new_account())


def alert(server: Server, api: Client) -> None:
    """A callout end to end, and what else an account does."""
    lines = b"".join(b'{"msisdn": "+15005550%03d"}\n' % number for number in range(10, 16))
    kind = {"Content-Type": "application/x-ndjson"}
    made(server.request("POST", "/api/contacts/import", body=lines, headers=kind, token=api.token))
    endpoint = made(api.post("/api/webhook_endpoints", {"url": "http://127.0.0.1:9/"}))
    callout = made(api.post("/api/callouts", {}))["id"]
    population = f"/api/callouts/{callout}/batch_operations"
    finish(api, made(api.post(population, {"type": "BatchOperation::CalloutPopulation"})))
    made(api.post(f"/api/callouts/{callout}/callout_events", {"event": "start"}))
    params = {"remote_request_params": {"from": "1234", "url": f"{server.url}/api/remote_phone_call_events"}}
    calls = "/api/batch_operations"
    finish(api, made(api.post(calls, json={"type": "BatchOperation::PhoneCallCreate", "parameters": params})))
    made(api.post(f"/api/callouts/{callout}/callout_events", {"event": "pause"}))
    finish(api, made(api.post(calls, {"type": "BatchOperation::PhoneCallQueue"})))
    made(api.post(f"/api/callouts/{callout}/callout_events", {"event": "resume"}))
    ended = "completed,busy,not_answered,failed,canceled"
    wait_until(lambda: len(api.get(f"/api/phone_calls?q[status]={ended}").json) == 6)
    events = api.get("/api/remote_phone_call_events").json
    assert api.get(f"/api/remote_phone_call_events/{events[0]['id']}").status == 200
    finish(api, made(api.post(calls, {"type": "BatchOperation::PhoneCallQueueRemoteFetch"})))
    key = {"Idempotency-Key": "one"}
    for _ in range(2):
        contact = made(api.post("/api/contacts", {"msisdn": "+15005550099"}, headers=key))
    assert api.patch(f"/api/contacts/{contact['id']}", {"msisdn": "+15005550098"}).status == 204
    assert api.delete(f"/api/contacts/{contact['id']}").status == 204
    account = api.get("/api/account").json["id"]
    user = {"email": "a@example.org", "password": "long enough", "account_id": str(account)}
    made(server.client().post("/api/users", user, headers=key))
    assert len(server.client().get(f"/api/accounts/{account}/users").json) == 1
    browser = Browser(server)
    made(browser.sign_in("a@example.org", "long enough"))
    assert browser.post("/api/callouts").status == 201
    assert browser.delete("/session").status == 204
    made(api.post(f"/api/callouts/{callout}/callout_events", {"event": "stop"}))
    told(api, endpoint)
    recorded = api.post("/api/audio_files/record", json={"msisdn": "+15005550010", "name": "siren", **params})
    assert recorded.status == 202, recorded
    wait_until(lambda: api.get("/api/audio_files?q[name]=siren").json)
    files = [made(upload(api, sound(), name=name)) for name in ("flood", "flood-km")]
    assert fetch(server, files[0]["url"])[0] == 200
    for file in files:
        assert api.patch(f"/api/audio_files/{file['id']}", {"name": f"{file['name']}-2"}).status == 204
        assert api.delete(f"/api/audio_files/{file['id']}").status == 204


def told(api: Client, endpoint: Document) -> None:
    """What an account does with a webhook endpoint that does not answer."""
    path = f"/api/webhook_endpoints/{endpoint['id']}"
    (first, *_) = wait_until(lambda: [one for one in api.get(f"{path}/deliveries").json if one["attempts"]])
    made(api.post(f"{path}/deliveries/{first['id']}/redeliver"))
    made(api.post(f"{path}/rotate"))
    assert api.patch(path, {"status": "disabled"}).status == 204
    assert api.delete(path).status == 204


def made(answer: Any) -> Any:
    assert answer.status in (200, 201), answer
    return answer.json


def finish(api: Client, operation: Document) -> None:
    """Queue a batch operation, and wait until it has run."""
    path = f"/api/batch_operations/{operation['id']}"
    made(api.post(f"{path}/batch_operation_events", {"event": "queue"}))
    wait_until(lambda: api.get(path).json["status"] == "finished")


@pytest.fixture(scope="module")
def asked(mongod: PrivateMongod, tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Asked]]:
    recorder = Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "DriverClient", partial(driver.DriverClient, event_listeners=[recorder]))
        play(mongod, tmp_path_factory.mktemp("guide"))
    yield recorder.asked
    with MongoClient[Document](mongod.uri) as client:
        client.drop_database(DATABASE)


def unnamed(asked: Iterable[Asked]) -> set[tuple[str, str, str]]:
    """Those that do not name the account."""
    return {(one.collection, one.verb, one.fields) for one in asked if not one.names_account}


@pytest.mark.parametrize("collection", sorted(OWNED))
def test_a_unique_index_begins_with_the_account(collection: str) -> None:
    for index in indexes().get(collection, ()):
        if index.unique and (collection, index.name) not in UNIQUE_OVER_ALL:
            assert index.fields[0] == "account_id", index.name


def test_what_changes_one_document_names_its_account(asked: set[Asked]) -> None:
    changes = [one for one in asked if one.one]
    assert {one.verb for one in changes} == {"findAndModify", "update"}
    assert [one for one in changes if not one.names_account] == []


def test_what_asks_every_shard_is_listed(asked: set[Asked]) -> None:
    assert unnamed(asked) == set(EVERY_SHARD)


async def test_what_settles_a_lost_answer_asks_every_shard_for_what_is_listed(
    mongod: PrivateMongod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorder = Recorder()
    monkeypatch.setattr(driver, "DriverClient", partial(driver.DriverClient, event_listeners=[recorder]))
    store = Store.open(mongod.uri, DATABASE, counted_fields())
    await store.database.prepare(indexes())
    await queued_calls(store, await account(store), ["+15550001"])
    faults = Faults(drop_after=1.0)
    async with (
        carrier(faults=faults) as simulator,
        background(store, settings_for(simulator.base_url, tmp_path)) as jobs,
    ):
        await pass_over(jobs.dispatcher)
        await eventually(lambda: pass_over(jobs.reconciler))
    await store.close()
    assert unnamed(recorder.asked) <= {*EVERY_SHARD, *SETTLING}
    assert unnamed(recorder.asked) >= set(SETTLING)
    assert all(one.names_account for one in recorder.asked if one.one)
