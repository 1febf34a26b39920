"""A backup of a database at work is sound, and in what is restored nobody is called by itself."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import orjson
import pytest
from bson import Binary, Decimal128, Int64, ObjectId, Regex, Timestamp
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from tornado.ioloop import IOLoop

from scfm.backups import restore_marker
from scfm.backups.check_backup import check_backup
from scfm.backups.envelope import DOCUMENTS_FRAME, END_FRAME, BackupWriter
from scfm.backups.errors import BackupError
from scfm.backups.make_backup import FIRST_BACKUP_LOOK, BackupOptions, frame_of, make_backup
from scfm.backups.order import RESTORES
from scfm.backups.restore_backup import Restored, restore_backup
from scfm.backups.restore_marker import RestoreMarker, refuse_half_restored
from scfm.cli.restore import report_lines
from scfm.clock import now
from scfm.embedded_mongod.mongod import PrivateMongod
from scfm.errors import StartError
from scfm.models.opt_out import OPT_OUTS
from scfm.models.registry import counted_fields, indexes
from scfm.models.secret_keys_in_use import KEYS_IN_USE, check_keys
from scfm.runtime.secret_box import SecretBox, new_key
from scfm.settings import Settings
from scfm.storage import raw_documents
from scfm.storage.database import COUNTERS
from scfm.storage.grid_files import CHUNKS
from scfm.storage.raw_documents import Batch, RawDocuments
from scfm.storage.store import Store
from scfm.workers.scheduled_backup import ScheduledBackup
from tests.acceptance.test_upgrade import DUMPS, Dump
from tests.conftest import ASYNC_TEST_SECONDS, DATABASE, memory_folder
from tests.torture.databases import Mongod
from tests.workers.background import (
    account,
    background,
    calls_of,
    carrier,
    largest_file,
    pass_over,
    queued_calls,
    send_due,
    settings_for,
)
from tests.workers.webhook_receiver import receiver, telling_process

Document = dict[str, Any]
RESTORED = "restored"
# Where something happens while they are read.
DISTURBED = {"contacts", "callouts", "callout_participations", "phone_calls", "remote_phone_call_events", COUNTERS}
DISTURBED |= {"opt_outs", "webhook_deliveries", "webhook_endpoints"}
# What a restore changes so that nobody is called by itself.
STOPPED = {"callouts", "batch_operations", "phone_calls", "accounts", "sessions", KEYS_IN_USE, COUNTERS, RESTORES}


@pytest.fixture
def target(io_loop: IOLoop, mongod: PrivateMongod) -> Iterator[Store]:
    """An empty database. It keeps its indexes, as to make them takes longer than most tests do."""

    async def opened() -> Store:
        store = Store.open(mongod.uri, RESTORED, counted_fields())
        documents = RawDocuments(store.database)
        for name in await documents.filled():
            await documents.remove(name, {})
        return store

    store = io_loop.run_sync(opened)
    yield store
    io_loop.run_sync(store.close, timeout=ASYNC_TEST_SECONDS)


@pytest.fixture
def databases(mongod: PrivateMongod) -> Iterator[MongoClient[Document]]:
    with MongoClient[Document](mongod.uri) as client:
        yield client


def raw(client: MongoClient[Document], database: str, collection: str) -> list[bytes]:
    documents: Any = (
        client[database].get_collection(collection, codec_options=raw_documents.RAW).find().sort("_id", 1)
    )
    return [document.raw for document in documents]


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """A folder of its own, in memory if there is room: a mongod writes much that is thrown away."""
    folder = Path(tempfile.mkdtemp(prefix="scfm-test-", dir=memory_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def copy(store: Store, target: Store, path: Path, passphrase: bytes | None = None) -> Restored:
    """Make a backup of STORE, and restore it into TARGET."""
    await make_backup(store, path, BackupOptions(passphrase))
    return await restore_backup(target, path, passphrase)


# Whole


@pytest.mark.parametrize("passphrase", [None, b"a passphrase"], ids=["clear", "encrypted"])
async def test_all_that_a_server_left_at_work_comes_back(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path, passphrase: bytes | None
) -> None:
    Dump(DUMPS[0]).load(databases[DATABASE], tmp_path)
    await check_keys(store, Counter(), SecretBox.of_keys(new_key()))
    restored = await copy(store, target, tmp_path / "a", passphrase)
    names = set(databases[DATABASE].list_collection_names())
    assert restored.left_out == []
    assert not restored.dangling.total()
    assert restored.facts.counts == {
        name: count for name in names if (count := databases[DATABASE][name].count_documents({}))
    }
    for name in names - STOPPED:
        assert raw(databases, RESTORED, name) == raw(databases, DATABASE, name), name
    for name in STOPPED - {"sessions", KEYS_IN_USE, COUNTERS, RESTORES}:
        ids = [document["_id"] for document in databases[DATABASE][name].find().sort("_id", 1)]
        assert [document["_id"] for document in databases[RESTORED][name].find().sort("_id", 1)] == ids
    assert databases[RESTORED].sessions.count_documents({}) == 0
    assert databases[RESTORED][KEYS_IN_USE].count_documents({}) == 0
    assert RESTORES not in await RawDocuments(target.database).filled()
    for name, needed in indexes().items():
        assert {index.name for index in needed} <= databases[RESTORED][name].index_information().keys(), name


async def test_what_this_version_does_not_know_is_kept_as_it_is(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path
) -> None:
    odd = {
        "_id": ObjectId(),
        "$dollar": Decimal128("1.5"),
        "a.b": [Int64(1), 1, 1.0, Binary(b"\x00", 5), Regex("^x"), Timestamp(1, 2), None],
        "when": datetime(1, 1, 1, tzinfo=UTC),
        "": {"é": "\x00"},
    }
    databases[DATABASE].of_a_later_version.insert_many([odd, {"_id": "text"}, {"_id": 7, "large": "x" * 9_000_000}])
    databases[DATABASE].of_a_later_version.insert_one({"_id": 8, "large": "x" * 15_000_000})
    databases[DATABASE][CHUNKS].insert_many(
        {"_id": f"f-{number}", "files_id": "f", "n": number, "data": bytes(261_120)} for number in range(9)
    )
    try:
        await copy(store, target, tmp_path / "a")
        for name in ("of_a_later_version", CHUNKS):
            assert raw(databases, RESTORED, name) == raw(databases, DATABASE, name)
    finally:
        databases[DATABASE].of_a_later_version.drop()


async def test_memory_is_bounded_however_large_the_database_is(
    store: Store, databases: MongoClient[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more is asked for before what was asked for is written."""
    databases[DATABASE].contacts.insert_many(
        {"_id": number, "account_id": 1, "msisdn": f"+{number}"} for number in range(5000)
    )
    held, most = 0, 0
    batches = RawDocuments.batches

    async def counted(self: RawDocuments, name: str, first: Any = None) -> AsyncIterator[Batch]:
        nonlocal held, most
        async for batch in batches(self, name, first):
            held += batch.count
            most = max(most, held)
            yield batch
            held -= batch.count

    monkeypatch.setattr(RawDocuments, "batches", counted)
    made = await make_backup(store, tmp_path / "a", BackupOptions())
    assert made.documents >= 5000
    assert most <= raw_documents.READ_BATCH


# While others work


class World:
    """What clients and jobs do between two reads of a backup: each step is whole and acknowledged."""

    def __init__(self, store: Store, account_id: int) -> None:
        self.view = store.for_account(account_id)
        self.steps = 0
        self.callouts: list[int] = []

    async def step(self) -> None:
        """A callout of two new contacts: one is called and has an event, and one is gone again."""
        self.steps += 1
        contacts = [
            (await self.view.insert("contacts", {"msisdn": f"+2526{self.steps:05d}{one}"}, "contact"))["_id"]
            for one in range(2)
        ]
        callout = await self.view.insert("callouts", {"status": "running", "plan": None}, "callout")
        self.callouts.append(callout["_id"])
        for number, contact in enumerate(contacts):
            participation = await self.view.insert(
                "callout_participations",
                {"callout_id": callout["_id"], "contact_id": contact, "msisdn": f"+2526{self.steps:05d}{number}"},
                "callout_participation",
            )
            links = {"callout_participation_id": participation["_id"], "contact_id": contact}
            call = await self.view.insert(
                "phone_calls",
                {
                    **links,
                    "callout_id": callout["_id"],
                    "status": "completed",
                    "msisdn": "+1",
                    "remote_call_id": None,
                },
                "phone_call",
            )
            event = {"phone_call_id": call["_id"], "details": {}}
            made = await self.view.insert("remote_phone_call_events", event, "remote_phone_call_event")
            if number:
                for name, gone in (
                    ("remote_phone_call_events", made["_id"]),
                    ("phone_calls", call["_id"]),
                    ("callout_participations", participation["_id"]),
                    ("contacts", contact),
                ):
                    await self.view.remove(name, {"_id": gone})


def between_reads(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[None]]) -> None:
    """Have ACT done before a backup looks at a collection with calls or people, and in the middle of that."""
    batches = RawDocuments.batches
    monkeypatch.setattr(raw_documents, "READ_BATCH", 3)

    async def disturbed(self: RawDocuments, name: str, first: Any = None) -> AsyncIterator[Batch]:
        if name in DISTURBED:
            await act()
        acted = False
        async for batch in batches(self, name, first):
            if name in DISTURBED and not acted:
                await act()
                acted = True
            yield batch

    monkeypatch.setattr(RawDocuments, "batches", disturbed)


def references(databases: MongoClient[Document]) -> Iterator[tuple[str, Document, str, Any]]:
    """Every reference in the restored database: the collection, the document, the collection and id it names."""
    fields = {
        "contact_id": "contacts",
        "callout_id": "callouts",
        "callout_participation_id": "callout_participations",
        "phone_call_id": "phone_calls",
    }
    for name in ("callout_participations", "phone_calls", "remote_phone_call_events"):
        for document in databases[RESTORED][name].find():
            for field, collection in fields.items():
                if document.get(field) is not None:
                    yield name, document, collection, document[field]


async def test_whatever_happens_meanwhile_nothing_refers_to_what_is_not_there(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await account(store)
    world = World(store, owner)
    for _ in range(4):
        await world.step()
    before = {name: [one["_id"] for one in databases[DATABASE][name].find()] for name in ("contacts", "phone_calls")}
    with monkeypatch.context() as patched:
        between_reads(patched, world.step)
        await make_backup(store, tmp_path / "a", BackupOptions())
    steps = world.steps
    assert steps >= 15
    restored = await restore_backup(target, tmp_path / "a", None)
    assert restored.left_out == []
    there = {
        name: {one["_id"] for one in databases[RESTORED][name].find()}
        for name in ("contacts", "callouts", "callout_participations", "phone_calls")
    }
    for name, document, collection, document_id in references(databases):
        assert document_id in there[collection], (name, document)
    for name, ids in before.items():
        assert set(ids) <= there[name], "what was acknowledged before is in it"
    # An id of the backup is given to nothing else, and what was counted before is counted again.
    view = target.for_account(owner)
    contact = await view.insert("contacts", {"msisdn": "+85512345678"}, "contact")
    assert contact["_id"] > max(there["contacts"])
    assert await target.all_tenants.exists("contacts", {"_id": contact["_id"]})
    await target.quiesce()


async def test_what_tells_how_far_something_is_is_never_ahead_of_it(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan takes its audience while the backup is made: nobody of it is forgotten."""
    owner = await account(store)
    view = store.for_account(owner)
    contacts = [
        (await view.insert("contacts", {"msisdn": f"+25261{one:07d}"}, "contact"))["_id"] for one in range(40)
    ]
    run = {"audience": 0, "started_at": now(), "due": now()}
    first = await view.insert("callouts", {"status": "running", "plan": {}, "_run": run}, "callout")
    taken: Counter[int] = Counter()

    async def take(callout_id: int) -> None:
        contact = contacts[min(taken[callout_id], len(contacts) - 1)]
        number = {"msisdn": f"+25261{contact:07d}", "contact_id": contact, "outcome": "pending"}
        if taken[callout_id] < len(contacts):
            await view.insert("callout_participations", {"callout_id": callout_id, **number}, "callout_participation")
            await view.update_one("callouts", {"_id": callout_id}, {"$set": {"_run.audience": contact}})
        taken[callout_id] += 1

    async def act() -> None:
        await take(first["_id"])
        if not taken[first["_id"]] % 3:  # another begins meanwhile
            later = await view.insert("callouts", {"status": "running", "plan": {}, "_run": run}, "callout")
            taken[later["_id"]] = 0
        for callout_id in list(taken):
            await take(callout_id)

    with monkeypatch.context() as patched:
        between_reads(patched, act)
        await make_backup(store, tmp_path / "a", BackupOptions())
    await restore_backup(target, tmp_path / "a", None)
    callouts = list(databases[RESTORED].callouts.find())
    assert len(callouts) > 1
    for callout in callouts:
        found = databases[RESTORED].callout_participations.find({"callout_id": callout["_id"]})
        people = {participation["contact_id"] for participation in found}
        until = callout["_run"]["audience"]
        assert {contact for contact in contacts if contact <= until} <= people, callout
        assert callout["status"] == "paused"


async def test_what_endpoints_are_told_meanwhile_is_not_forgotten(
    store: Store, target: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await account(store)
    async with receiver() as one, telling_process(store, owner) as teller, telling_process(target, owner) as after:
        await teller.endpoint(one.url)
        numbers = iter(range(1000))

        async def happen() -> None:
            await OPT_OUTS.create(teller.scope, {"msisdn": f"+25261{next(numbers):07d}"})

        async def act() -> None:
            await teller.both()
            await happen()

        for _ in range(5):
            await happen()
        with monkeypatch.context() as patched:
            between_reads(patched, act)
            await make_backup(store, tmp_path / "a", BackupOptions())
        await restore_backup(target, tmp_path / "a", None)
        await after.both()
        deliveries = await after.deliveries()
        assert {delivery["status"] for delivery in deliveries} == {"delivered"}
        told = [orjson.loads(delivery["_body"])["data"]["id"] for delivery in deliveries]
        there = [opt_out["_id"] for opt_out in await after.view.find("opt_outs", {})]
        assert len(told) == len(set(told)) and set(told) >= set(there) and len(there) > 5


async def test_a_number_that_goes_from_one_to_another_meanwhile_is_kept_once_and_told(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await account(store)
    view = store.for_account(owner)
    ids = [(await view.insert("contacts", {"msisdn": f"+2526100000{one}"}, "contact"))["_id"] for one in range(8)]
    moved = 0

    async def act() -> None:
        nonlocal moved
        moved += 1
        if moved == 2:  # the first of them have been read
            await view.update_one("contacts", {"_id": ids[0]}, {"$set": {"msisdn": "+85512345678"}})
            await view.update_one("contacts", {"_id": ids[-1]}, {"$set": {"msisdn": "+25261000000"}})

    with monkeypatch.context() as patched:
        patched.setattr("scfm.backups.make_backup.read_order", lambda names: ["accounts", "contacts"])
        between_reads(patched, act)
        await make_backup(store, tmp_path / "a", BackupOptions())
    restored = await restore_backup(target, tmp_path / "a", None)
    kept = databases[RESTORED].contacts.count_documents({"msisdn": "+25261000000"})
    assert kept == 1
    assert databases[RESTORED].contacts.count_documents({}) + len(restored.left_out) == len(ids)
    for name, left in restored.left_out:
        assert any(f"{name} {left.document_id} was left out" in line for line in report_lines(restored))


async def test_with_snapshots_all_is_of_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        folder_in_memory() as folder,
        Mongod(folder / "mongod", "--replSet", "one", "--oplogSize", "16") as mongod,
        MongoClient[Document](mongod.uri) as client,
    ):
        settings = {"electionTimeoutMillis": 100, "heartbeatIntervalMillis": 50}
        member = {"_id": 0, "host": f"127.0.0.1:{mongod.port}"}
        client.admin.command("replSetInitiate", {"_id": "one", "settings": settings, "members": [member]})
        while not mongod.says("hello").get("isWritablePrimary"):
            await asyncio.sleep(0.02)
        stores = [Store.open(mongod.uri, name, counted_fields()) for name in (DATABASE, RESTORED)]
        try:
            await _copy_of_a_moment(client, *stores, folder / "a", monkeypatch)
        finally:
            for store in stores:
                await store.quiesce()
                await store.close()


async def _copy_of_a_moment(
    client: MongoClient[Document], source: Store, target: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(source, await account(source))
    for _ in range(3):
        await world.step()
    await source.quiesce()
    before = {name: raw(client, DATABASE, name) for name in client[DATABASE].list_collection_names()}
    batches, acted = RawDocuments.batches, 0

    async def disturbed(self: RawDocuments, name: str, first: Any = None) -> AsyncIterator[Batch]:
        nonlocal acted
        async for batch in batches(self, name, first):
            yield batch  # the first read is the moment
            if acted < 5:
                acted += 1
                await world.step()
                await world.view.update_many("contacts", {}, {"$set": {"seen": world.steps}})

    with monkeypatch.context() as patched:
        patched.setattr(raw_documents, "READ_BATCH", 2)
        patched.setattr(RawDocuments, "batches", disturbed)
        made = await make_backup(source, path, BackupOptions())
    assert made.snapshot
    assert acted == 5
    monkeypatch.setattr("scfm.backups.restore_backup.indexes", dict)  # they are slow to make, and others look at them
    restored = await restore_backup(target, path, None)
    assert restored.facts.snapshot
    for name in before.keys() - STOPPED:
        assert raw(client, RESTORED, name) == before[name], name
    assert client[RESTORED].callouts.count_documents({}) == len(before["callouts"])
    assert client[RESTORED].phone_calls.count_documents({}) == len(before["phone_calls"])


async def test_a_snapshot_that_becomes_too_old_is_gone_on_without(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot is kept for five minutes: the answer of a replica set after that is made up here."""
    await queued_calls(store, await account(store), ["+1", "+2", "+3", "+4", "+5"], status="created")
    documents = RawDocuments(store.database)
    documents._session = session = object()
    raw_collection, sessions = store.database.raw_collection, []

    class OfASnapshot:
        """A collection that gives one batch by the session, and all by none."""

        def find_raw_batches(self, condition: Document, **options: Any) -> Any:
            sessions.append(options.pop("session"))
            return Cursor(raw_collection("phone_calls").find_raw_batches(condition, **options), sessions[-1])

    class Cursor:
        def __init__(self, real: Any, by: object) -> None:
            self._real = real
            self._by = by

        async def __aenter__(self) -> Any:
            return self

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self._batches()

        async def __aexit__(self, *_: object) -> None:
            await self._real.close()

        async def _batches(self) -> AsyncIterator[bytes]:
            async for one in self._real:
                yield one
                if self._by is session:
                    raise OperationFailure("the snapshot is too old", 239)

    monkeypatch.setattr(raw_documents, "READ_BATCH", 2)
    monkeypatch.setattr(store.database, "raw_collection", lambda name: OfASnapshot())
    ids = [one async for batch in documents.batches("phone_calls") for one in documents.ids_of(batch.raw)]
    assert len(ids) == len(set(ids)) == 5
    assert sessions == [session, None]
    assert not documents.has_snapshot


# What is restored


async def test_nobody_who_was_called_since_is_called_again_by_itself(
    store: Store, target: Store, tmp_path: Path
) -> None:
    """After the backup all that waited rings. In what is restored nothing rings, and what had left is found."""
    async with carrier() as provider:
        settings = settings_for(provider.base_url, tmp_path)
        owner = await account(store)
        view = store.for_account(owner)
        running, paused = [
            (await view.insert("callouts", {"status": status, "plan": None}, "callout"))["_id"]
            for status in ("running", "paused")
        ]
        (of_callout,) = await queued_calls(store, owner, ["+855100000001"], callout_id=running)
        (of_none,) = await queued_calls(store, owner, ["+855100000003"])
        (claimed,) = await queued_calls(store, owner, ["+855100000005"])
        (never_sent,) = await queued_calls(store, owner, ["+855100000006"])
        (created,) = await queued_calls(store, owner, ["+855100000007"], status="created", _work=None)
        (held,) = await queued_calls(store, owner, ["+855100000002"], callout_id=paused)
        operation = {"type": "x", "status": "running", "metadata": {"a": 1}, "_work": {"due": now(), "holder": "h"}}
        await view.insert("batch_operations", operation, "batch_operation")
        async with background(store, settings) as jobs:
            attempt = {"id": "a", "at": now(), "log": jobs.send_journal.id}
            had = {"lease": now() + timedelta(seconds=60), "attempt": attempt}
            for call_id in (claimed, never_sent):
                await view.update_one("phone_calls", {"_id": call_id}, {"$set": {"_work": had}})
            await make_backup(store, tmp_path / "a", BackupOptions())
            await view.update_one("phone_calls", {"_id": claimed}, {"$set": {"_work": {"due": now()}}})
            assert await send_due(jobs) == 3
        rung = Counter(request.to for request in provider.ledger.requests)
        assert rung == {"+855100000001": 1, "+855100000003": 1, "+855100000005": 1}
        restored = await restore_backup(target, tmp_path / "a", None)

        async with background(target, settings) as jobs:
            for _ in range(3):
                assert await send_due(jobs) == 0
                await pass_over(jobs.reconciler)
                await pass_over(jobs.batch_runner)
                await jobs.callout_hold.release_orphans()
        assert Counter(request.to for request in provider.ledger.requests) == rung
        calls = {call["_id"]: call for call in await calls_of(target)}
        assert calls[claimed]["status"] == "remotely_queued"
        assert calls[claimed]["remote_call_id"] is not None
        assert calls[never_sent]["status"] == "errored"
        assert [calls[one]["status"] for one in (of_callout, held, of_none)] == ["queued"] * 3
        assert calls[of_callout]["_work"] == calls[held]["_work"] == {"held": True}
        assert calls[created]["status"] == "created"
        found = target.for_account(owner)
        assert (await found.get("callouts", running))["status"] == "paused"
        assert (await target.all_tenants.get("accounts", owner))["calls_held_at"] is not None
        (stopped,) = await found.find("batch_operations", {})
        assert stopped["status"] == "finished"
        assert stopped["metadata"]["a"] == 1
        assert "queue it again" in stopped["metadata"]["failure"]
        await target.quiesce()
    words = "\n".join(report_lines(restored))
    assert f"callout {running} of account {owner} ran, and is paused: 0 of its 0 people" in words
    assert f"account {owner}: its calls are held, as 1 of no running callout were queued" in words
    assert "batch operation 1 of account" in words
    assert "2 calls were about to leave: the provider is asked for them, and none is sent again." in words


async def test_the_provider_is_asked_about_calls_whose_reports_were_lost(
    store: Store, target: Store, tmp_path: Path
) -> None:
    async with carrier() as provider:
        settings = settings_for(provider.base_url, tmp_path)
        owner = await account(store)
        (call_id,) = await queued_calls(store, owner, ["+855100000001"])
        async with background(store, settings) as jobs:
            assert await send_due(jobs) == 1
        restored = await copy(store, target, tmp_path / "a")
        assert restored.settled.asked == 1
        call = await target.for_account(owner).get("phone_calls", call_id)
        assert call["_check"] <= now()
        async with background(target, settings) as jobs:
            assert await pass_over(jobs.status_poller) == 1
        await target.quiesce()


# Into what, and from what


async def test_a_database_that_is_not_empty_is_left_as_it_is(store: Store, target: Store, tmp_path: Path) -> None:
    await account(store)
    await store.quiesce()
    await make_backup(store, tmp_path / "a", BackupOptions())
    there = await target.for_account(9).insert("contacts", {"msisdn": "+1"}, "contact")
    with pytest.raises(BackupError, match=r"the database restored is not empty \(it has contacts, counters\)"):
        await restore_backup(target, tmp_path / "a", None)
    assert await target.all_tenants.find("contacts", {}) == [there]
    assert not await target.all_tenants.exists("accounts", {})
    await refuse_half_restored(target.all_tenants)
    await target.quiesce()


@pytest.mark.parametrize("damage", ["cut off", "flipped", "no passphrase", "wrong passphrase", "not there", "forged"])
async def test_nothing_is_done_with_a_backup_that_is_not_sound(
    store: Store, target: Store, tmp_path: Path, damage: str
) -> None:
    await account(store)
    path, passphrase = tmp_path / "a", b"a passphrase" if "passphrase" in damage else None
    await make_backup(store, path, BackupOptions(passphrase))
    whole = path.read_bytes()
    given = {"wrong passphrase": b"another one"}.get(damage)
    if damage == "cut off":
        path.write_bytes(whole[:-100])
    elif damage == "flipped":
        path.write_bytes(whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:])
    elif damage == "not there":
        path.unlink()
    elif damage == "forged":
        with path.open("wb") as file:
            writer = BackupWriter(file, {"database": "a", "started_at": "x", "program": "y", "schema": None})
            writer.add(DOCUMENTS_FRAME, b"\x00\x01a" + b"\xff" * 10)
            writer.add(END_FRAME, b"{}")
    with pytest.raises(BackupError):
        await restore_backup(target, path, given)
    assert await RawDocuments(target.database).filled() == []


@pytest.mark.parametrize("counted", [{"last": "7"}, {"last": -1}, {"seq": 1 << 62}, {"seq": 0.5}, {"last": None}])
async def test_a_counter_that_is_none_is_told(store: Store, tmp_path: Path, counted: Document) -> None:
    """Somebody has put it into the backup: no program writes one."""
    made = io.BytesIO()
    header = {"program": "scfm 1", "database": "scfm", "started_at": "2026-01-01T00:00:00.000Z"}
    writer = BackupWriter(made, {**header, "schema": {"version": 1, "oldest_program": 1, "release": "1"}})
    writer.add(DOCUMENTS_FRAME, frame_of(COUNTERS, FIRST_BACKUP_LOOK, bson.encode({"_id": "account", **counted})))
    writer.add(
        END_FRAME,
        json.dumps({"counts": {COUNTERS: 1}, "second_look": {}, "undecided": {}, "snapshot": True}).encode(),
    )
    (tmp_path / "a").write_bytes(made.getvalue())
    with pytest.raises(BackupError, match="damaged: a document of counters cannot be read"):
        await restore_backup(store, tmp_path / "a", None)


async def test_a_restore_that_was_cut_off_is_refused_by_servers_and_begun_anew_by_the_next(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_marker, "ABANDONED_RESTORE_SECONDS", 0.2)
    monkeypatch.setattr(restore_marker, "RESTORE_LOOK_SECONDS", 0.05)
    Dump(DUMPS[0]).load(databases[DATABASE], tmp_path)
    path = tmp_path / "a"
    await make_backup(store, path, BackupOptions())
    inserts, insert = 0, RawDocuments.insert

    async def dies(self: RawDocuments, name: str, raw: bytes) -> Any:
        nonlocal inserts
        inserts += 1
        if inserts == 7:
            raise asyncio.CancelledError
        return await insert(self, name, raw)

    with monkeypatch.context() as patched:
        patched.setattr(RawDocuments, "insert", dies)
        with pytest.raises(asyncio.CancelledError):
            await restore_backup(target, path, None)
    with pytest.raises(StartError, match="half restored: scfm restore a was cut off"):
        await refuse_half_restored(target.all_tenants)
    await target.all_tenants.insert("contacts", {"_id": 999_999, "account_id": 1, "msisdn": "+1"})
    restored = await restore_backup(target, path, None)
    assert restored.left_out == []
    await refuse_half_restored(target.all_tenants)
    contacts = [one["_id"] for one in databases[DATABASE].contacts.find().sort("_id", 1)]
    assert [one["_id"] for one in databases[RESTORED].contacts.find().sort("_id", 1)] == contacts


async def test_a_backup_of_a_newer_program_is_refused(
    store: Store, target: Store, databases: MongoClient[Document], tmp_path: Path
) -> None:
    newer = {"_id": "schema", "version": 99, "oldest_program": 99, "release": "9.9.9"}
    databases[DATABASE].schema.replace_one({"_id": "schema"}, newer, upsert=True)
    await make_backup(store, tmp_path / "a", BackupOptions())
    with pytest.raises(StartError, match=r"these data are those of scfm 9\.9\.9 \(schema 99\)"):
        await restore_backup(target, tmp_path / "a", None)
    assert await RawDocuments(target.database).filled() == []


async def test_of_two_restores_at_once_one_is_refused(
    store: Store, target: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_marker, "RENEW_SECONDS", 0.005)
    monkeypatch.setattr(restore_marker, "RESTORE_LOOK_SECONDS", 0.02)
    first, second = [RestoreMarker(target.all_tenants, "a") for _ in range(2)]
    assert not await first.set()
    async with first.kept():
        waiting = asyncio.create_task(second.set())
        await asyncio.wait([waiting])
    with pytest.raises(BackupError, match="another scfm restore"):
        await waiting
    first.check()
    await first.remove()


# By itself


def backups_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


async def test_backups_are_made_in_time_and_the_oldest_go(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await account(store)
    folder = tmp_path / "backups"
    settings = Settings(backup_every=60, backup_keep=2, backup_dir=str(folder), mongodb_database=DATABASE)
    moment = now()
    monkeypatch.setattr("scfm.workers.scheduled_backup.now", lambda: moment)
    folder.mkdir()
    (folder / "scfm-other-20200101T000000Z.backup").write_text("of another database")
    made = []
    for _ in range(4):
        jobs = [ScheduledBackup(store, settings) for _ in range(2)]  # two processes, which were just started
        assert sum([await pass_over(job) for job in jobs]) >= 1
        newest = sorted(set(backups_in(folder)) - {"scfm-other-20200101T000000Z.backup"})[-1]
        made.append(newest)
        check_backup(folder / newest, None)
        assert [await job.claim(1) for job in jobs] == [[], []]
        moment += timedelta(seconds=59)  # it has ended before a minute is over
    assert len(set(made)) == 4
    assert backups_in(folder) == ["scfm-other-20200101T000000Z.backup", *made[-2:]]


@pytest.mark.parametrize("ahead", [timedelta(seconds=50), timedelta(days=365)])
async def test_a_clock_that_was_set_back_costs_no_backup(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    await account(store)
    folder = tmp_path / "backups"
    settings = Settings(backup_every=60, backup_keep=3, backup_dir=str(folder), mongodb_database=DATABASE)
    moment = now()
    monkeypatch.setattr("scfm.workers.scheduled_backup.now", lambda: moment)
    folder.mkdir()
    dates = [moment + ahead - timedelta(seconds=number) for number in range(3)]
    before = [f"scfm-{DATABASE}-{date.strftime('%Y%m%dT%H%M%SZ')}.backup" for date in dates]
    for name in before:
        (folder / name).write_bytes(b"dated later than now")
    made = await made_within(store, settings)
    assert made == (0 if ahead < timedelta(minutes=1) else 1), "and not one after the other"
    assert set(before) <= set(backups_in(folder))
    moment += timedelta(seconds=120)
    assert await made_within(store, settings) == 1
    assert len(set(backups_in(folder)) - set(before)) == made + 1, "the newest are kept"


async def made_within(store: Store, settings: Settings) -> int:
    """How many backups are made when it is looked again and again at the same moment."""
    job = ScheduledBackup(store, settings)
    made = 0
    for _ in range(4):
        job._looks_from = 0.0
        made += await pass_over(job)
    return made


async def test_what_a_killed_process_has_left_of_a_backup_goes_with_the_next(store: Store, tmp_path: Path) -> None:
    await account(store)
    settings = Settings(backup_every=60, backup_dir=str(tmp_path), mongodb_database=DATABASE)
    left = tmp_path / f".scfm-{DATABASE}-20260101T000000Z.backup.part"
    by_hand, of_another = tmp_path / ".mine.backup.part", tmp_path / ".scfm-other-20260101T000000Z.backup.part"
    for path in (left, by_hand, of_another):
        path.write_bytes(b"half")
    assert await pass_over(ScheduledBackup(store, settings)) == 1
    assert not left.exists() and by_hand.exists() and of_another.exists()


async def test_of_two_processes_one_makes_each_backup(store: Store, tmp_path: Path) -> None:
    await account(store)
    settings = Settings(backup_every=60, backup_dir=str(tmp_path / "backups"), mongodb_database=DATABASE)
    jobs = [ScheduledBackup(store, settings) for _ in range(2)]
    for job in jobs:
        assert await job.claim(1) == [None]
    await asyncio.gather(*(job.process(None) for job in jobs))
    assert len(backups_in(tmp_path / "backups")) == 1


async def test_a_backup_that_fails_is_one_line_and_the_old_ones_stay(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await account(store)
    folder = tmp_path / "backups"
    settings = Settings(backup_every=60, backup_keep=1, backup_dir=str(folder), mongodb_database=DATABASE)
    job = ScheduledBackup(store, settings)
    assert await pass_over(job) == 1
    old = backups_in(folder)
    moment = now() + timedelta(seconds=90)
    monkeypatch.setattr("scfm.workers.scheduled_backup.now", lambda: moment)
    with largest_file(10):
        for _ in range(3):
            job._looks_from = 0.0
            assert await pass_over(job) == 1
    assert backups_in(folder) == old
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert errors[0].startswith("no backup could be made: cannot write the backup")
    assert "free some space" in errors[0]
    job._looks_from = 0.0
    assert await pass_over(job) == 1
    assert len(backups_in(folder)) == 1
    assert backups_in(folder) != old
